import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_utils

from imb_det.evaluation import GroundTruth, coco_ground_truth, evaluate_coco
from imb_det.evaluation.functional.coco_eval import CocoRules
from imb_det.evaluation.functional.lvis_eval import LvisRules
from imb_det.evaluation.functional.voc_eval import VocRules
from imb_det.statistics import frequency_groups
from tests.coco_scenes import (
    CLASSES,
    THRESHOLDS,
    box_masks,
    by_class,
    coco_content,
    predictions_of,
    pycocotools_eval,
    random_images,
    results_json,
)
from tests.references.ap import class_ap, mean_ap

COCO_DATA = Path(__file__).parents[2] / "data" / "cocoapi_eval"

# Few boxes and scores, so that hits, and ties of overlap and score, are common.
box_strategy = st.sampled_from(
    [
        (0.0, 0.0, 10.0, 10.0),
        (0.0, 0.0, 10.0, 8.0),
        (2.0, 0.0, 10.0, 10.0),
        (0.0, 2.0, 10.0, 10.0),
        (8.0, 8.0, 40.0, 36.0),
        (10.0, 10.0, 36.0, 36.0),
    ]
)
image_strategy = st.tuples(
    st.lists(st.tuples(st.integers(0, 2), box_strategy, st.booleans()), max_size=5),
    st.lists(
        st.tuples(
            st.integers(0, 2), box_strategy, st.sampled_from([0.1, 0.5, 0.7, 0.9])
        ),
        max_size=8,
    ),
)
images_strategy = st.lists(image_strategy, min_size=1, max_size=4)


def assert_same_as_pycocotools(results, oracle):
    ours = np.array(list(results.summary.values()))
    np.testing.assert_allclose(np.nan_to_num(ours, nan=-1), oracle.stats, atol=1e-9)
    precision = oracle.eval["precision"][:, :, :, 0, 0]
    for label, ap in enumerate(results.ap):
        of_class = precision[:, :, label]
        if (of_class > -1).any():
            assert ap == pytest.approx(of_class.mean(), abs=1e-9)
        else:
            assert np.isnan(ap)


@settings(max_examples=150, deadline=None)
@given(images_strategy)
def test_equals_pycocotools_on_random_sets(images):
    truth = GroundTruth.from_coco(coco_content(images), CLASSES)
    oracle = pycocotools_eval(
        coco_content(images), results_json(images), "bbox", (100, 300, 1000)
    )
    assert_same_as_pycocotools(evaluate_coco(truth, predictions_of(images)), oracle)


