"""Files of mmdet's own data sets are looked at as ours are, before the first step."""

import json
import runpy

import pytest
from mmdet.datasets import CocoDataset
from mmdet.evaluation import CocoPanopticMetric, DumpDetResults
from mmdet.evaluation.metrics import coco_panoptic_metric
from mmengine.config import Config

from imb_det.checks import (
    ALL_CHECKS,
    check_annotation_files,
    check_boxes,
    check_empty_sets,
    check_metric_needs,
    run_checks,
)
from imb_det.core import CheckContext, FindingsError
from imb_det.datasets import unread_files
from imb_det.datasets.unread_files import explain_failures, findings_of_config
from imb_det.evaluation.prediction_dump import PredictionDump
from imb_det.registry import DATASETS, METRICS
from imb_det.statistics import ClassStats
from imb_det.statistics.label_cache import label_table
from tests.tiny_sets import write_coco, write_image
from tests.toy_config import write_toy_config
from tests.toy_runner import dataset_config, make_runner

META = dict(classes=("cat", "dog"))
LOAD = dict(type="LoadImageFromFile")
MASK = dict(segmentation=[[1, 1, 9, 1, 9, 9]])
GOOD = [(1, 1, [1, 1, 9, 9], MASK), (1, 2, [1, 1, 9, 9], MASK)]


def config_of(root, change=lambda content: None, categories=("cat", "dog"), **kwargs):
    arguments = write_coco(root, 1, GOOD, categories)
    write_image(root / "1.jpg")
    path = root / "ann.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    config = dict(type="mmdet.CocoDataset", metainfo=META, serialize_data=False)
    return {**config, **arguments, **kwargs}


def found_in(config, split="train"):
    context = CheckContext(datasets={split: DATASETS.build(config)})
    return [(f.code, f.severity.value) for f in check_annotation_files(context)]


def test_sound_files_and_other_data_sets_pass(tmp_path):
    assert found_in(config_of(tmp_path)) == []
    is_ours = config_of(
        tmp_path, lambda c: c["annotations"][1].update(bbox=[1, 1, -9, 9])
    )
    assert found_in({**is_ours, "type": "imb_det.CocoDataset"}) == []  # it has told


def test_classes_in_another_order_than_the_file(tmp_path):
    """mmdet numbers labels by the file, so that names and labels part company."""
    config = config_of(tmp_path, categories=("dog", "cat"))
    assert found_in(config) == [("category_order", "error")]


@pytest.mark.parametrize(
    ("split", "severity"), [("train", "error"), ("val", "warning")]
)
def test_what_is_trained_on_in_silence_is_an_error_in_training(
    tmp_path, split, severity
):
    wide = dict(bbox=[1, 1, float("inf"), 9])
    config = config_of(tmp_path, lambda c: c["annotations"][1].update(wide))
    assert found_in(config, split) == [("not_finite", severity)]


@pytest.mark.parametrize(
    ("outline", "severity"),
    [([[1, 1, 9, 9]], "warning"), ([[1, 1, 9, float("nan"), 9, 9]], "error")],
)
def test_masks_that_the_pipeline_ignores_are_not_counted(tmp_path, outline, severity):
    step = dict(type="LoadAnnotations", with_bbox=True, with_mask=True)
    change = dict(segmentation=outline)
    config = config_of(
        tmp_path, lambda c: c["annotations"][1].update(change), pipeline=[LOAD, step]
    )
    assert found_in(config) == [("no_outline", severity)]
    dataset = DATASETS.build(config)
    assert label_table(dataset).instances_of().tolist() == [1, 0]
    assert ClassStats.from_dataset(dataset).instance_count.tolist() == [1, 0]
    if severity == "warning":
        ignored = dataset[0]["gt_ignore_flags"].tolist()
        assert ignored == [False, True]  # as the pipeline does
    without = DATASETS.build({**config, "pipeline": []})
    assert label_table(without).instances_of().tolist() == [1, 1]
    assert found_in({**config, "pipeline": []}) == []


@pytest.mark.parametrize("kind", ["mmdet", "imb_det"])
def test_unlabelled_images_need_no_annotations(tmp_path, kind):
    """As in COCO's file of unlabelled images, for semi-supervised trainings."""
    step = dict(type="LoadEmptyAnnotations")
    config = config_of(tmp_path, lambda c: c.pop("annotations"), pipeline=[LOAD, step])
    config["type"] = f"{kind}.CocoDataset"
    assert found_in(config) == []
    assert ClassStats.from_dataset(DATASETS.build(config)).num_images == 1
    missing = dict(config, pipeline=[LOAD, dict(type="LoadAnnotations")])
    if kind == "mmdet":
        assert found_in(missing) == [("annotation_keys", "error")]
    else:
        with pytest.raises(FindingsError, match=r"has no \['annotations'\]"):
            DATASETS.build(missing)


