"""Files of predictions: what comes out of good ones, what is said of bad ones."""

import json
import pickle

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_utils

from imb_det.evaluation.functional import Detections, GroundTruth, evaluate_coco
from imb_det.evaluation.result_files import read_predictions
from tests.coco_scenes import (
    CLASSES,
    coco_content,
    data_samples,
    predictions_of,
    random_images,
    results_json,
)

CATEGORY_IDS = (10, 20, 30)
BOX = (2.0, 2.0, 10.0, 10.0)
ONE = [([(0, BOX, False)], [(0, BOX, 0.9)]), ([], [(2, BOX, 0.5)])]


def truth_of(images):
    return GroundTruth.from_coco(coco_content(images), CLASSES)


def read_json(tmp_path, entries, images=ONE, **kwargs):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(entries))
    return read_predictions(path, truth_of(images), CATEGORY_IDS, **kwargs)


def read_pickle(tmp_path, samples, images=ONE, **kwargs):
    path = tmp_path / "predictions.pkl"
    path.write_bytes(pickle.dumps(samples))
    kwargs.setdefault("allow_pickle", True)
    return read_predictions(path, truth_of(images), CATEGORY_IDS, **kwargs)


def encoded(mask):
    rle = mask_utils.encode(np.asfortranarray(np.asarray(mask, np.uint8)))
    return {**rle, "counts": rle["counts"].decode()}


def dumped(images, with_masks=False):
    """Make the samples that ``tools/test.py --out`` writes: masks as run lengths."""
    samples = data_samples(images, with_masks=with_masks)
    for sample in samples:
        if with_masks:
            masks = sample["pred_instances"]["masks"].numpy()
            runs = [mask_utils.encode(np.asfortranarray(m, np.uint8)) for m in masks]
            sample["pred_instances"]["masks"] = runs
    return samples


# --------------------------------------------------------------- what comes out