@pytest.mark.parametrize("seed", range(4))
def test_equals_pycocotools_on_scenes(seed):
    images = random_images(seed, num_images=30)
    truth = GroundTruth.from_coco(coco_content(images), CLASSES)
    results = evaluate_coco(truth, predictions_of(images), max_dets=(1, 2, 100))
    oracle = pycocotools_eval(
        coco_content(images), results_json(images), "bbox", (1, 2, 100)
    )
    ours = np.array(list(results.summary.values()))
    np.testing.assert_allclose(np.nan_to_num(ours, nan=-1), oracle.stats, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(images_strategy, st.permutations([3, 50, 500]))
def test_groups_equal_the_slow_reference(images, counts):
    truth = GroundTruth.from_coco(coco_content(images), CLASSES)
    results = evaluate_coco(truth, predictions_of(images))
    reference = by_class(images)
    for label in range(3):
        found = [class_ap(reference[label], thr)[1] for thr in THRESHOLDS]
        expected = np.nan if found[0] is None else np.mean(found)
        np.testing.assert_allclose(results.recall[label], expected, atol=1e-9)
    groups = frequency_groups(counts)
    figures = results.group_summary(groups)
    for name, members in groups.items():
        key = f"AP{name[0]}"
        for suffix, thrs in (("", THRESHOLDS), ("_50", [0.5])):
            expected = mean_ap(reference, members, thrs)
            if expected is None:
                assert key + suffix not in figures
            else:
                assert figures[key + suffix] == pytest.approx(expected, abs=1e-9)


def test_groups_average_over_several_classes():
    images = random_images(5, num_images=20, num_classes=6)
    classes = tuple("abcdef")
    truth = GroundTruth.from_coco(coco_content(images, classes), classes)
    results = evaluate_coco(truth, predictions_of(images))
    groups = frequency_groups([1, 2, 20, 30, 400, 500])
    figures = results.group_summary(groups)
    reference = by_class(images, 6)
    for key, members in (("APr", [0, 1]), ("APc", [2, 3]), ("APf", [4, 5])):
        expected = mean_ap(reference, members, THRESHOLDS)
        assert figures[key] == pytest.approx(expected, abs=1e-9)
    assert np.mean([figures[f"AP{letter}"] for letter in "rcf"]) == pytest.approx(
        results.summary["mAP"], abs=1e-12
    )


def test_hand_worked_example():
    # One class, three objects. By score: right, wrong, right; the third is missed.
    objects = [(0, (0, 0, 10, 10), False), (0, (20, 0, 10, 10), False)]
    objects.append((0, (40, 0, 10, 10), False))
    detections = [(0, (0, 0, 10, 10), 0.9), (0, (0, 20, 10, 10), 0.8)]
    detections.append((0, (20, 0, 10, 10), 0.7))
    images = [(objects, detections)]
    results = evaluate_coco(
        GroundTruth.from_coco(coco_content(images), CLASSES), predictions_of(images)
    )
    # Recall levels 0 .. 0.33 have precision 1, levels 0.34 .. 0.66 have 2/3, rest 0.
    expected = (34 * 1 + 33 * 2 / 3) / 101
    assert results.ap[0] == pytest.approx(expected, abs=1e-12)
    assert results.ap50[0] == pytest.approx(expected, abs=1e-12)
    assert results.recall[0] == pytest.approx(2 / 3, abs=1e-12)
    assert np.isnan(results.ap[1:]).all()
    assert results.object_count.tolist() == [3, 0, 0]
    assert results.detection_count.tolist() == [3, 0, 0]
    assert results.summary["mAP"] == results.ap[0]


def test_numbers_of_detections_that_count():
    # The right detection comes after 110 better ones of its class.
    wrong = [(0, (30, 30, 4, 4), 0.9)] * 110
    images = [([(0, (0, 0, 10, 10), False)], [*wrong, (0, (0, 0, 10, 10), 0.5)])]
    truth = GroundTruth.from_coco(coco_content(images), CLASSES)
    results = evaluate_coco(truth, predictions_of(images))
    assert results.summary["mAP"] == results.ap[0] == results.recall[0] == 0
    assert results.summary["mAP_50"] == results.ap50[0] == pytest.approx(1 / 111)
    assert results.summary["AR@100"] == 0
    assert results.summary["AR@300"] == 1
    assert results.detection_count.tolist() == [100, 0, 0]  # as for AP
    oracle = pycocotools_eval(
        coco_content(images), results_json(images), "bbox", (100, 300, 1000)
    )
    assert_same_as_pycocotools(results, oracle)


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_published_coco_example(iou_type):
    path = COCO_DATA / "instances_val2014_100.json"
    if not path.is_file():
        pytest.skip("data/cocoapi_eval is not here")
    content = json.loads(path.read_text())
    found = json.loads(
        (path.parent / f"instances_val2014_fake{iou_type}100_results.json").read_text()
    )
    labels = {c["id"]: i for i, c in enumerate(content["categories"])}
    predictions = []
    for image in content["images"]:
        own = [r for r in found if r["image_id"] == image["id"]]
        boxes = np.array([r.get("bbox", [0] * 4) for r in own]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        predictions.append(
            dict(
                img_id=image["id"],
                bboxes=boxes,
                scores=np.array([r["score"] for r in own]),
                labels=np.array([labels[r["category_id"]] for r in own], dtype=int),
                masks=[r.get("segmentation") for r in own],
            )
        )
    results = evaluate_coco(
        GroundTruth.from_coco(path), predictions, iou_type, max_dets=(1, 10, 100)
    )
    published = (path.parent / "val2014_fake_eval_res.txt").read_text()
    block = published.split(f"type={iou_type}")[1].split("type=")[0]
    figures = [
        float(line.split("=")[-1]) for line in block.splitlines() if "@[" in line
    ]
    ours = list(results.summary.values())
    assert [float(f"{value:.3f}") for value in ours] == figures
    oracle = pycocotools_eval(content, found, iou_type, (1, 10, 100))
    np.testing.assert_allclose(ours, oracle.stats, atol=1e-9)


def test_masks_equal_pycocotools():
    images = random_images(7)
    predictions = predictions_of(images)
    results = []
    for prediction in predictions:
        masks = box_masks(torch.tensor(prediction["bboxes"])).numpy()
        prediction["masks"] = [
            mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))
            for mask in masks
        ]
        for i, rle in enumerate(prediction["masks"]):
            results.append(
                dict(
                    image_id=prediction["img_id"],
                    category_id=10 * (int(prediction["labels"][i]) + 1),
                    segmentation={**rle, "counts": rle["counts"].decode()},
                    score=float(prediction["scores"][i]),
                )
            )
    truth = GroundTruth.from_coco(coco_content(images), CLASSES)
    oracle = pycocotools_eval(coco_content(images), results, "segm", (100, 300, 1000))
    assert_same_as_pycocotools(evaluate_coco(truth, predictions, "segm"), oracle)


