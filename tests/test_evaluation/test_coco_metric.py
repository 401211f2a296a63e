import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric as MMDetCocoMetric

from imb_det.evaluation import CocoMetric, VOCMetric
from imb_det.registry import METRICS
from imb_det.statistics import ClassStats
from imb_det.statistics.frequency_groups import GroupLimits
from tests.coco_scenes import (
    CLASSES,
    THRESHOLDS,
    by_class,
    coco_content,
    data_samples,
    pycocotools_eval,
    random_images,
    results_json,
)
from tests.references.ap import mean_ap


def run_metric(metric, samples, classes=CLASSES):
    metric.dataset_meta = dict(classes=classes)
    for sample in samples:
        metric.process({}, [sample])
    return metric.evaluate(size=len(samples))


def ann_file(tmp_path, images, classes=CLASSES):
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(coco_content(images, classes)))
    return str(path)


@pytest.mark.parametrize("with_file", [True, False])
@pytest.mark.parametrize(
    "config",
    [
        dict(),
        dict(metric=["bbox", "segm"], classwise=True),
        dict(metric="proposal"),
        dict(metric_items=["mAP_50", "AR@100", "AR_s@1000"]),
        dict(iou_thrs=np.array([0.5, 0.75])),  # mmdet fails on a list
    ],
    ids=["bbox", "masks", "proposal", "items", "thresholds"],
)
def test_equals_mmdet_to_its_digits(tmp_path, config, with_file):
    if not with_file and "metric" in config:
        config = {**config, "metric": "bbox"}
    images = random_images(11)
    path = ann_file(tmp_path, images) if with_file else None
    samples = data_samples(images, not with_file, with_masks=True)
    theirs = run_metric(MMDetCocoMetric(ann_file=path, **config), samples)
    ours = run_metric(CocoMetric(ann_file=path, **config), samples)
    assert set(ours) == set(theirs)
    for key, value in theirs.items():
        np.testing.assert_allclose(ours[key], value, atol=5.001e-4, err_msg=key)


def test_thresholds_as_list_or_number(tmp_path):
    images = random_images(11)
    path = ann_file(tmp_path, images)
    whole = run_metric(CocoMetric(path), data_samples(images))
    for iou_thrs in (0.5, [0.5]):
        figures = run_metric(CocoMetric(path, iou_thrs=iou_thrs), data_samples(images))
        assert figures["coco/bbox_mAP"] == whole["coco/bbox_mAP_50"]
        assert figures["coco/bbox_mAP_75"] == -1


def test_proposal_nums_name_their_recall(tmp_path):
    images = random_images(11)
    path = ann_file(tmp_path, images)
    metric = CocoMetric(path, metric="proposal_fast", proposal_nums=(1, 2, 50))
    figures = run_metric(metric, data_samples(images))
    oracle = pycocotools_eval(
        coco_content(images), results_json(images), "bbox", (1, 2, 50), True
    )
    recalls = [figures[f"coco/AR@{n}"] for n in (1, 2, 50)]
    np.testing.assert_allclose(recalls, oracle.stats[6:9], atol=1e-9)


def test_figures_are_not_rounded(tmp_path):
    images = random_images(11)
    ours = run_metric(CocoMetric(ann_file(tmp_path, images)), data_samples(images))
    assert ours["coco/bbox_mAP"] != round(ours["coco/bbox_mAP"], 6)


def test_groups_from_the_hook(tmp_path):
    images = random_images(13)
    stats = ClassStats(CLASSES, [3, 40, 500], [3, 40, 500], 600)
    metric = METRICS.build(
        dict(type="imb_det.CocoMetric", ann_file=ann_file(tmp_path, images))
    )
    metric.set_class_stats(stats)
    figures = run_metric(metric, data_samples(images))
    for letter, label in zip("rcf", range(3), strict=True):
        expected = mean_ap(by_class(images), [label], THRESHOLDS)
        assert figures[f"coco/bbox_AP{letter}"] == pytest.approx(expected, abs=1e-9)
        expected = mean_ap(by_class(images), [label], [0.5])
        assert figures[f"coco/bbox_AP{letter}_50"] == pytest.approx(expected, abs=1e-9)


