"""What would stop a training after an epoch, or a test after all images, stops it."""

import json

import pytest
from mmdet.evaluation import DumpDetResults

from imb_det.core import FindingsError
from tests.tiny_sets import write_coco, write_voc
from tests.toy_runner import (
    IMAGES,
    PIPELINE,
    dataset_config,
    loader_config,
    make_runner,
)

MASK = dict(segmentation=[[1, 1, 9, 1, 9, 9]])
BOXES = [(1, 1, [3, 3, 17, 17], MASK), (2, 2, [10, 5, 23, 23], MASK)]
COCO = dict(type="imb_det.CocoMetric", ann_file="{root}/coco/ann.json")
VOC = dict(type="imb_det.VOCMetric")
NOWHERE = "{root}/file/below"  # a file is no folder, not even for root
HOOK = dict(type="imb_det.ImbalanceHook")
BY_AP = [HOOK, dict(type="imb_det.ClassDifficultyHook", source="ap")]
NO_CLASSES = "the validation gives no average precision by class"
UNPACKED = [step for step in PIPELINE if step["type"] != "LoadAnnotations"]


def remote(backend):
    loader = dict(type="LoadImageFromFile", backend_args=dict(backend=backend))
    return [loader, *PIPELINE[1:]]


#: What is wrong, and what is said: code, and a part of the message. Besides keywords
#: of the runner, `change` is a change of the annotation file, `pipeline` that of the
#: validation, `parts` how many times the set is in it.
WRONG = {
    "no width": (
        dict(
            val_evaluator=dict(COCO, type="mmdet.CocoMetric", metric="segm"),
            change=lambda c: c["images"][1].pop("width"),
        ),
        "image_size",
        "has width and height [None, 30]",
    ),
    "no mask": (
        dict(
            val_evaluator=dict(COCO, metric="segm"),
            change=lambda c: c["annotations"][1].pop("segmentation"),
        ),
        "no_mask",
        "annotations[1] (id 2, image 2)",
    ),
    "no classwise": (
        dict(val_evaluator=COCO, hooks=BY_AP),
        "class_difficulty",
        NO_CLASSES,
    ),
    "no classwise in VOC": (
        dict(val_evaluator=VOC, hooks=BY_AP),
        "class_difficulty",
        NO_CLASSES,
    ),
    "tables": (
        dict(val_evaluator=dict(VOC, table_dir=NOWHERE)),
        "unwritable",
        "VOCMetric of val, `table_dir`: {root}/file/below: {root}/file is no folder",
    ),
    "results": (
        dict(val_evaluator=dict(COCO, outfile_prefix=NOWHERE + "/out")),
        "unwritable",
        "CocoMetric of val, `outfile_prefix`",
    ),
    "checkpoints": (
        dict(
            default_hooks=dict(checkpoint=dict(type="CheckpointHook", out_dir=NOWHERE))
        ),
        "unwritable",
        "CheckpointHook, `out_dir`: {root}/file/below",
    ),
    "file backend": (
        dict(pipeline=remote("remote")),
        "image_backend",
        "backend_args={{'backend': 'remote'}}",
    ),
    "file backend of petrel": (
        dict(pipeline=remote("petrel")),
        "image_backend",
        "its file backend cannot be had: Please install petrel_client",
    ),
    "no ground truth": (
        dict(val_evaluator=VOC, pipeline=UNPACKED),
        "no_ground_truth",
        "`val_dataloader`, {root}/voc/list.txt",
    ),
    "other images": (
        dict(val_evaluator=COCO),
        "other_images",
        "5 of 5, with the ids ['a', 'b', 'c', 'd', 'e']",
    ),
    "other images of mmdet's": (
        dict(val_evaluator=dict(COCO, type="mmdet.CocoMetric")),
        "other_images",
        "Set `ann_file` of the metric to that of the data set, {root}/voc/list.txt",
    ),
    "ids in common": (
        dict(val_evaluator=dict(type="imb_det.CocoMetric"), parts=2),
        "image_ids",
        "'a' in {root}/voc/list.txt and {root}/voc/list.txt",
    ),
}


def in_folder(config, root):
    """Write the folder into all texts of a config."""
    if isinstance(config, dict):
        return {key: in_folder(value, root) for key, value in config.items()}
    if isinstance(config, list):
        return [in_folder(value, root) for value in config]
    return config.format(root=root) if isinstance(config, str) else config


def runner_for(root, change=None, pipeline=PIPELINE, parts=1, hooks=(HOOK,), **kwargs):
    (root / "file").touch()
    write_coco(root / "coco", 5, BOXES)
    path = root / "coco" / "ann.json"
    content = json.loads(path.read_text())
    if change is not None:
        change(content)
    path.write_text(json.dumps(content))
    voc = dataset_config(write_voc(root / "voc", IMAGES))
    tested = dict(voc, pipeline=pipeline, test_mode=True)
    if parts > 1:
        tested = dict(type="ConcatDataset", datasets=[tested] * parts)
    return make_runner(
        root / "run",
        voc,
        hooks=hooks,
        val_dataloader=loader_config(tested, shuffle=False),
        **in_folder(kwargs, root),
    )


@pytest.mark.parametrize("name", WRONG)
def test_a_training_stops_before_its_first_iteration(tmp_path, name):
    what, code, text = WRONG[name]
    runner = runner_for(tmp_path, **what)
    with pytest.raises(FindingsError) as error:  # of the hook, or of the metric itself
        runner.train()
    assert code in {finding.code for finding in error.value.findings}
    assert text.format(root=tmp_path) in str(error.value)
    assert runner.iter == 0


def test_a_test_stops_before_its_first_image(tmp_path):
    """As of `tools/test.py --out`, which adds the metric that writes."""
    runner = runner_for(tmp_path)
    dump = DumpDetResults(out_file_path=f"{tmp_path}/file/a.pkl")
    runner.test_evaluator.metrics.append(dump)
    with pytest.raises(FindingsError, match="before the first image") as error:
        runner.test()
    assert [finding.code for finding in error.value.findings] == ["unwritable"]
    assert "`out_file_path`" in str(error.value)
    assert dump.results == []


def test_a_later_test_is_looked_at_too(tmp_path, monkeypatch):
    """A warning before the training, not an error after it."""
    lines = []
    monkeypatch.setattr(
        "imb_det.core.finding.print_log", lambda text, **_: lines.append(text)
    )
    voc = dataset_config(write_voc(tmp_path / "later", IMAGES), test_mode=True)
    runner = runner_for(
        tmp_path,
        test_dataloader=loader_config(dict(voc, pipeline=UNPACKED), shuffle=False),
        test_evaluator=[
            VOC,
            dict(type="DumpDetResults", out_file_path=f"{tmp_path}/file/a.pkl"),
        ],
    )
    runner.train()
    (warning,) = lines
    assert "2 warnings" in warning
    assert f"warning no_ground_truth: {'the pipeline loads no boxes'}" in warning
    assert "DumpDetResults of test, `out_file_path`" in warning
