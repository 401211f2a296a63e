"""A data set without images or boxes is no training, and no evaluation."""

import pytest

from imb_det.checks import check_empty_sets
from imb_det.core import CheckContext
from imb_det.registry import DATASETS
from imb_det.statistics import ClassStats
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


def test_data_sets_of_another_kind_are_not_judged(tmp_path):
    """Records of videos or maps of classes hold no `instances`."""
    (tmp_path / "1.jpg").touch()
    folders = dict(img_path=str(tmp_path), seg_map_path=str(tmp_path))
    dataset = DATASETS.build(dict(type="CocoSegDataset", data_prefix=folders))
    assert len(dataset) == 1
    assert list(check_empty_sets(CheckContext(datasets=dict(train=dataset)))) == []
    with pytest.raises(FileNotFoundError, match=r"1\.png"):
        ClassStats.from_dataset(dataset)
    folders = dict(img_path=str(tmp_path))
    dataset = DATASETS.build(dict(type="CocoSegDataset", data_prefix=folders))
    with pytest.raises(ValueError, match="CocoSegDataset has no `instances` in its"):
        ClassStats.from_dataset(dataset)