def test_limits_of_the_groups_come_with_the_counts(tmp_path):
    images = random_images(13)
    path, counts = ann_file(tmp_path, images), [3, 40, 500]
    stats = ClassStats(CLASSES, counts, counts, 600, GroupLimits((40, 499)))
    ap = [mean_ap(by_class(images), [label], THRESHOLDS) for label in range(3)]

    def groups(**arguments):
        metric = CocoMetric(path, **arguments)
        metric.set_class_stats(stats)
        figures = run_metric(metric, data_samples(images))
        return {k[-1]: v for k, v in figures.items() if k[:-1] == "coco/bbox_AP"}

    assert groups() == pytest.approx(dict(r=np.mean(ap[:2]), f=ap[2]), abs=1e-9)
    own = groups(group_thresholds=(10, 100))  # of this metric alone
    assert own == pytest.approx(dict(zip("rcf", ap, strict=True)), abs=1e-9)
    shares = groups(group_quantiles=(0.3, 0.4))
    assert shares == pytest.approx(dict(zip("rcf", [ap[0], ap[1], ap[2]], strict=True)))


def test_a_group_without_objects_is_absent(tmp_path):
    images = [([(0, (0, 0, 10, 10), False)], [(0, (0, 0, 10, 10), 0.9)])]
    metric = CocoMetric(
        ann_file(tmp_path, images), class_stats=stats_file(tmp_path, [500, 3, 40])
    )
    figures = run_metric(metric, data_samples(images))
    assert figures["coco/bbox_APf"] == pytest.approx(1)
    assert not [key for key in figures if "APr" in key or "APc" in key]
    assert figures["coco/bbox_mAP_l"] == -1  # as mmdet


def stats_file(tmp_path, image_count):
    path = tmp_path / "stats.json"
    ClassStats(CLASSES, image_count, image_count, max(image_count)).to_json(path)
    return str(path)


def test_class_stats_from_annotations_and_thresholds(tmp_path):
    images = [([(0, (0, 0, 10, 10), False), (1, (20, 0, 10, 10), False)], [])] * 2
    images.append(([(1, (20, 0, 10, 10), False)], [(1, (20, 0, 10, 10), 0.9)]))
    path = ann_file(tmp_path, images)
    metric = CocoMetric(path, class_stats=path, group_thresholds=(2, 3))
    metric.set_class_stats(ClassStats(CLASSES, [9, 9, 9], [9, 9, 9], 9))  # outvoted
    figures = run_metric(metric, data_samples(images))
    assert figures["coco/bbox_APr"] == 0  # cat, in 2 images
    assert figures["coco/bbox_APc"] == pytest.approx(34 / 101)  # dog, in 3; 1 found
    assert "coco/bbox_APf" not in figures


@pytest.fixture
def log_lines(monkeypatch):
    lines = []

    def collect(message, logger=None, level=logging.INFO):
        lines.append((level, str(message)))

    for module in ("coco_metric", "counted_metric", "group_metric"):
        monkeypatch.setattr(f"imb_det.evaluation.{module}.print_log", collect)
    return lines


def test_missing_stats_are_told_once(tmp_path, log_lines):
    images = random_images(2)
    metric = CocoMetric(ann_file(tmp_path, images))
    for _ in range(2):
        figures = run_metric(metric, data_samples(images))
    assert not [key for key in figures if "APr" in key]
    told = [text for _, text in log_lines if "imb_det.ImbalanceHook" in text]
    assert len(told) == 1
    assert "custom_hooks" in told[0]
    assert "class_stats=" in told[0]


@pytest.mark.parametrize("knows_classes", [True, False])
def test_stats_of_the_hook_for_other_classes_are_left_out(
    tmp_path, log_lines, knows_classes
):
    images = random_images(2)
    metric = CocoMetric(ann_file(tmp_path, images))
    if knows_classes:
        metric.dataset_meta = dict(classes=CLASSES)
    names = [f"class {i}" for i in range(9)]
    metric.set_class_stats(ClassStats(names, [1] * 9, [1] * 9, 1))
    for _ in range(2):
        figures = run_metric(metric, data_samples(images))
        assert figures["coco/bbox_mAP"] > 0
        assert not [key for key in figures if "APr" in key]
    (text,) = [text for level, text in log_lines if level == logging.WARNING]
    assert "'class 4'] and 4 more, but evaluated are ['cat', 'dog', 'emu']" in text
    assert "class_stats='annotation file of the training set'" in text
    metric.set_class_stats(ClassStats(CLASSES, [1] * 3, [1] * 3, 1))
    assert "coco/bbox_APr" in run_metric(metric, data_samples(images))