def test_json_keeps_the_numbers(tmp_path):
    rng = np.random.default_rng(0)
    boxes = rng.uniform(0, 40, (500, 4)).tolist()
    scores = rng.uniform(0, 1, 500).tolist()
    images = [([], [(i % 3, boxes[i], scores[i]) for i in range(500)])]
    found = Detections.from_predictions(
        truth_of(images), read_json(tmp_path, results_json(images), images)
    )
    assert found.bbox.dtype == np.float64
    np.testing.assert_allclose(found.xywh, boxes, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(found.score, scores)
    np.testing.assert_array_equal(found.label, np.arange(500) % 3)


def test_json_and_pickle_say_the_same(tmp_path):
    images = random_images(3)
    truth = truth_of(images)
    of_json = read_json(tmp_path, results_json(images), images)
    of_pickle = read_pickle(tmp_path, dumped(images), images)
    assert len(of_pickle) == len(images)
    expected = evaluate_coco(truth, predictions_of(images))
    assert 0.1 < expected.summary["mAP"] < 1
    for found in (of_json, of_pickle):
        results = evaluate_coco(truth, found)
        # The samples are float32, and so are their scores.
        np.testing.assert_allclose(results.ap, expected.ap, atol=1e-9)


def test_categories_are_mapped_by_their_ids(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(results_json(ONE)))
    by_id = {
        p["img_id"]: p["labels"].tolist()
        for p in read_predictions(path, truth_of(ONE), (30, 10, 20))
    }
    assert by_id == {0: [1], 1: [0]}


def test_masks_of_json_and_pickle(tmp_path):
    images = random_images(4)
    truth = truth_of(images)
    entries = results_json(images)
    samples = dumped(images, with_masks=True)
    runs = [m for sample in samples for m in sample["pred_instances"]["masks"]]
    areas = mask_utils.area(runs)
    for number, (entry, rle) in enumerate(zip(entries, runs, strict=True)):
        del entry["bbox"]  # LVIS has none in its results
        counts = rle["counts"].decode()
        if number % 2:  # run lengths as numbers
            flat = mask_utils.decode(rle).T.ravel()
            ends = np.flatnonzero(np.diff(flat)) + 1
            counts = np.diff([0, *([0] if flat[0] else []), *ends, flat.size]).tolist()
        entry["segmentation"] = {"size": rle["size"], "counts": counts}
    order = {"iou_type": "segm"}
    of_json = read_json(tmp_path, entries, images, **order)
    of_pickle = read_pickle(tmp_path, samples, images, **order)
    one = Detections.from_predictions(truth, of_json, "segm")
    other = Detections.from_predictions(truth, of_pickle, "segm")
    np.testing.assert_array_equal(one.mask_area, areas)
    np.testing.assert_array_equal(other.mask_area, areas)
    np.testing.assert_array_equal(one.mask, other.mask)
    # Without a box in the file it is that of the mask.
    boxes = np.array([mask_utils.toBbox(rle) for rle in runs])
    as_boxes = Detections.from_predictions(truth, read_json(tmp_path, entries, images))
    np.testing.assert_array_equal(as_boxes.xywh, boxes)
    assert as_boxes.mask is None


def test_nothing_found(tmp_path):
    assert read_json(tmp_path, []) == []
    samples = dumped([([], []), ([], [])])
    found = read_pickle(tmp_path, samples)
    assert len(Detections.from_predictions(truth_of(ONE), found)) == 0


# ---------------------------------------------------------------------- bad input

GOOD = dict(image_id=0, category_id=10, bbox=list(BOX), score=0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(image_id=7), "the annotation file has no image 7"),
        (dict(image_id=[0]), r"the annotation file has no image \[0\]"),
        (dict(category_id=11), "the annotation file has no category 11"),
        (dict(score=float("nan")), "`score` must be a finite number, got nan"),
        (dict(score=float("inf")), "`score` must be a finite number, got inf"),
        (dict(score="0.5"), "`score` must be a finite number, got '0.5'"),
        (dict(score=10**400), "int too large"),
        (dict(score=None), "`score` must be a finite number, got None"),
        (dict(bbox=[1, 2, 3]), r"`bbox` must be four numbers .*got \[1, 2, 3\]"),
        (dict(bbox=[1, 2, 3, float("nan")]), "`bbox` must be four numbers"),
        (dict(bbox=None), "`bbox` must be four numbers"),
        (dict(score=...), r"it has no \['score'\]"),
        (dict(image_id=..., score=...), r"it has no \['image_id', 'score'\]"),
        (dict(bbox=...), "it has no `bbox` or `segmentation`"),
    ],
)
def test_bad_entry_of_json(tmp_path, change, message):
    entry = {k: v for k, v in {**GOOD, **change}.items() if v is not ...}
    with pytest.raises(ValueError, match=rf"results\.json: entry 1: {message}"):
        read_json(tmp_path, [GOOD, entry])


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (..., "it has no `segmentation`"),
        ([[0, 0, 5, 0, 5, 5]], "`segmentation`: a mask must be run lengths"),
        (dict(size=9, counts="a"), "`segmentation`: a mask must be run lengths"),
        (dict(size=[48], counts="a"), "`segmentation`: a mask must be run lengths"),
        (dict(size=["a", "b"], counts="a"), "`segmentation`: a mask must be run"),
        (dict(size=[48, 64]), "`segmentation`: .*malformed"),
        (dict(size=[48, 64], counts=3), "`segmentation`: .*malformed"),
        (
            dict(size=[48, 64], counts="zzz!"),
            "`segmentation`: the run lengths of a mask",
        ),
        (dict(size=[48, 64], counts="é"), "`segmentation`: .*malformed"),
        (dict(size=[48, 64], counts=[-5, 3072]), "`segmentation`: .*malformed"),
        (dict(size=[48, 64], counts=[0.5, 3072]), "`segmentation`: .*malformed"),
        (dict(size=[48, 64], counts=[0, 10]), "`segmentation`: .*10 pixels.*48 x 64"),
        (
            {**encoded(np.ones((10, 10))), "size": [48, 64]},
            "`segmentation`: .*for 100 pixels, but its size is 48 x 64",
        ),
    ],
)
def test_bad_mask_of_json(tmp_path, mask, message):
    good = {**GOOD, "segmentation": encoded(np.ones((48, 64)))}
    assert len(read_json(tmp_path, [good], iou_type="segm")[0]["masks"]) == 1
    bad = {k: v for k, v in {**GOOD, "segmentation": mask}.items() if v is not ...}
    with pytest.raises(ValueError, match=rf"results\.json: entry 1: {message}"):
        read_json(tmp_path, [good, bad], iou_type="segm")