def test_unlabelled_images_need_no_classes_either(tmp_path):
    step = dict(type="LoadEmptyAnnotations")
    for kind in ("mmdet", "imb_det"):
        config = config_of(
            tmp_path,
            lambda c: c.update(annotations=[], categories=[]),
            pipeline=[LOAD, step],
        )
        config["type"] = f"{kind}.CocoDataset"
        assert found_in(config) == []


def test_the_last_classes_may_be_without_a_category_in_training(tmp_path):
    """No label shifts; a metric of mmdet would fail at a detection of such a class."""
    names = dict(metainfo=dict(classes=("cat", "dog", "bird")))
    config = config_of(tmp_path, **names)
    assert found_in(config) == [("category_missing", "warning")]
    assert found_in(config, "val") == [("category_order", "error")]
    other = config_of(tmp_path, metainfo=dict(classes=("bird", "cat", "dog")))
    assert found_in(other) == [("category_order", "error")]


class OwnEntries(CocoDataset):
    """Reads annotations that have no area."""

    def parse_data_info(self, raw_data_info):
        for annotation in raw_data_info["raw_ann_info"]:
            annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
        return super().parse_data_info(raw_data_info)


@pytest.mark.parametrize("wide", [9, float("inf")])
def test_classes_of_ones_own_may_read_entries_of_another_form(tmp_path, wide):
    """Their records are looked at all the same."""

    def change(content):
        content["annotations"][1]["bbox"][2] = wide
        for annotation in content["annotations"]:
            annotation.pop("area", None)

    dataset = DATASETS.build({**config_of(tmp_path, change), "type": OwnEntries})
    context = CheckContext(datasets=dict(train=dataset))
    found = run_checks(context, (check_annotation_files, check_boxes))
    assert [f.code for f in found] == ["unusable_box"] * (wide != 9)


def test_panoptic_files_have_another_form(tmp_path, monkeypatch):
    """Their data set reads them by the same function."""
    entry = dict(id=5, category_id=1, bbox=[1, 1, 9, 9], area=81, iscrowd=0)
    config = config_of(
        tmp_path,
        lambda c: c.update(
            annotations=[dict(image_id=1, file_name="1.png", segments_info=[entry])],
            categories=[dict(category, isthing=1) for category in c["categories"]],
        ),
    )
    dataset = DATASETS.build(dict(config, type="CocoPanopticDataset"))
    monkeypatch.setattr(coco_panoptic_metric, "panopticapi", object())
    metric = CocoPanopticMetric(ann_file=str(tmp_path / "ann.json"))
    metric.dataset_meta = dataset.metainfo
    context = CheckContext(
        datasets=dict(train=dataset, val=dataset), metrics=dict(val=[metric])
    )
    assert list(run_checks(context, ALL_CHECKS)) == []
    assert ClassStats.from_dataset(dataset).instance_count.tolist() == [1, 0]


@pytest.mark.parametrize("kind", ["mmdet", "imb_det"])
def test_a_set_with_secret_objects_is_tested_with_a_dump(tmp_path, kind):
    """As by `tools/test.py --out`, beside a metric that writes results."""
    config = config_of(tmp_path, lambda c: c.pop("annotations"), test_mode=True)
    dataset = DATASETS.build({**config, "type": f"{kind}.CocoDataset"})
    path = str(tmp_path / "out")
    ann_file = str(tmp_path / "ann.json")
    writer = dict(ann_file=ann_file, format_only=True, outfile_prefix=path)
    dumps = [PredictionDump(f"{path}.npz"), DumpDetResults(out_file_path=f"{path}.pkl")]
    for metrics in ([METRICS.build(dict(type="CocoMetric", **writer))], []):
        context = CheckContext(
            datasets=dict(test=dataset), metrics=dict(test=[*dumps, *metrics])
        )
        checks = (check_annotation_files, check_metric_needs, check_empty_sets)
        assert list(run_checks(context, checks)) == []
    # A metric that goes by the data set has nothing to judge.
    by_records = METRICS.build(dict(type="VOCMetric"))
    context = CheckContext(
        datasets=dict(test=dataset), metrics=dict(test=[*dumps, by_records])
    )
    codes = {finding.code for finding in run_checks(context, checks)}
    assert codes == {"annotation_keys", "empty_set"}


