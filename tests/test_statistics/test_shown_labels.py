"""Counts, weights, samplers and the prior follow what the training is shown."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import mmdet
import numpy as np
import pytest
from mmengine.dataset import ClassBalancedDataset
from mmengine.registry import init_default_scope

from imb_det.checks import (
    check_annotation_files,
    check_boxes,
    check_hidden_labels,
    run_checks,
)
from imb_det.core import CheckContext
from imb_det.prior.boxes import annotated_boxes
from imb_det.registry import DATASETS, TRANSFORMS
from imb_det.samplers import ClassAwareSampler, RepeatFactorSampler
from imb_det.statistics import ClassStats, LabelTable, label_cache
from imb_det.statistics.class_weights import class_weights
from imb_det.statistics.label_cache import label_table
from imb_det.statistics.shown_labels import shows_labels
from tests.tiny_sets import write_coco, write_voc

CAT, DOG = ("cat", (1, 1, 11, 11)), ("dog", (5, 5, 20, 20))
META = dict(classes=("cat", "dog"))
LOAD = dict(type="LoadAnnotations", with_bbox=True)
EMPTY = dict(type="LoadEmptyAnnotations")
FLIP = dict(type="RandomFlip", prob=0.5)
PACK = dict(type="PackDetInputs")


def branches(**pipelines):
    return dict(type="MultiBranch", branch_field=[*"abc"], **pipelines)


def built_voc(root, images, *steps, **kwargs):
    init_default_scope("mmdet")
    pipeline = [dict(type="LoadImageFromFile"), *steps]
    config = dict(write_voc(root, images), metainfo=META, pipeline=pipeline)
    return DATASETS.build(
        dict(
            config, **{"type": "imb_det.VOCDataset", "serialize_data": False, **kwargs}
        )
    )


def in_two_parts(root, hidden=(EMPTY, PACK), **kwargs):
    """5 cats and 1 dog with labels, 8 dogs without."""
    shown = built_voc(root / "a", [[CAT]] * 5 + [[DOG]], LOAD, PACK, **kwargs)
    dark = built_voc(root / "b", [[DOG, DOG]] * 4, *hidden, **kwargs)
    return DATASETS.build(dict(type="ConcatDataset", datasets=[shown, dark]))


@pytest.mark.parametrize(
    ("steps", "shown"),
    [
        ([], None),
        ([FLIP, PACK], None),
        ([LOAD, PACK], True),
        ([EMPTY, PACK], False),
        ([LOAD, EMPTY], False),
        ([EMPTY, LOAD], True),
        ([dict(LOAD, with_bbox=False, with_mask=True)], False),
        ([dict(LOAD, with_label=False)], False),
        ([LOAD, dict(LOAD, with_bbox=False, with_seg=True)], True),
        ([LOAD, dict(EMPTY, with_bbox=False)], True),
        ([dict(type="LoadTrackAnnotations")], True),
        ([EMPTY, branches(a=[FLIP], b=[PACK])], False),
        ([LOAD, branches(a=PACK)], True),
        ([branches(a=[LOAD, PACK], b=[EMPTY, PACK])], True),
        ([branches(a=[EMPTY, PACK], b=[FLIP])], False),
        ([dict(type="RandomApply", transforms=[LOAD]), EMPTY], False),
        ([LOAD, dict(type="RandomApply", transforms=[EMPTY])], True),
        ([dict(type="RandomChoice", transforms=[[EMPTY], [LOAD]])], True),
        ([LOAD, dict(type="RandomChoice", transforms=[[EMPTY], [EMPTY, FLIP]])], False),
        ([dict(type="RandomOrder", transforms=[LOAD, FLIP])], True),
    ],
)
def test_what_a_pipeline_shows(tmp_path, steps, shown):
    assert shows_labels(built_voc(tmp_path, [[CAT]], *steps)) is shown


def test_steps_of_ones_own_are_unknown():
    @TRANSFORMS.register_module(force=True)
    class LoadMine:
        def __call__(self, results):
            return results

    class Own:
        pipeline = TRANSFORMS.build(dict(type="Compose", transforms=[LoadMine()]))

    assert shows_labels(Own()) is None
    assert shows_labels(object()) is None


def test_labels_that_nobody_sees_are_not_counted(tmp_path):
    dataset = in_two_parts(tmp_path)
    stats = ClassStats.from_dataset(dataset)
    assert stats.instance_count.tolist() == stats.image_count.tolist() == [5, 1]
    assert stats.num_images == 10
    cat, dog = class_weights(stats, "inverse")
    assert dog == pytest.approx(5 * cat)  # the file alone has more dogs than cats
    for table in (label_table(dataset), LabelTable.from_dataset(dataset)):
        assert table.labels.tolist() == [0] * 5 + [1]
        assert len(table) == 10
    for sampler in (
        RepeatFactorSampler(dataset, repeat_thr=0.9, seed=0),
        ClassAwareSampler(dataset, seed=0),
    ):
        assert sampler.class_stats == stats
        weights = sampler.image_weights(0)
        assert weights[5] > weights[0] >= weights[6:].max()
    boxes = annotated_boxes(dataset)
    assert np.bincount(boxes.labels).tolist() == [5, 1]
    assert len(boxes) == 10


def test_large_sets_are_not_taken_from_the_cache_of_what_the_file_says(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(label_cache, "_CACHED_FROM", 1)
    images = [[DOG]] * 3
    shown = built_voc(tmp_path / "a", images, LOAD, serialize_data=True)
    assert label_table(shown, tmp_path / "cache").labels.tolist() == [1, 1, 1]
    hidden = built_voc(tmp_path / "a", images, EMPTY, serialize_data=True)
    assert label_table(hidden, tmp_path / "cache").labels.tolist() == []


@pytest.mark.parametrize("images", [[[]], [[DOG]]])
def test_an_unlabelled_part_needs_no_box(tmp_path, images):
    dataset = built_voc(tmp_path, images, EMPTY, PACK)
    assert (dataset.audit.num_images, dataset.audit.num_boxes) == (1, 0)
    with pytest.raises(ValueError, match="no box to train on in 1 images"):
        built_voc(tmp_path, [[]], LOAD, PACK)


def test_the_log_tells_which_part_is_hidden(tmp_path):
    dataset = in_two_parts(tmp_path)
    found = run_checks(
        CheckContext(datasets=dict(train=dataset)), [check_hidden_labels]
    )
    assert [(f.code, f.severity.value, f.where, f.evidence) for f in found] == [
        ("labels_hidden", "info", f"{tmp_path}/b/list.txt", "4 images")
    ]
    context = CheckContext(datasets=dict(train=dataset.datasets[1], val=dataset))
    codes = [f.code for f in check_hidden_labels(context)]
    assert codes == ["labels_hidden", "no_labels"]
    shown, hidden = dataset.datasets
    balanced = ClassBalancedDataset(hidden, oversample_thr=0.9)
    again = SimpleNamespace(datasets=[shown, balanced])
    found = list(check_hidden_labels(CheckContext(datasets=dict(train=again))))
    assert [f.code for f in found] == ["labels_hidden", "repeats_hidden"]
    assert found[1].where == "ClassBalancedDataset"


def test_boxes_that_nobody_sees_harm_nobody(tmp_path):
    bad = [("dog", (7, 7, 7, 20))]
    for steps, number in (([LOAD, PACK], 1), ([EMPTY, PACK], 0)):
        dataset = built_voc(tmp_path, [bad], *steps, type="mmdet.VOCDataset")
        found = list(check_boxes(CheckContext(datasets=dict(train=dataset))))
        assert len(found) == number


def test_the_semi_supervised_config_of_mmdet(tmp_path):
    """Its unlabelled file has no boxes, and its pipelines have branches."""
    root = Path(mmdet.__file__).parent / ".mim" / "configs" / "_base_" / "datasets"
    config = runpy.run_path(str(root / "semi_coco_detection.py"))
    config = config["train_dataloader"]["dataset"]
    boxes = [(1, 1, [1, 1, 9, 9]), (2, 1, [1, 1, 9, 9]), (2, 2, [1, 1, 9, 9])]
    large = [dict(width=64, height=48)] * 2
    for name, part, annotations in zip(
        "ab", config["datasets"], (boxes, []), strict=True
    ):
        arguments = write_coco(tmp_path / name, large, annotations)
        part.update(arguments, type="imb_det.CocoDataset", metainfo=META)
        part.update(serialize_data=False)
    init_default_scope("mmdet")
    dataset = DATASETS.build(config)
    assert [shows_labels(part) for part in dataset.datasets] == [True, False]
    stats = ClassStats.from_dataset(dataset)
    assert (stats.instance_count.tolist(), stats.num_images) == ([2, 1], 4)
    # The labels of the file come to light no more if it has them after all, and a file
    # of unlabelled images may have no place for them, as COCO's own.
    path = tmp_path / "b" / "ann.json"
    content = json.loads(path.read_text())
    boxed = json.loads((tmp_path / "a" / "ann.json").read_text())["annotations"]
    without = {key: part for key, part in content.items() if key != "annotations"}
    for changed in ({**content, "annotations": boxed}, without):
        path.write_text(json.dumps(changed))
        for kind in ("imb_det", "mmdet"):
            config["datasets"][1]["type"] = f"{kind}.CocoDataset"
            dataset = DATASETS.build(config)
            assert ClassStats.from_dataset(dataset) == stats
            context = CheckContext(datasets=dict(train=dataset))
            found = [*check_annotation_files(context), *check_boxes(context)]
            assert found == []
