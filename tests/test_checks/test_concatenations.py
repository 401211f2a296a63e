"""Concatenated data sets: parts of other colours, ids of two kinds, ids in common."""

import re

import numpy as np
import pytest
import torch
from mmdet.engine.hooks import DetVisualizationHook
from mmengine.config import Config
from mmengine.registry import init_default_scope

from imb_det.checks import CHECKS, check_image_ids, check_metainfo, run_checks
from imb_det.core import CheckContext, FindingsError, raise_findings
from imb_det.evaluation.functional.ground_truth import GroundTruth
from imb_det.evaluation.offline import training_stats
from imb_det.registry import DATASETS, METRICS
from imb_det.samplers import RepeatFactorSampler
from imb_det.statistics import ClassStats
from imb_det.statistics.dataset_access import id_order, joint_metainfo
from tests.tiny_sets import write_coco, write_voc
from tests.toy_runner import (
    IMAGES,
    METAINFO,
    dataset_config,
    loader_config,
    make_runner,
)

COLOURS = ([(1, 2, 3)] * 2, [(4, 5, 6)] * 2)
BOXES = [(1, 1, [3, 3, 17, 17]), (2, 1, [3, 3, 17, 17]), (2, 2, [10, 5, 23, 23])]


def parts_of_other_colours(root):
    return [
        dataset_config(
            write_voc(root / name, IMAGES), metainfo=dict(METAINFO, palette=palette)
        )
        for name, palette in zip("ab", COLOURS, strict=True)
    ]


def concatenated(parts, **kwargs):
    init_default_scope("mmdet")
    return dict(type="ConcatDataset", datasets=parts, **kwargs)


def voc_and_coco(root, **kwargs):
    voc = dataset_config(write_voc(root / "voc", IMAGES), **kwargs)
    coco = dataset_config(write_coco(root / "coco", 2, BOXES), **kwargs)
    parts = [voc, dict(coco, type="imb_det.CocoDataset")]
    return concatenated(parts, ignore_keys=["dataset_type", "palette"])