def test_masks_have_scores_of_their_own():
    images = [([(0, (0, 0, 8, 8), False)], [(0, (0, 0, 8, 8), 0.5)])]
    images[0][1].append((0, (20, 0, 8, 8), 0.9))
    truth = GroundTruth.from_coco(coco_content(images), CLASSES)
    predictions = predictions_of(images)
    masks = box_masks(torch.tensor(predictions[0]["bboxes"])).numpy().astype(np.uint8)
    predictions[0]["masks"] = [mask_utils.encode(np.asfortranarray(m)) for m in masks]
    assert evaluate_coco(truth, predictions, "segm").ap[0] == pytest.approx(0.5)
    predictions[0]["mask_scores"] = np.array([0.9, 0.5])
    assert evaluate_coco(truth, predictions, "segm").ap[0] == pytest.approx(1)
    predictions[0]["mask_scores"] = np.array([0.9, np.nan])
    with pytest.raises(ValueError, match="image 0: one finite score"):
        evaluate_coco(truth, predictions, "segm")


def test_evaluation_leaves_its_input_alone():
    images = random_images(9)
    truth = GroundTruth.from_coco(coco_content(images), CLASSES)
    predictions = predictions_of(images)
    first = evaluate_coco(truth, predictions).summary
    again = evaluate_coco(truth, predictions).summary
    assert again == pytest.approx(first, abs=0, nan_ok=True)


def test_annotation_with_id_zero_is_found():
    """The one thing in which figures differ from pycocotools', which holds both."""
    box = (0, 0, 10, 10)
    images = [([(0, box, False)], [(0, box, 0.9)])] * 2
    content = coco_content(images)

    def figures():
        truth = GroundTruth.from_coco(content, CLASSES)
        oracle = pycocotools_eval(content, results_json(images), "bbox", (1, 10, 100))
        return evaluate_coco(truth, predictions_of(images)).summary[
            "mAP"
        ], oracle.stats[0]

    assert figures() == pytest.approx((1, 1))
    for number, annotation in enumerate(content["annotations"]):
        annotation["id"] = number
    # Of two objects that are found, pycocotools counts the second.
    ours, theirs = figures()
    assert ours == pytest.approx(1)
    assert theirs == pytest.approx(0.5 * 51 / 101)


def test_nothing_detected_is_zero():
    images = [([(0, (0, 0, 10, 10), False)], []), ([], [])]
    truth = GroundTruth.from_coco(coco_content(images), CLASSES)
    for predictions in (predictions_of(images), []):
        results = evaluate_coco(truth, predictions)
        assert results.summary["mAP"] == 0
        assert results.ap[0] == 0
        assert results.recall[0] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(scores=[np.nan]), r"image 0: `scores` of detection 0 are not finite"),
        (dict(bboxes=[[0, 0, np.inf, 1]]), r"image 0: `bboxes`"),
        (dict(bboxes=[[0, 0, 1]]), r"image 0 needs boxes"),
        (dict(labels=[0, 1]), r"image 0 needs boxes"),
        (dict(labels=[3]), r"image 0: labels must be 0 to 2"),
        (dict(labels=[-1]), r"image 0: labels must be 0 to 2"),
        (dict(img_id=99), r"image 99 has predictions but no ground truth"),
    ],
)
def test_bad_predictions_name_the_image(change, message):
    images = [([(0, (0, 0, 10, 10), False)], [(0, (0, 0, 10, 10), 0.9)])]
    truth = GroundTruth.from_coco(coco_content(images), CLASSES)
    predictions = predictions_of(images)
    predictions[0].update(change)
    with pytest.raises(ValueError, match=message):
        evaluate_coco(truth, predictions)


def test_a_prediction_that_lacks_a_key_names_the_image():
    images = [([(0, (0, 0, 10, 10), False)], [(0, (0, 0, 10, 10), 0.9)])]
    predictions = predictions_of(images)
    del predictions[0]["labels"]
    with pytest.raises(
        ValueError, match=r"image 0: the prediction has no \['labels'\]"
    ):
        evaluate_coco(GroundTruth.from_coco(coco_content(images), CLASSES), predictions)


