"""What an evaluation would lack is found before the first image."""

import copy
import json

import pytest

from imb_det.checks import check_metric_needs
from imb_det.core import CheckContext, FindingsError
from imb_det.registry import DATASETS, METRICS
from tests.tiny_sets import write_coco, write_voc
from tests.toy_runner import IMAGES, dataset_config, make_runner

MASK = dict(segmentation=[[1, 1, 9, 1, 9, 9]])
GOOD = [(1, 1, [1, 1, 9, 9], MASK), (2, 2, [1, 1, 9, 9], MASK)]
META = dict(classes=("cat", "dog"))


def written(root, change):
    """Write a sound COCO file, then change its content."""
    write_coco(root, 2, GOOD, ("cat", "dog", "bird"))
    path = root / "ann.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return str(path)


def findings(metric, dataset=None):
    metric.dataset_meta = META
    datasets = {} if dataset is None else dict(val=dataset)
    context = CheckContext(datasets=datasets, metrics=dict(val=[metric]))
    return list(check_metric_needs(context))


@pytest.mark.parametrize("kind", ["imb_det.CocoMetric", "mmdet.CocoMetric"])
@pytest.mark.parametrize(
    ("change", "metric", "code", "evidence"),
    [
        (lambda c: None, "segm", None, ""),
        (
            lambda c: c.update(annotation=c.pop("annotations")),
            "bbox",
            "annotation_keys",
            "has no ['annotations'], only ['annotation', 'categories', 'images']",
        ),
        (
            lambda c: c["images"][1].pop("width"),
            "segm",
            "image_size",
            "image 2 (2.jpg) has width and height [None, 30]",
        ),
        (
            lambda c: c["images"][0].update(height="30"),
            "segm",
            "image_size",
            "image 1 (1.jpg) has width and height [40, '30']",
        ),
        (
            lambda c: c["annotations"][1].pop("segmentation"),
            "segm",
            "no_mask",
            "annotation 2 of image 2",
        ),
        (
            lambda c: c["annotations"][1].update(segmentation=[]),
            ["bbox", "segm"],
            "no_mask",
            "annotation 2 of image 2",
        ),
        (lambda c: c["annotations"][1].pop("segmentation"), "bbox", None, ""),
        (  # of a class that is not judged
            lambda c: c["annotations"][1].update(category_id=3, segmentation=[]),
            "segm",
            None,
            "",
        ),
    ],
    ids=["sound", "key", "width", "text", "mask", "empty", "boxes", "other"],
)
def test_annotation_files(tmp_path, kind, change, metric, code, evidence):
    path = written(tmp_path, change)
    found = findings(METRICS.build(dict(type=kind, ann_file=path, metric=metric)))
    assert [finding.code for finding in found] == ([] if code is None else [code])
    for finding in found:
        assert finding.evidence == evidence
        file = path if kind == "imb_det.CocoMetric" else "its annotation file"
        assert finding.where == f"CocoMetric of val, {file}"
        assert finding.severity.value == "error"
        assert finding.remedy


@pytest.mark.parametrize("kind", ["imb_det", "mmdet"])
def test_boxes_need_sizes_in_our_metrics_alone(tmp_path, kind):
    path = written(tmp_path, lambda c: c["images"][1].update(width=0))
    found = findings(METRICS.build(dict(type=f"{kind}.CocoMetric", ann_file=path)))
    sizes = ["image_size"] if kind == "imb_det" else []
    assert [finding.code for finding in found] == sizes


def test_masks_of_a_data_set_that_is_judged_as_it_is(tmp_path):
    path = written(tmp_path, lambda c: c["annotations"][1].pop("segmentation"))
    config = dict(ann_file=path, data_prefix=dict(img=str(tmp_path)), metainfo=META)
    dataset = DATASETS.build(dict(type="imb_det.CocoDataset", **config))
    (found,) = findings(METRICS.build(dict(type="CocoMetric", metric="segm")), dataset)
    assert (found.code, found.evidence) == (
        "no_mask",
        f"object[0] of {tmp_path}/2.jpg",
    )
    assert findings(METRICS.build(dict(type="CocoMetric")), dataset) == []


def test_results_only_need_no_annotations(tmp_path):
    path = written(tmp_path, lambda c: c.pop("annotations"))
    metric = dict(type="CocoMetric", ann_file=path, format_only=True)
    prefix = str(tmp_path / "new" / "out")
    assert findings(METRICS.build(dict(metric, outfile_prefix=prefix))) == []


def test_a_training_stops_at_its_start_and_a_test_too(tmp_path):
    """Not after an epoch, or after all images."""
    voc = dataset_config(write_voc(tmp_path / "voc", IMAGES))
    path = written(tmp_path, lambda c: c.update(annotation=c.pop("annotations")))
    metric = dict(type="imb_det.CocoMetric", ann_file=path)
    hooks = [dict(type="imb_det.ImbalanceHook")]
    for work in ("train", "val", "test"):
        runner = make_runner(
            tmp_path / "run", voc, hooks=hooks, val_evaluator=copy.deepcopy(metric)
        )
        runner._test_evaluator = copy.deepcopy(metric)
        with pytest.raises(FindingsError, match="annotation_keys") as error:
            getattr(runner, work)()
        assert "CocoMetric of " + ("test" if work == "test" else "val") in str(
            error.value
        )
        assert runner.iter == 0
