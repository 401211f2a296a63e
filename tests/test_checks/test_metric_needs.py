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


KINDS = ["imb_det.CocoMetric", "mmdet.CocoMetric"]


def file_findings(kind, path, metric="bbox"):
    """What is found at the start, also where the metric refuses the file by itself."""
    try:
        return findings(METRICS.build(dict(type=kind, ann_file=path, metric=metric)))
    except FindingsError as error:
        return error.findings


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("change", "metric", "code", "where", "evidence"),
    [
        (lambda c: None, "segm", None, "", ""),
        (
            lambda c: c.update(annotation=c.pop("annotations")),
            "bbox",
            "annotation_keys",
            "",
            "has no ['annotations'], only ['annotation', 'categories', 'images']",
        ),
        (
            lambda c: c["images"][0].update(height="30"),
            "segm",
            "image_size",
            ": images[0] (id 1, '1.jpg')",
            "`height` must be a number of pixels, got '30'",
        ),
        (
            lambda c: c["annotations"][1].pop("segmentation"),
            "segm",
            "no_mask",
            ": annotations[1] (id 2, image 2)",
            "has no mask",
        ),
        (
            lambda c: c["annotations"][1].update(segmentation=[]),
            ["bbox", "segm"],
            "no_mask",
            ": annotations[1] (id 2, image 2)",
            "`segmentation` is []",
        ),
        (lambda c: c["annotations"][1].pop("segmentation"), "bbox", None, "", ""),
        (  # of a class that is not judged
            lambda c: c["annotations"][1].update(category_id=3, segmentation=[]),
            "segm",
            None,
            "",
            "",
        ),
    ],
    ids=["sound", "key", "text", "mask", "empty", "boxes", "other"],
)
def test_annotation_files(tmp_path, kind, change, metric, code, where, evidence):
    path = written(tmp_path, change)
    found = file_findings(kind, path, metric)
    assert [finding.code for finding in found] == ([] if code is None else [code])
    file = path if kind == KINDS[0] else "`ann_file` of CocoMetric of val"
    for finding in found:
        assert (finding.where, finding.evidence) == (file + where, evidence)
        assert finding.severity.value == "error"
        assert finding.remedy


@pytest.mark.parametrize(
    ("change", "metric", "code"),
    [
        (dict(bbox=[1, 1, float("nan"), 9]), "bbox", "not_finite"),
        (dict(bbox=[1, 1, 1e30, 9]), "bbox", "huge"),
        (dict(bbox=[1, 1, -9, 9]), "bbox", "negative"),
        (dict(area=float("nan")), "bbox", "bad_area"),
        (dict(segmentation=[[1, 1]]), "segm", "no_outline"),
        (dict(segmentation=[[1, 1, 9, float("nan"), 9, 9]]), "segm", "no_outline"),
    ],
)
def test_what_mmdets_metrics_would_count_as_missed_is_an_error(
    tmp_path, change, metric, code
):
    """Ours leave it out, or judge it by its box, with a warning."""
    path = written(tmp_path, lambda c: c["annotations"][1].update(change))
    ours, theirs = (file_findings(kind, path, metric) for kind in KINDS)
    assert [(f.code, f.severity.value) for f in ours] == [(code, "warning")]
    assert [(f.code, f.severity.value) for f in theirs] == [(code, "error")]
    assert ours[0].where == f"{path}: annotations[1] (id 2, image 2)"
    assert "imb_det.CocoMetric" in theirs[0].remedy


@pytest.mark.parametrize(("value", "severity"), [(0, "warning"), ("2", "error")])
def test_ids_of_annotations_that_pycocotools_does_not_know(tmp_path, value, severity):
    """Text stops it; of id 0, as some tools count from it, one object is missed."""
    if value == 0:
        path = written(tmp_path, lambda c: c["annotations"][0].update(id=0))
    else:
        path = written(
            tmp_path, lambda c: [a.update(id=str(a["id"])) for a in c["annotations"]]
        )
    ours, theirs = (file_findings(kind, path) for kind in KINDS)
    assert not ours
    known = {(finding.code, finding.severity.value) for finding in theirs}
    assert known == {("annotation_id", severity)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", ["bbox", "segm"])
def test_sizes_are_needed_for_the_masks_of_mmdets_metric_alone(tmp_path, kind, metric):
    """Ours take them from what was evaluated."""
    path = written(tmp_path, lambda c: c["images"][1].update(width=0))
    found = file_findings(kind, path, metric)
    is_needed = kind == KINDS[1] and metric == "segm"
    assert [f.code for f in found] == ["image_size"] * is_needed


def test_what_a_data_set_has_told_is_told_once(tmp_path):
    path = written(tmp_path, lambda c: c["annotations"][1].update(bbox=[1, 1, -9, 9]))
    config = dict(ann_file=path, data_prefix=dict(img=str(tmp_path)), metainfo=META)
    dataset = DATASETS.build(dict(type="imb_det.CocoDataset", **config))
    metric = METRICS.build(dict(type=KINDS[0], ann_file=path))
    assert [finding.code for finding in findings(metric)] == ["negative"]
    assert findings(metric, dataset) == []
    assert dataset.audit.counts["negative"] == 1


def test_a_test_set_without_annotations_cannot_be_judged_by_itself(tmp_path):
    path = written(tmp_path, lambda c: c.pop("annotations"))
    config = dict(ann_file=path, data_prefix=dict(img=str(tmp_path)), metainfo=META)
    dataset = DATASETS.build(dict(type="imb_det.CocoDataset", test_mode=True, **config))
    assert len(dataset) == 2
    (found,) = findings(METRICS.build(dict(type=KINDS[0])), dataset)
    assert (found.code, found.where) == ("annotation_keys", path)
    with pytest.raises(FindingsError, match=r"has no \['annotations'\]"):
        DATASETS.build(dict(type="imb_det.CocoDataset", **config))


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
        assert f"{path}: has no ['annotations']" in str(error.value)
        assert runner.iter == 0