def test_bad_masks_and_doubles_name_the_image():
    images = [([(0, (0, 0, 10, 10), False)], [(0, (0, 0, 10, 10), 0.9)])]
    truth = GroundTruth.from_coco(coco_content(images), CLASSES)
    predictions = predictions_of(images)
    with pytest.raises(ValueError, match="image 0 has predictions twice"):
        evaluate_coco(truth, predictions * 2)
    with pytest.raises(ValueError, match="image 0 has predictions without masks"):
        evaluate_coco(truth, predictions, "segm")
    predictions[0]["masks"] = [mask_utils.encode(np.zeros((5, 5), np.uint8, order="F"))]
    with pytest.raises(ValueError, match=r"image 0 is \[48, 64\]"):
        evaluate_coco(truth, predictions, "segm")
    del truth.annotations[0]["segmentation"]
    with pytest.raises(ValueError, match=r"image 0: an object of class 'cat' has no"):
        evaluate_coco(truth, predictions, "segm")


def test_records_of_a_data_set():
    instances = [
        dict(bbox=[0, 0, 10, 10], bbox_label=0, ignore_flag=0),
        dict(bbox=[20, 0, 30, 10], bbox_label=1, ignore_flag=1),
        dict(bbox=[5, 5, 5, 9], bbox_label=2, ignore_flag=0),  # no area
    ]
    records = [
        dict(img_id="b", width=64, height=48, instances=instances),
        dict(img_id="a", width=64, height=48, instances=[]),
    ]

    class Leaf:
        def __init__(self):
            self.metainfo = dict(classes=CLASSES)

        def __len__(self):
            return 2

        def get_data_info(self, index):
            return records[index]

    truth = coco_ground_truth(Leaf())
    assert truth.image_ids == ("a", "b")
    assert truth.object_count.tolist() == [1, 0, 0]
    prediction = dict(
        img_id="b",
        bboxes=[[0, 0, 10, 10], [20, 0, 30, 10], [20, 0, 30, 9]],
        scores=[0.5, 0.9, 0.8],
        labels=[0, 1, 1],
    )
    results = evaluate_coco(truth, [prediction])
    assert results.ap[0] == pytest.approx(1)
    assert np.isnan(results.ap[1:]).all()  # the ignored box is nothing to find
    with pytest.raises(ValueError, match="found twice"):
        GroundTruth.from_records(CLASSES, records * 2)


def test_subset_keeps_the_images_asked_for():
    images = random_images(3, num_images=6)
    truth = GroundTruth.from_coco(coco_content(images), CLASSES)
    part = truth.subset([4, 1])
    assert part.image_ids == (1, 4)
    predictions = [p for p in predictions_of(images) if p["img_id"] in (1, 4)]
    kept = [images[1], images[4]]
    alone = GroundTruth.from_coco(coco_content(kept), CLASSES)
    expected = evaluate_coco(alone, predictions_of(kept)).summary
    assert evaluate_coco(part, predictions).summary == pytest.approx(
        expected, nan_ok=True
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(bbox=None), r"annotations\[0\] \(id 1, image 0\): lacks the key `bbox`"),
        (dict(bbox=[0, 0, 9]), r"\[0\] \(id 1, image 0\): `bbox` must be four numbers"),
        (dict(bbox="0123"), r"\[0\] \(id 1, image 0\): `bbox` must be four numbers"),
        (dict(area="large"), r"\[0\] \(id 1, image 0\): `area` must be a number"),
    ],
)
def test_faults_of_the_annotation_file_are_named(change, message):
    content = coco_content([([(0, (0, 0, 10, 10), False)], [])])
    content["annotations"][0].update(change)
    if change.get("bbox", 0) is None:
        del content["annotations"][0]["bbox"]
    with pytest.raises(ValueError, match=message):
        GroundTruth.from_coco(content, CLASSES)


@pytest.mark.parametrize(
    "change",
    [
        dict(category_id=77),
        dict(image_id=77),
        dict(bbox=[0, 0, np.nan, 9]),
        dict(bbox=[0, 0, None, 9]),
        dict(bbox=[0, 0, -9, 9]),
        dict(bbox=[0, 0, 1e30, 9]),
    ],
)
def test_what_is_no_object_does_not_lower_the_figures(change):
    box = (0, 0, 10, 10)
    images = [([(0, box, False), (0, box, False)], [(0, box, 0.9)])]
    content = coco_content(images)
    content["annotations"][1].update(change)
    results = evaluate_coco(
        GroundTruth.from_coco(content, CLASSES), predictions_of(images)
    )
    assert results.object_count.tolist() == [1, 0, 0]
    assert results.ap[0] == pytest.approx(1)