def samples_of(dataset, seed=0):
    """Make data samples: ground truth, and predictions that find a part of it."""
    rng = np.random.default_rng(seed)
    samples = []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        truth = info["instances"]
        boxes = np.array([i["bbox"] for i in truth], np.float32).reshape(-1, 4)
        labels = np.array([i["bbox_label"] for i in truth], int)
        found = boxes + rng.integers(-3, 4, boxes.shape).astype(np.float32)
        predicted = np.where(rng.random(len(labels)) < 0.8, labels, 1 - labels)
        none = dict(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
        samples.append(
            dict(
                img_id=info["img_id"],
                ori_shape=(info["height"], info["width"]),
                gt_instances=dict(
                    bboxes=torch.tensor(boxes), labels=torch.tensor(labels)
                ),
                ignored_instances=none,
                instances=truth,
                pred_instances=dict(
                    bboxes=torch.tensor(found),
                    labels=torch.tensor(predicted),
                    scores=torch.tensor(rng.permutation(len(labels)) / 9 + index / 99),
                ),
            )
        )
    return samples


def figures_of(metric, dataset, samples, size=None):
    metric = METRICS.build(metric)
    metric.dataset_meta = dataset.metainfo
    metric.process({}, samples)
    return metric.evaluate(len(samples) if size is None else size)


# Colours.


def test_one_metainfo_of_several():
    first, second = (dict(METAINFO, palette=palette) for palette in COLOURS)
    assert joint_metainfo(first) is first
    assert joint_metainfo([first, second]) is first
    assert joint_metainfo(None) is None
    with pytest.raises(ValueError, match=r"parts 0 and 2 .*\('cat', 'dog'\) and \('do"):
        joint_metainfo([first, second, dict(classes=("dog", "cat"))])


@pytest.mark.parametrize("metric", ["imb_det.VOCMetric", "imb_det.CocoMetric"])
def test_metrics_take_parts_of_other_colours(tmp_path, metric):
    dataset = DATASETS.build(concatenated(parts_of_other_colours(tmp_path)))
    assert isinstance(dataset.metainfo, list)
    samples = samples_of(dataset)
    for number, sample in enumerate(samples):
        sample["img_id"] = number
    found = figures_of(dict(type=metric), dataset, samples)
    same = DATASETS.build(
        concatenated(parts_of_other_colours(tmp_path), ignore_keys=["palette"])
    )
    assert found == figures_of(dict(type=metric), same, samples)


def test_a_training_and_its_validation_on_parts_of_other_colours(tmp_path):
    parts = parts_of_other_colours(tmp_path)
    both = concatenated(parts)

    def runner(evaluator):
        tested = dict(both, datasets=[dict(part, test_mode=True) for part in parts])
        return make_runner(
            tmp_path / "run",
            dict(parts[0]),
            hooks=[dict(type="imb_det.ImbalanceHook")],
            train_dataloader=loader_config(both, shuffle=True),
            val_dataloader=loader_config(tested, shuffle=False),
            val_evaluator=evaluator,
        )

    refused = runner(dict(type="VOCMetric"))
    with pytest.raises(FindingsError) as error:
        refused.train()
    (found,) = error.value.findings
    assert (found.code, found.where) == ("metainfo_differs", "`val_dataloader`")
    assert found.evidence == (
        "its parts differ in ['palette'], and VOCMetric needs a mapping"
    )
    assert found.remedy == "Set `ignore_keys=['palette']` in `ConcatDataset`"
    assert refused.iter == 0
    trained = runner(dict(type="imb_det.VOCMetric"))
    trained.train()
    assert trained.iter == 5
    assert 0 <= trained.message_hub.get_scalar("val/pascal_voc/mAP").current() <= 1


def test_what_is_told_of_other_colours(tmp_path):
    dataset = DATASETS.build(concatenated(parts_of_other_colours(tmp_path)))
    ours = METRICS.build(dict(type="imb_det.VOCMetric"))
    context = CheckContext(datasets=dict(train=dataset, val=dataset))
    found = [(f.severity.value, f.where, f.evidence) for f in check_metainfo(context)]
    assert found == [
        (
            "warning",
            "`train_dataloader`",
            "its parts differ in ['palette'], and checkpoints will hold the list: "
            "`init_detector` fails",
        ),
        ("warning", "`val_dataloader`", "its parts differ in ['palette']"),
    ]
    hooks = [DetVisualizationHook(draw=True), DetVisualizationHook()]
    context = CheckContext(
        datasets=dict(train=dataset, val=dataset),
        metrics=dict(val=[ours]),
        hooks=hooks,
    )
    of_training, told = check_metainfo(context)
    assert (of_training.severity.value, told.severity.value) == ("warning", "error")
    assert "and DetVisualizationHook needs a mapping" in told.evidence


# Ids of two kinds.


def test_numbers_come_before_names():
    ids = ["b", 10, None, "a", np.int64(2), 1.5, ("x", 1)]
    assert sorted(ids, key=id_order) == [1.5, 2, 10, "a", "b", ("x", 1), None]


def test_voc_and_coco_are_scored_as_mmdet_does(tmp_path):
    dataset = DATASETS.build(voc_and_coco(tmp_path))
    samples = samples_of(dataset)
    assert {type(sample["img_id"]) for sample in samples} == {int, str}
    theirs = figures_of(dict(type="VOCMetric"), dataset, samples)
    ours = figures_of(dict(type="imb_det.VOCMetric"), dataset, samples)
    assert 0 < theirs["pascal_voc/mAP"] < 1
    for key, value in theirs.items():
        assert ours[key] == pytest.approx(value, abs=5.001e-4), key
    numbered = [dict(sample, img_id=n) for n, sample in enumerate(samples)]
    metric = dict(type="imb_det.CocoMetric")
    assert figures_of(metric, dataset, samples) == pytest.approx(
        figures_of(metric, dataset, numbered), abs=1e-12
    )
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    truth = GroundTruth.from_records(METAINFO["classes"], infos)
    assert truth.image_ids == (1, 2, "a", "b", "c", "d", "e")


# Ids in common.


def test_ids_of_two_files_are_told_before_the_first_image(tmp_path):
    parts = [dataset_config(write_voc(tmp_path / name, IMAGES)) for name in "ab"]
    dataset = DATASETS.build(concatenated(parts))
    alone = DATASETS.build(parts[0])

    def found(metric, data):
        context = CheckContext(
            datasets=dict(val=data), metrics=dict(val=[METRICS.build(metric)])
        )
        return [
            (f.severity.value, f.where, f.evidence) for f in check_image_ids(context)
        ]

    files = f"{tmp_path}/a/list.txt and {tmp_path}/b/list.txt"
    for kind in ("mmdet", "imb_det"):
        ((severity, where, evidence),) = found(dict(type=f"{kind}.CocoMetric"), dataset)
        assert (severity, where) == ("error", "CocoMetric of val")
        assert f"'a' in {files}" in evidence
        ((severity, where, _),) = found(dict(type=f"{kind}.VOCMetric"), dataset)
        assert (severity, where) == ("warning", "`val_dataloader`")
        assert found(dict(type=f"{kind}.CocoMetric"), alone) == []
    mixed = DATASETS.build(voc_and_coco(tmp_path))
    assert found(dict(type="imb_det.CocoMetric"), mixed) == []


def test_pascal_voc_tells_images_of_one_id_apart(tmp_path):
    parts = [dataset_config(write_voc(tmp_path / name, IMAGES)) for name in "ab"]
    dataset = DATASETS.build(concatenated(parts))
    samples = samples_of(dataset)
    theirs = figures_of(dict(type="VOCMetric"), dataset, samples)
    ours = figures_of(dict(type="imb_det.VOCMetric"), dataset, samples)
    for key, value in theirs.items():
        assert ours[key] == pytest.approx(value, abs=5.001e-4), key
    # A sampler has given the first images to a second rank once more.
    padded = [*samples, *samples[:2]]
    metric = dict(type="imb_det.VOCMetric")
    assert figures_of(metric, dataset, padded, len(samples)) == ours


# What everybody makes of two parts.

EMPTY = [dict(type="LoadEmptyAnnotations"), dict(type="PackDetInputs")]
SHOWN = [10, 6]  # cats and dogs
#: Arguments of the second part or of both, and counts, or what is said.
SECOND = {
    "like the first": (dict(), SHOWN, 10),
    "other colours": (dict(metainfo=dict(METAINFO, palette=COLOURS[0])), SHOWN, 10),
    "more in its metainfo": (dict(metainfo=dict(METAINFO, year=2012)), SHOWN, 10),
    "no labels": (dict(pipeline=EMPTY), [5, 3], 10),
    "fewer images": (dict(indices=2), [7, 4], 7),
    "other classes": (dict(metainfo=dict(classes=("cat", "fox"))), "('cat', 'fox')", 0),
    "another order": (dict(metainfo=dict(classes=("dog", "cat"))), "('dog', 'cat')", 0),
    "fewer classes": (dict(metainfo=dict(classes=("cat",))), "('cat',)", 0),
}


@pytest.mark.parametrize("name", SECOND)
def test_all_agree_on_two_parts(tmp_path, name):
    change, expected, number = SECOND[name]
    first = dataset_config(write_voc(tmp_path / "a", IMAGES), metainfo=METAINFO)
    first["metainfo"] = dict(METAINFO, palette=COLOURS[1], year=2007)
    same = dict(metainfo=first["metainfo"]) | change
    second = dataset_config(write_voc(tmp_path / "b", IMAGES), **same)
    if "palette" not in second["metainfo"]:  # mmdet fails where a key is missing
        second["metainfo"] = dict(first["metainfo"], **second["metainfo"])
    config = Config(dict(train_dataloader=dict(dataset=concatenated([first, second]))))
    dataset = DATASETS.build(config.train_dataloader.dataset)

    def of_metric():
        metric = METRICS.build(dict(type="imb_det.VOCMetric"))
        metric.dataset_meta = dataset.metainfo

    def of_checks():
        context = CheckContext(datasets=dict(train=dataset))
        raise_findings(run_checks(context, CHECKS))

    readers = [
        lambda: ClassStats.from_dataset(dataset),
        lambda: RepeatFactorSampler(dataset, repeat_thr=0.5, seed=0).class_stats,
        lambda: training_stats(config),
    ]
    if isinstance(expected, str):
        for read in [*readers, of_metric]:
            with pytest.raises(ValueError, match=re.escape(expected)):
                read()
        return
    for read in readers:
        stats = read()
        assert (stats.instance_count.tolist(), stats.num_images) == (expected, number)
    of_metric()
    of_checks()
