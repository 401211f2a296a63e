import csv
import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_utils
from scipy.sparse import csr_matrix

from imb_det.analysis import make_example
from imb_det.evaluation import CocoMetric, FederatedGroundTruth, GroundTruth, LVISMetric
from imb_det.evaluation.csv_tables import read_table
from imb_det.evaluation.diagnostics import diagnose
from imb_det.evaluation.functional import Detections
from imb_det.evaluation.functional.calibration import calibration
from imb_det.evaluation.functional.coco_eval import CocoRules
from imb_det.evaluation.functional.confusion import confusion_matrix, group_confusion
from imb_det.evaluation.functional.lvis_eval import LvisRules
from imb_det.evaluation.functional.matches import RIGHT
from imb_det.evaluation.functional.matching import judge, match
from imb_det.statistics import ClassStats
from tests.coco_scenes import (
    CLASSES,
    box_masks,
    coco_content,
    data_samples,
    predictions_of,
    random_images,
)
from tests.federated_scenes import federated_predictions, lvis_content
from tests.references.ap import overlap
from tests.test_evaluation import test_lvis_metric

A, B = (0.0, 0.0, 10.0, 10.0), (20.0, 20.0, 10.0, 10.0)


def sets_of(images):
    truth = GroundTruth.from_coco(coco_content(images), CLASSES)
    return truth, Detections.from_predictions(truth, predictions_of(images))


def confused(truth, found, iou_thr=0.5, **kwargs):
    """Count confusions by the verdicts of COCO's rules, at several overlaps."""
    judged = judge(truth, found, iou_thrs=[0.6, iou_thr])
    return confusion_matrix(truth, found, judged, iou_thr=iou_thr, **kwargs).toarray()


def test_confusion_by_hand():
    objects = [(0, A, False), (1, B, False)]
    found = [
        (0, A, 0.5),  # right, though the next has a better score
        (2, A, 0.9),  # its object is taken: on the background
        (2, B, 0.8),  # takes class 1 for 2
        (1, (40.0, 0.0, 5.0, 5.0), 0.4),  # on nothing
        (1, B, 0.2),  # below the threshold
    ]
    images = [(objects, found), ([(2, A, False)], [])]
    matrix = confused(*sets_of(images))
    assert matrix.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 1, 0]]
    groups = {"rare": np.array([0]), "frequent": np.array([1, 2])}
    assert group_confusion(csr_matrix(matrix), groups) == {
        "rare": {"right": 1, "within": 0, "frequent": 0, "background": 0},
        "frequent": {"right": 0, "within": 1, "rare": 0, "background": 1},
        "background": {"rare": 0, "frequent": 2},
    }


def slow_confusion(images, score_thr, iou_thr):
    matrix = np.zeros((4, 4), int)
    for objects, detections in images:
        kept = [d for d in detections if d[2] >= score_thr]
        pairs = []
        for i, (label, box, score) in enumerate(kept):
            for j, (other, theirs, crowd) in enumerate(objects):
                found = overlap(box, theirs, crowd)
                if found >= iou_thr and not crowd:
                    pairs.append((label != other, -score, i, -found, j))
        partner = {}
        for _, _, i, _, j in sorted(pairs):
            if i not in partner and j not in partner.values():
                partner[i] = j
        for i, (label, box, _) in enumerate(kept):
            if i in partner:
                matrix[objects[partner[i]][0], label] += 1
            elif not any(
                crowd and overlap(box, theirs, True) >= iou_thr
                for _, theirs, crowd in objects
            ):
                matrix[3, label] += 1
        for j, (label, _, crowd) in enumerate(objects):
            if not crowd and j not in partner.values():
                matrix[label, 3] += 1
    return matrix


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.4]), st.sampled_from([0.3, 0.7]))
def test_confusion_equals_the_slow_reference(seed, score_thr, iou_thr):
    images = random_images(seed, num_images=6)
    # Scores of their own, so that the order has no ties.
    rng = np.random.default_rng(seed)
    images = [(o, [(c, b, rng.random()) for c, b, _ in d]) for o, d in images]
    matrix = confused(*sets_of(images), score_thr=score_thr, iou_thr=iou_thr)
    np.testing.assert_array_equal(matrix, slow_confusion(images, score_thr, iou_thr))
    # One for one: every object and every detection counts at most once.
    objects = sum(not crowd for own, _ in images for _, _, crowd in own)
    assert matrix[:3].sum() == objects
    assert matrix[:, :3].sum() <= sum(
        score >= score_thr for _, d in images for *_, score in d
    )