@pytest.mark.parametrize("area", [np.nan, np.inf])
def test_an_area_that_is_no_number_is_that_of_the_box(area):
    images = [([(0, (0, 0, 10, 10), False)], [(0, (0, 0, 10, 10), 0.9)])]
    content = coco_content(images)
    expected = evaluate_coco(
        GroundTruth.from_coco(content, CLASSES), predictions_of(images)
    )
    content["annotations"][0]["area"] = area
    found = evaluate_coco(
        GroundTruth.from_coco(content, CLASSES), predictions_of(images)
    )
    assert found.summary == pytest.approx(expected.summary, abs=0, nan_ok=True)
    assert found.summary["mAP_s"] == pytest.approx(1)
    assert np.isnan(found.summary["mAP_l"])


def test_sizes_of_images_are_needed_for_masks_alone():
    content = coco_content([([(0, (0, 0, 10, 10), False)], [])])
    del content["images"][0]["height"]
    truth = GroundTruth.from_coco(content, CLASSES)
    assert evaluate_coco(truth, []).ap[0] == 0
    with pytest.raises(ValueError, match=r"image 0 has no `width` or no `height`"):
        evaluate_coco(truth, [], "segm")
    sized = truth.with_sizes([dict(img_id=0, width=64, height=48)])
    assert evaluate_coco(sized, [], "segm").ap[0] == 0


@pytest.mark.parametrize("outline", [[[1, 2]], [[1, 2, 3, 4]], [[]], [[np.nan] * 6]])
def test_an_outline_that_shows_nothing_is_judged_as_a_box_alone(outline):
    content = coco_content([([(0, (0, 0, 10, 10), False)] * 2, [])])
    content["annotations"][0]["segmentation"] = outline
    truth = GroundTruth.from_coco(content, CLASSES)
    assert evaluate_coco(truth, []).object_count[0] == 2
    assert evaluate_coco(truth, [], "segm").object_count[0] == 1


@pytest.mark.parametrize("outline", [[1, 2, 3, 4, 5, 6], "xx"])
def test_outlines_that_are_none_name_the_image(outline):
    content = coco_content([([(0, (0, 0, 10, 10), False)], [])])
    content["annotations"][0]["segmentation"] = outline
    truth = GroundTruth.from_coco(content, CLASSES)
    with pytest.raises(ValueError, match=r"image 0: .* 'cat' has a faulty mask: .*got"):
        evaluate_coco(truth, [], "segm")


def test_parts_of_an_outline_may_have_too_few_points():
    # COCO has such parts, and its library leaves them out.
    images = [([(0, (0, 0, 10, 10), False)], [(0, (0, 0, 10, 10), 0.9)])]
    content = coco_content(images)
    content["annotations"][0]["segmentation"].append([1, 2, 3, 4])
    predictions = predictions_of(images)
    mask = np.zeros((48, 64), np.uint8, order="F")
    mask[:10, :10] = 1
    predictions[0]["masks"] = [mask_utils.encode(mask)]
    truth = GroundTruth.from_coco(content, CLASSES)
    assert evaluate_coco(truth, predictions, "segm").ap[0] == pytest.approx(1)


@pytest.mark.parametrize(
    "iou_thrs", [(), (0.0,), (-1,), (1.5,), (float("nan"),), ("x",), 0.5]
)
def test_overlaps_that_are_none_are_refused(iou_thrs):
    for rules in (CocoRules, LvisRules, VocRules):
        with pytest.raises(ValueError, match="`iou_thrs` must be None or numbers"):
            rules(iou_thrs)


@pytest.mark.parametrize(
    "max_dets", [(), (0,), (None,), (2.5,), ("3",), (True,), 100, (100, -1)]
)
def test_numbers_of_detections_that_are_none_are_refused(max_dets):
    with pytest.raises(ValueError, match="`max_dets` must hold whole numbers >= 1"):
        CocoRules(max_dets=max_dets)


@pytest.mark.parametrize("max_dets", [0, -1, 2.5, "3", True])
def test_numbers_of_detections_of_lvis_that_are_none_are_refused(max_dets):
    with pytest.raises(ValueError, match="`max_dets` must be None or a whole number"):
        LvisRules(max_dets=max_dets)


def test_an_empty_outline_is_no_mask():
    images = [([(0, (0, 0, 10, 10), False)], [])]
    content = coco_content(images)
    content["annotations"][0]["segmentation"] = []
    truth = GroundTruth.from_coco(content, CLASSES)
    with pytest.raises(ValueError, match="'cat' has no mask"):
        evaluate_coco(truth, [], "segm")