def changed(key, value):
    samples = dumped(ONE)
    samples[1]["pred_instances"][key] = value
    return samples


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (
            changed("scores", [float("nan")]),
            r"entry 1 \(image 1\): .*`scores` .* nan",
        ),
        (
            changed("bboxes", [[0, float("inf"), 2, 2]]),
            r"entry 1 \(image 1\): .*`bboxes` of detection 0 are not finite: .*inf",
        ),
        (changed("bboxes", [[1, 2, 3], [1, 2, 3, 4]]), r"entry 1 \(image 1\): "),
        (changed("bboxes", [["a", "b", "c", "d"]]), r"entry 1 \(image 1\): "),
        (changed("scores", 0.5), r"entry 1 \(image 1\): "),
        (changed("labels", [0.7]), r"entry 1 \(image 1\): .*must be whole numbers"),
        (changed("labels", ["a"]), r"entry 1 \(image 1\): .*must be whole numbers"),
        (changed("labels", [3]), r"entry 1 \(image 1\): .*labels must be 0 to 2"),
        ([dict(img_id=0, pred_instances={})], r"entry 0 \(image 0\): .*'bboxes', 'sc"),
        ([dict(dumped(ONE)[0], img_id=9)], r"entry 0 \(image 9\): .*no such image"),
        ([dict(img_id=0)], r"entry 0 of the predictions has no \['pred_instances'\]"),
        ([dict(img_id=0, pred_instances=3)], "predictions.pkl: .*mapping"),
        ([[[0, 0, 1, 1, 0.5]]], "entry 0 must be a dictionary, got list"),
        ({"a": 1}, "must hold a list of predictions, got dict"),
    ],
)
def test_bad_entry_of_a_pickle(tmp_path, samples, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_pickle(tmp_path, samples)
    assert "predictions.pkl" in str(caught.value)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (None, "a mask must be run lengths"),
        (torch.ones(48, 64), "a mask must be run lengths"),
        (dict(size=[48, 64], counts=b"\xff\xff"), "run lengths .* are malformed"),
        (dict(size=[48, 64], counts=b"n0"), "30 pixels.*48 x 64"),
    ],
)
def test_bad_mask_of_a_pickle(tmp_path, mask, message):
    samples = dumped(ONE, with_masks=True)
    assert len(read_pickle(tmp_path, samples, iou_type="segm")) == 2
    samples[1]["pred_instances"]["masks"] = [mask]
    with pytest.raises(ValueError, match=rf"entry 1 \(image 1\): .*{message}"):
        read_pickle(tmp_path, samples, iou_type="segm")


def test_numbers_of_other_types(tmp_path):
    samples = dumped(ONE)
    samples[1]["img_id"] = np.int64(1)
    scores = samples[1]["pred_instances"]["scores"]
    samples[1]["pred_instances"]["scores"] = torch.as_tensor(scores).bfloat16()
    predictions = read_pickle(tmp_path, samples)
    found = Detections.from_predictions(truth_of(ONE), predictions)
    assert found.score.tolist() == pytest.approx([0.9, 0.5], abs=2e-3)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (dict(size=[48, 64], counts=[0, 5, 15, 5]), "for 25 pixels.* 48 x 64"),
        (dict(size=[64, 48], counts=[0, 3072]), r"\[64, 48\].*image is \[48, 64\]"),
    ],
)
def test_bad_mask_of_an_object(mask, message):
    content = coco_content(ONE)
    content["annotations"][0]["segmentation"] = mask
    truth = GroundTruth.from_coco(content, CLASSES)
    with pytest.raises(ValueError, match=f"image 0: an object of class .*{message}"):
        Detections.from_predictions(truth, [], "segm")


def test_a_pickle_without_masks(tmp_path):
    with pytest.raises(ValueError, match=r"predictions.pkl: entry 0 .*no \['masks'\]"):
        read_pickle(tmp_path, dumped(ONE), iou_type="segm")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99])
def test_files_cut_short(tmp_path, share):
    for name, whole in (
        ("a.json", json.dumps(results_json(ONE)).encode()),
        ("a.pkl", pickle.dumps(dumped(ONE))),
    ):
        path = tmp_path / name
        path.write_bytes(whole)
        arguments = (path, truth_of(ONE), CATEGORY_IDS)
        assert read_predictions(*arguments, allow_pickle=True)
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match=rf"{name} is no .*, or is cut short \("):
            read_predictions(*arguments, allow_pickle=True)


def test_other_files(tmp_path):
    with pytest.raises(ValueError, match=r"results\.json must hold a list .*got dict"):
        read_json(tmp_path, {"annotations": []})
    with pytest.raises(ValueError, match=r"results\.json: entry 0 must be a dict"):
        read_json(tmp_path, [3])
    with pytest.raises(FileNotFoundError, match=r"there is no file '.*no\.pkl'"):
        read_predictions(tmp_path / "no.pkl", truth_of(ONE), CATEGORY_IDS)
    (tmp_path / "a.pth").touch()
    with pytest.raises(ValueError, match=r"a\.pth: predictions are a file of"):
        read_predictions(tmp_path / "a.pth", truth_of(ONE), CATEGORY_IDS)