def test_confusion_of_masks_is_that_of_their_boxes():
    rng = np.random.default_rng(1)

    def drawn(number):
        sides = rng.integers(4, 20, (number, 2)), rng.integers(1, 20, (number, 2))
        boxes = np.hstack([sides[1], sides[0]]).astype(float).tolist()
        return [(int(rng.integers(3)), tuple(box)) for box in boxes]

    images = []
    for _ in range(20):
        objects = [(label, box, False) for label, box in drawn(6)]
        found = [(label, box, rng.random()) for label, box, _ in objects[:4]]
        found += [((c + 1) % 3, box, rng.random()) for c, box, _ in objects[4:]]
        found += [(label, box, rng.random()) for label, box in drawn(6)]
        images.append((objects, found))
    truth, boxes = sets_of(images)
    predictions = predictions_of(images)
    for prediction in predictions:
        shapes = box_masks(torch.tensor(prediction["bboxes"])).numpy()
        prediction["masks"] = [
            mask_utils.encode(np.asfortranarray(shape, np.uint8)) for shape in shapes
        ]
    masks = Detections.from_predictions(truth, predictions, "segm")
    expected = confused(truth, boxes, score_thr=0)
    np.testing.assert_array_equal(confused(truth, masks, score_thr=0), expected)
    off = expected[:3, :3] - np.diag(expected.diagonal()[:3])
    assert off.sum() > 5  # there is something to confuse


def test_the_diagonal_is_what_ap_calls_right():
    truth, found = sets_of(random_images(17, num_images=40))
    matrix = confused(truth, found, score_thr=0)
    matches = match(truth, found, iou_thrs=[0.5])
    right = matches.verdict[:, 0] == RIGHT
    np.testing.assert_array_equal(
        matrix.diagonal()[:3], np.bincount(matches.label[right], minlength=3)
    )


def test_federated_confusion():
    # Class 1 was not looked for; of class 2 objects may be missing.
    found = [(0, B, 0.9), (1, A, 0.8), (2, B, 0.7)]
    scene = [([(0, A, False), (2, A, False)], found, [], [2])]
    truth = FederatedGroundTruth.from_lvis(lvis_content(scene))
    detections = Detections.from_predictions(truth, federated_predictions(scene))
    judged = LvisRules().judge(truth, detections)
    matrix = confusion_matrix(truth, detections, judged).toarray()
    assert matrix.tolist() == [[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]]


def test_calibration_by_hand():
    # Two of score 0.9, one right; one of 0.4, right; one of 0.1, not counted.
    objects = [(0, A, False), (1, B, False)]
    found = [(0, A, 0.9), (0, B, 0.9), (1, B, 0.4), (1, A, 0.1)]
    matches = match(*sets_of([(objects, found)]), iou_thrs=[0.5])
    result = calibration(matches, score_thr=0.2, bins=2)
    assert result.count.tolist() == [1, 2]
    np.testing.assert_allclose(result.mean_score, [0.4, 0.9])
    np.testing.assert_allclose(result.precision, [1, 0.5])
    assert result.error == pytest.approx((1 * 0.6 + 2 * 0.4) / 3)
    assert calibration(matches, np.array([1]), bins=1).error == pytest.approx(0.6)
    assert np.isnan(calibration(matches, np.array([2])).error)


def test_calibrated_scores_have_no_error():
    rng = np.random.default_rng(0)
    images = []
    for _ in range(4000):
        score = float(rng.uniform(0.3, 1))
        box = A if rng.random() < score else B
        images.append(([(0, A, False)], [(0, box, score)]))
    matches = match(*sets_of(images), iou_thrs=[0.5])
    assert calibration(matches).error < 0.04
    assert calibration(matches, bins=1).error < 0.02