def test_given_stats_for_other_classes_are_refused(tmp_path):
    images = random_images(1)
    stats = ClassStats(CLASSES[::-1], [1, 1, 1], [1, 1, 1], 1)
    metric = CocoMetric(ann_file(tmp_path, images), class_stats=stats)
    with pytest.raises(ValueError, match="first difference at 0"):
        run_metric(metric, data_samples(images))
    with pytest.raises(TypeError, match="list"):
        metric.set_class_stats([1, 2, 3])


def test_class_table(tmp_path, log_lines):
    images = [([(0, (0, 0, 10, 10), False)], [(0, (0, 0, 10, 10), 0.9)])]
    metric = CocoMetric(
        ann_file(tmp_path, images),
        classwise=True,
        class_stats=stats_file(tmp_path, [7, 300, 40]),
    )
    figures = run_metric(metric, data_samples(images))
    assert figures["coco/cat_precision"] == pytest.approx(1)
    assert np.isnan(figures["coco/dog_precision"])
    table = next(text for _, text in log_lines if "by class" in text)
    assert [" ".join(row.split()) for row in table.splitlines()[1:]] == [
        "class group train images boxes detections AP AP50 AR best F1 from score",
        "dog frequent 300 0 0 - - - - -",
        "emu common 40 0 0 - - - - -",
        "cat rare 7 1 1 1.000 1.000 1.000 1.000 0.900",
    ]


def test_label_order_of_the_file_is_demanded(tmp_path):
    images = random_images(1)
    path = ann_file(tmp_path, images)
    metric = CocoMetric(path)
    with pytest.raises(
        ValueError, match=r"label 0 is 'cat' in .*annotations\.json but"
    ):
        metric.dataset_meta = dict(classes=("dog", "cat", "emu"))
    with pytest.raises(ValueError, match=r"no category \['yak'\]"):
        metric.dataset_meta = dict(classes=("cat", "dog", "yak"))
    with pytest.raises(ValueError, match=r"without repeats"):
        metric.dataset_meta = dict(classes=("cat", "cat"))


def test_a_part_of_the_classes(tmp_path):
    images = random_images(1)
    path = ann_file(tmp_path, images)
    kept = [
        (
            [o for o in objects if o[0] != 1],
            [(k // 2, box, score) for k, box, score in detections if k != 1],
        )
        for objects, detections in images
    ]
    figures = run_metric(CocoMetric(path), data_samples(kept), ("cat", "emu"))
    theirs = run_metric(MMDetCocoMetric(path), data_samples(kept), ("cat", "emu"))
    assert figures["coco/bbox_mAP"] == pytest.approx(theirs["coco/bbox_mAP"], abs=6e-4)


def test_empty_results_are_zero_and_no_image_is_an_error(tmp_path):
    images = [(objects, []) for objects, _ in random_images(4)]
    metric = CocoMetric(ann_file(tmp_path, images))
    figures = run_metric(metric, data_samples(images))
    assert figures["coco/bbox_mAP"] == 0
    assert figures["coco/bbox_mAP_50"] == 0
    with pytest.raises(ValueError, match="no image was evaluated"):
        metric.compute_metrics([])


def test_nan_score_names_the_image(tmp_path):
    images = random_images(4)
    samples = data_samples(images)
    samples[5]["pred_instances"]["scores"] += torch.nan
    with pytest.raises(ValueError, match="image 5"):
        run_metric(CocoMetric(ann_file(tmp_path, images)), samples)


def test_images_left_out_do_not_count_as_missed(tmp_path, log_lines):
    images = [([(0, (0, 0, 10, 10), False)], [(0, (0, 0, 10, 10), 0.9)])] * 3
    metric = CocoMetric(ann_file(tmp_path, images))
    figures = run_metric(metric, data_samples(images)[:2])
    assert figures["coco/bbox_mAP"] == pytest.approx(1)
    assert [text for _, text in log_lines if "2 of the 3 images" in text]


def test_result_files_are_those_of_mmdet(tmp_path):
    images = random_images(6)
    path = ann_file(tmp_path, images)
    written = []
    for kind, metric_class in (("a", MMDetCocoMetric), ("b", CocoMetric)):
        prefix = str(tmp_path / kind)
        metric = metric_class(path, format_only=True, outfile_prefix=prefix)
        assert run_metric(metric, data_samples(images)) == {}
        written.append(Path(f"{prefix}.bbox.json").read_text())
    assert written[0] == written[1]


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        (dict(metric_items=["mAP", "mAPP"]), ValueError, "mAPP"),
        (dict(group_thresholds=(100, 10)), ValueError, "thresholds"),
        (dict(class_stats=[1, 2]), TypeError, "list"),
        (dict(class_stats="nowhere.json"), FileNotFoundError, "nowhere.json"),
    ],
)
def test_bad_arguments(kwargs, error, message):
    with pytest.raises(error, match=message):
        CocoMetric(**kwargs)