def test_run_lengths_that_stay_no_polygons_are_not_counted(tmp_path):
    step = dict(type="LoadAnnotations", with_mask=True, poly2mask=False)
    mask = dict(segmentation=dict(size=[30, 40], counts=[100, 50, 1050]))
    for kind in ("mmdet", "imb_det"):
        config = config_of(
            tmp_path, lambda c: c["annotations"][1].update(mask), pipeline=[LOAD, step]
        )
        dataset = DATASETS.build({**config, "type": f"{kind}.CocoDataset"})
        assert label_table(dataset).instances_of().tolist() == [1, 0]
        assert dataset[0]["gt_ignore_flags"].tolist() == [False, True]


def test_errors_of_mmdet_are_explained_by_the_file(tmp_path):
    config = config_of(tmp_path, lambda c: c["annotations"][1].pop("image_id"))
    loaders = Config(
        dict(train_dataloader=dict(dataset=dict(dataset=config, type="x")))
    )
    with (
        pytest.raises(
            FindingsError, match=r"KeyError: .*image_id.*\): 1 error"
        ) as error,
        explain_failures(loaders),
    ):
        DATASETS.build(config)
    assert "ann.json: annotations[1] (id 2): lacks the key `image_id`" in str(
        error.value
    )
    # Others are left alone, also those of data sets.
    unknown = {**config_of(tmp_path), "nothing": 1}
    sound = Config(dict(train_dataloader=dict(dataset=config_of(tmp_path))))
    with pytest.raises(TypeError, match="nothing"), explain_failures(sound):
        DATASETS.build(unknown)
    with pytest.raises(OSError, match="mine"), explain_failures(loaders):
        raise OSError("mine")
    # So are those beside which files cannot be looked at.
    config["ann_file"] = "nowhere.json"
    missing = Config(dict(val_dataloader=dict(dataset=config)))
    with pytest.raises(TypeError, match="nothing"), explain_failures(missing):
        DATASETS.build(unknown)


@pytest.mark.parametrize("kind", [KeyError, FloatingPointError, ValueError])
def test_errors_of_models_are_not_laid_to_files(tmp_path, monkeypatch, kind):
    # To read large files once more would keep other ranks waiting for minutes.
    config = config_of(tmp_path, lambda c: c["annotations"][1].pop("image_id"))
    loaders = Config(dict(train_dataloader=dict(dataset=config)))
    monkeypatch.setattr(
        unread_files, "findings_of_config", lambda _: pytest.fail("files were read")
    )
    with pytest.raises(kind, match="mine"), explain_failures(loaders):
        raise kind("mine")


def test_files_of_metrics_are_explained_too(tmp_path):
    config_of(tmp_path, lambda c: c["annotations"][1].pop("id"))
    path = str(tmp_path / "ann.json")
    for kind in ("CocoMetric", "mmdet.LVISMetric", "imb_det.CocoMetric"):
        evaluators = [dict(type=kind, ann_file=path), dict(type="VOCMetric")]
        found = list(findings_of_config(Config(dict(val_evaluator=evaluators))))
        assert [finding.code for finding in found] == ["entry_key"]


def test_a_training_with_mmdets_data_set_stops_at_its_start(tmp_path):
    config = config_of(tmp_path, lambda c: c["images"][0].update(width=0))
    hooks = [dict(type="imb_det.ImbalanceHook", check_images=False)]
    dataset = dataset_config(config, type="mmdet.CocoDataset")
    runner = make_runner(tmp_path / "run", dataset, hooks=hooks)
    with pytest.raises(FindingsError, match=r"images\[0\] \(id 1, '1.jpg'\)"):
        runner.train()
    assert runner.iter == 0


def test_the_tool_names_what_mmdet_fails_at(tmp_path, monkeypatch, repo_root):
    path = write_toy_config(tmp_path)
    text = path.read_text().replace("imb_det.CocoDataset", "mmdet.CocoDataset")
    path.write_text(text)
    ann_file = tmp_path / "data" / "ann.json"
    content = json.loads(ann_file.read_text())
    content["annotations"][0]["bbox"] = [1, 1, None, 9]
    ann_file.write_text(json.dumps(content))
    tool = runpy.run_path(str(repo_root / "tools" / "train.py"))
    monkeypatch.setattr("sys.argv", ["train.py", str(path)])
    with pytest.raises(
        FindingsError, match=r"ann\.json: annotations\[0\] \(id 1, image"
    ):
        tool["main"]()