@pytest.mark.parametrize(
    "arguments", [dict(score_thr=-0.1), dict(score_thr=1), dict(bins=0)]
)
def test_bad_arguments_of_calibration(arguments):
    matches = match(*sets_of([([], [])]), iou_thrs=[0.5])
    with pytest.raises(ValueError, match="score_thr"):
        calibration(matches, **arguments)
    truth, found = sets_of([([], [])])
    judged = judge(truth, found, iou_thrs=[0.6])
    with pytest.raises(ValueError, match=r"overlap of 0.5 was not judged, only \[0.6"):
        confusion_matrix(truth, found, judged)
    with pytest.raises(ValueError, match="`score_thr` must be in"):
        confusion_matrix(truth, found, judged, score_thr=2)


def test_files_of_the_metric(tmp_path):
    objects = [(0, A, False), (1, B, False)]
    images = [(objects, [(0, A, 0.75), (2, B, 0.75)])]
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(coco_content(images)))
    metric = CocoMetric(
        str(path),
        diagnostics=True,
        table_dir=tmp_path,
        class_stats=ClassStats(CLASSES, [3, 40, 500], [3, 40, 500], 600),
    )
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, data_samples(images))
    figures = metric.evaluate(1)
    # One of two is right, both with 0.75.
    assert figures["coco/bbox_calibration_error"] == pytest.approx(0.25)
    assert figures["coco/bbox_calibration_error_r"] == pytest.approx(0.25)
    assert figures["coco/bbox_calibration_error_f"] == pytest.approx(0.75)
    assert figures["coco/bbox_calibration_error_c"] == -1  # no detection
    with (tmp_path / "coco_bbox_confusion.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0][1:] == [*CLASSES, "background"]
    assert rows[1:] == [
        ["cat", "1", "0", "0", "0"],
        ["dog", "0", "0", "1", "0"],
        ["emu", "0", "0", "0", "0"],
        ["background", "0", "0", "0", "0"],
    ]
    content = json.loads((tmp_path / "coco_bbox_diagnostics.json").read_text())
    assert content["confusion_of_groups"]["common"]["frequent"] == 1
    assert sum(content["calibration"]["all"]["count"]) == 2


def test_lvis_metric_writes_them_too(tmp_path):
    images = [([(0, A, False)], [(0, A, 0.9), (3, B, 0.9)], [], [])]
    path = test_lvis_metric.written(tmp_path, lvis_content(images, "rrccff"))
    metric = LVISMetric(path, metric="segm", diagnostics=True, table_dir=tmp_path)
    figures = test_lvis_metric.run_metric(metric, test_lvis_metric.samples_of(images))
    # The class that nobody looked for does not count.
    assert figures["lvis/segm_calibration_error"] == pytest.approx(0.1, abs=1e-6)
    assert (tmp_path / "lvis_segm_confusion.csv").is_file()


def test_objects_of_no_size_of_coco_do_not_shift_the_others():
    # An area below 0 or above COCO's largest makes an object nothing to find.
    boxes = [(0, 0, 10, 10), (20, 0, 10, 10), (40, 0, 10, 10)]
    images = [([(0, box, False) for box in boxes], [(0, boxes[2], 0.9)])]
    content = coco_content(images)
    content["annotations"][0]["area"] = -1
    content["annotations"][1]["area"] = 2e10
    truth = GroundTruth.from_coco(content, CLASSES)
    found = Detections.from_predictions(truth, predictions_of(images))
    results = CocoRules().evaluate(truth, found)
    assert results.object_count.tolist() == [1, 0, 0]
    assert results.ap[0] == pytest.approx(1)
    matrix = confusion_matrix(truth, found, results.judged).toarray()
    assert matrix[0].tolist() == [1, 0, 0, 0]
    assert matrix.sum() == 1
    example = make_example(truth, 0, "a.jpg", found, results.judged)
    assert example.objects.tolist() == [[40, 0, 50, 10]]
    assert example.is_found.tolist() == [True]


def many_classes(number):
    """Objects and detections of many classes, most of which are taken for others."""
    rng = np.random.default_rng(0)
    classes = tuple(f"class {label}" for label in range(number))
    boxes = [(8.0 * x, 8.0 * y, 6.0, 6.0) for x in range(8) for y in range(6)]
    images = []
    for _ in range(60):
        objects = [(int(rng.integers(number)), box, False) for box in boxes]
        found = [
            (label if rng.random() < 0.3 else int(rng.integers(number)), box, 0.9)
            for label, box, _ in objects
        ]
        images.append((objects, found))
    truth = GroundTruth.from_coco(coco_content(images, classes), classes)
    return truth, Detections.from_predictions(truth, predictions_of(images)), images


def test_many_classes_need_little_memory_and_disk(tmp_path):
    number = 20_000
    truth, found, images = many_classes(number)
    judged = judge(truth, found, iou_thrs=[0.5])
    groups = {"rare": np.arange(15_000), "frequent": np.arange(15_000, number)}
    stale = tmp_path / "x_confusion.csv"
    stale.write_text("of another evaluation")
    tracemalloc.start()
    try:
        diagnose(truth, found, judged, groups, tmp_path / "x")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6  # the whole matrix has 3.2e9
    files = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert files.keys() == {"x_confused_pairs.csv", "x_diagnostics.json"}
    assert sum(files.values()) < 100_000
    header, *rows = read_table(tmp_path / "x_confused_pairs.csv")
    assert header == ["true", "predicted", "count", "share of the true class"]
    assert len(rows) == 1000
    assert all(true != predicted for true, predicted, *_ in rows)
    sums = json.loads((tmp_path / "x_diagnostics.json").read_text())
    sums = sums["confusion_of_groups"]
    right = sum(sums[name]["right"] for name in groups)
    expected = sum(
        o[0] == d[0] for own, theirs in images for o, d in zip(own, theirs, strict=True)
    )
    assert right == expected > 500
    assert sums["rare"]["frequent"] > 100
    # Of a class of each group there is an object for each of its detections.
    assert sum(sum(own.values()) for own in sums.values()) == 60 * 48


def test_the_pairs_are_those_of_the_matrix(tmp_path):
    objects = [(0, A, False), (1, B, False)]
    images = [(objects, [(1, A, 0.9), (2, B, 0.9)])] * 3
    images += [(objects, [(1, A, 0.9), (1, B, 0.9), (2, (40, 0, 5, 5), 0.9)])]
    truth, found = sets_of(images)
    diagnose(truth, found, judge(truth, found, iou_thrs=[0.5]), {}, tmp_path / "x")
    _, *rows = read_table(tmp_path / "x_confused_pairs.csv")
    assert rows == [
        ["cat", "dog", "4", "1.0"],
        ["dog", "emu", "3", "0.75"],
        ["background", "emu", "1", ""],
    ]
    matrix = read_table(tmp_path / "x_confusion.csv")
    assert matrix[1:3] == [["cat", "0", "4", "0", "0"], ["dog", "0", "1", "3", "0"]]


def test_lvis_keeps_its_whole_matrix(tmp_path):
    truth, found, _ = many_classes(1203)
    diagnose(truth, found, judge(truth, found, iou_thrs=[0.5]), {}, tmp_path / "x")
    rows = read_table(tmp_path / "x_confusion.csv")
    assert len(rows) == len(rows[0]) == 1205
    assert rows[0][-1] == "background"


def test_a_name_that_is_a_formula(tmp_path):
    truth, found = sets_of([([(0, A, False)], [(1, A, 0.9)])])
    truth = replace(truth, classes=("=1+1", "@sum", "emu"))
    diagnose(truth, found, judge(truth, found, iou_thrs=[0.5]), {}, tmp_path / "x")
    for name in ("x_confusion.csv", "x_confused_pairs.csv"):
        text = (tmp_path / name).read_text()
        assert "'=1+1" in text
        assert "\n=" not in text
        assert any("=1+1" in row for row in read_table(tmp_path / name))
