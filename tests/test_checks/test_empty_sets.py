"""A data set without images or boxes is no training, and no evaluation."""

import pytest

from imb_det.checks import check_empty_sets
from imb_det.core import CheckContext
from imb_det.registry import DATASETS
from tests.tiny_sets import write_voc
from tests.toy_runner import dataset_config

CAT, BIRD = ("cat", (1, 1, 9, 9)), ("bird", (1, 1, 9, 9))
DIFFICULT = (*CAT, "<difficult>1</difficult>")


@pytest.mark.parametrize(
    ("images", "filter_cfg", "in_training", "in_test"),
    [
        ([[BIRD], [CAT]], {}, None, None),
        ([], {}, "error: a data set has no image", "error: a data set has no image"),
        (
            [[BIRD]],
            {},
            "error: a data set has no box",
            "warning: a data set has no box",
        ),
        ([[], [DIFFICULT]], {}, "error: a data set has no box", "warning: a data set"),
        (
            [[BIRD]],
            dict(filter_empty_gt=True),
            "error: a data set has no image",
            "warn",
        ),
    ],
)
def test_data_sets_of_others(tmp_path, images, filter_cfg, in_training, in_test):
    arguments = write_voc(tmp_path, images)
    config = dataset_config(arguments, type="mmdet.VOCDataset", filter_cfg=filter_cfg)
    sets = {
        split: DATASETS.build(dict(config, test_mode=split == "val"))
        for split in ("train", "val")
    }
    found = list(check_empty_sets(CheckContext(datasets=sets)))
    expected = [text for text in (in_training, in_test) if text]
    assert len(found) == len(expected)
    for finding, text in zip(found, expected, strict=True):
        assert f"{finding.severity.value}: {finding.what}".startswith(text)
        assert f"{tmp_path}/list.txt, for the classes ('cat', 'dog')" in (
            finding.evidence
        )
        assert "`imb_det.VOCDataset` tell what is left out" in finding.remedy