def test_tables_of_the_classes(tmp_path):
    images = [([(0, (0, 0, 10, 10), False)], [(0, (0, 0, 10, 10), 0.9)])]
    metric = CocoMetric(
        ann_file(tmp_path, images), class_stats=stats_file(tmp_path, [7, 300, 40])
    )
    metric.set_work_dir(tmp_path / "work")
    run_metric(metric, data_samples(images))
    rows = (tmp_path / "work" / "coco_bbox_classes.csv").read_text().splitlines()
    assert rows[0].startswith("class,group,train_images,boxes,detections,AP,AP50,AR,")
    assert rows[1] == "dog,frequent,300,0,0,,,,,"
    name, group, *numbers = rows[3].split(",")
    assert (name, group) == ("cat", "rare")
    expected = [7, 1, 1, 1, 1, 1, 1, 0.9]
    np.testing.assert_allclose([float(n) for n in numbers], expected, atol=1e-6)
    content = json.loads((tmp_path / "work" / "coco_bbox_classes.json").read_text())
    assert content["classes"][0]["AP"] is None
    assert content["classes"][2]["class"] == "cat"
    assert content["figures"]["APr"] == pytest.approx(1)
    assert content["training_set"]["imbalance_ratio"] == pytest.approx(300 / 7)
    # Sum of all differences, 2 (293 + 33 + 260), by 2 C and the sum.
    assert content["training_set"]["gini"] == pytest.approx(586 / (3 * 347))


def test_balance_of_the_classes(tmp_path):
    # AP 1 for the rare class, 0 for the common one, 1/2 for the frequent one.
    near, far = (0, 0, 10, 10), (20, 20, 10, 10)
    objects = [(0, near, False), (1, near, False), (2, near, False)]
    found = [(0, near, 0.9), (2, far, 0.9), (2, near, 0.8)]
    images = [(objects, found)]
    stats = stats_file(tmp_path, [7, 40, 300])
    metric = CocoMetric(ann_file(tmp_path, images), class_stats=stats)
    figures = run_metric(metric, data_samples(images))
    assert figures["coco/bbox_AP_gap"] == pytest.approx(-0.5)
    assert figures["coco/bbox_AP_gmean"] == 0
    assert figures["coco/bbox_AP_worst"] == 0
    assert figures["coco/bbox_ARf"] == pytest.approx(1)
    images[0][1].append((1, near, 0.5))
    figures = run_metric(metric, data_samples(images))
    assert figures["coco/bbox_AP_gmean"] == pytest.approx(0.5 ** (1 / 3))
    assert figures["coco/bbox_AP_worst"] == pytest.approx(0.5)


def test_groups_by_quantiles(tmp_path):
    images = random_images(13)
    metric = CocoMetric(
        ann_file(tmp_path, images),
        class_stats=stats_file(tmp_path, [500, 600, 700]),
        group_quantiles=(1 / 3, 2 / 3),
    )
    figures = run_metric(metric, data_samples(images))
    for letter, label in zip("rcf", range(3), strict=True):
        expected = mean_ap(by_class(images), [label], THRESHOLDS)
        assert figures[f"coco/bbox_AP{letter}"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("metric", [CocoMetric, VOCMetric])
@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (dict(iou_thrs=[0.5, 50]), "`iou_thrs` must be"),
        (dict(iou_thrs=[0.0]), "`iou_thrs` must be"),
        (dict(proposal_nums=(0, 100)), "`proposal_nums` must hold whole numbers"),
        (dict(proposal_nums=()), "`proposal_nums` must hold whole numbers"),
    ],
)
def test_what_cannot_be_judged_by_is_refused_before_the_first_image(
    metric, kwargs, message
):
    with pytest.raises(ValueError, match=message):
        metric(**kwargs)
