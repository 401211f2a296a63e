from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_utils

from imb_det.evaluation.functional import Detections, GroundTruth
from imb_det.evaluation.functional.matches import IGNORED, RIGHT, WRONG
from imb_det.evaluation.functional.matching import IOU_THRS, match
from imb_det.evaluation.functional.precision_recall import (
    best_f1,
    pooled_precision,
)
from imb_det.evaluation.functional.resampled_precision import average_precision
from tests.coco_scenes import (
    CLASSES,
    THRESHOLDS,
    box_masks,
    coco_content,
    predictions_of,
    random_images,
)
from tests.federated_scenes import slow_match
from tests.references import ap as coco_rules
from tests.references.faster_coco import accumulate

NAMES = {"right": RIGHT, "wrong": WRONG, "ignored": IGNORED}
A = (0.0, 0.0, 10.0, 10.0)
# Few boxes and scores, so that hits, and ties of overlap and score, are common.
box_strategy = st.sampled_from(
    [A, (0.0, 0.0, 10.0, 8.0), (2.0, 0.0, 10.0, 10.0), (0.0, 2.0, 10.0, 10.0)]
)
label_strategy = st.integers(0, 2)
# An object is a plain one, a crowd, ignored, or both.
kind_strategy = st.sampled_from([(0, 0), (0, 0), (1, 0), (0, 1), (1, 1)])
images_strategy = st.lists(
    st.tuples(
        st.lists(st.tuples(label_strategy, box_strategy, kind_strategy), max_size=5),
        st.lists(
            st.tuples(label_strategy, box_strategy, st.sampled_from([0.1, 0.5, 0.9])),
            max_size=8,
        ),
    ),
    min_size=1,
    max_size=4,
)


def make(images, with_masks=False):
    """Make ground truth and detections; objects are (label, box, (crowd, ignored))."""
    plain = [([(k, box, 0) for k, box, _ in own], found) for own, found in images]
    truth = GroundTruth.from_coco(coco_content(plain), CLASSES)
    kinds = [kind for objects, _ in images for _, _, kind in objects]
    for annotation, (is_crowd, is_ignored) in zip(
        truth.annotations, kinds, strict=True
    ):
        annotation.update(iscrowd=is_crowd, ignore=is_ignored)
    predictions = predictions_of(images)
    if not with_masks:
        return truth, Detections.from_predictions(truth, predictions)
    for prediction in predictions:
        masks = box_masks(torch.tensor(prediction["bboxes"]))
        prediction["masks"] = [encode(mask.numpy()) for mask in masks]
    return truth, Detections.from_predictions(truth, predictions, "segm")


def encode(mask):
    return mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))


def with_kinds(images):
    """Give the objects of scenes kinds; every fifth is ignored."""
    number = iter(range(10_000))
    return [
        (
            [
                (k, box, (int(crowd), int(next(number) % 5 == 0)))
                for k, box, crowd in own
            ],
            found,
        )
        for own, found in images
    ]


def assert_same_precision(truth, detections, max_dets, unjudged):
    budgets = None if max_dets is None else [max_dets]
    found = accumulate(truth, detections, budgets=budgets, unjudged=unjudged)
    matches = match(truth, detections, max_dets=max_dets, unjudged=unjudged)
    precision = average_precision(matches)[0]
    # The same curves to the last bit; only the order of the sum over levels is free.
    expected = found.precision[:, :, 0, 0].T
    np.testing.assert_allclose(precision, expected, rtol=0, atol=1e-14)
    counts = matches.object_count
    assert counts.tolist() == truth.object_count.tolist()
    right = np.zeros_like(precision)
    np.add.at(right, matches.label, matches.verdict == RIGHT)
    with np.errstate(invalid="ignore"):
        recall = right / counts[:, None]
    np.testing.assert_array_equal(recall, found.recall[:, :, 0, 0].T)


@settings(max_examples=200)
@given(
    images_strategy,
    st.booleans(),
    st.sampled_from([None, 1, 2, 3]),
    st.sampled_from([0.0, 0.5]),
    st.integers(0, 99),
)
def test_precision_equals_the_matcher(images, with_masks, max_dets, share, seed):
    truth, detections = make(images, with_masks)
    rng = np.random.default_rng(seed)
    unjudged = rng.random(len(detections)) < share if share else None
    assert_same_precision(truth, detections, max_dets, unjudged)


@pytest.mark.parametrize("with_masks", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_precision_equals_the_matcher_on_scenes(seed, with_masks):
    images = with_kinds(random_images(seed, num_images=40))
    truth, detections = make(images, with_masks)
    unjudged = np.random.default_rng(seed).random(len(detections)) < 0.2
    for max_dets in (None, 1):
        assert_same_precision(truth, detections, max_dets, unjudged)


@settings(max_examples=200)
@given(images_strategy, st.sampled_from([None, 2]), st.integers(0, 99))
def test_verdicts_equal_the_slow_loop(images, max_dets, seed):
    truth, detections = make(images)
    unjudged = np.random.default_rng(seed).random(len(detections)) < 0.3
    matches = match(truth, detections, max_dets=max_dets, unjudged=unjudged)
    number = 0
    expected = {label: [] for label in range(3)}
    for row, (objects, found) in enumerate(images):
        marks = unjudged[number : number + len(found)]
        number += len(found)
        for label in range(3):
            own = [(box, *kind) for k, box, kind in objects if k == label]
            pairs = [
                (box, score, mark)
                for (k, box, score), mark in zip(found, marks, strict=True)
                if k == label
            ]
            best = sorted(pairs, key=lambda pair: -pair[1])[:max_dets]
            columns = [slow_match(own, [b[:2] for b in best], t) for t in THRESHOLDS]
            for (_, score, mark), *names in zip(best, *columns, strict=True):
                verdicts = [
                    IGNORED if mark and name == "wrong" else NAMES[name]
                    for name in names
                ]
                expected[label].append((row, score, verdicts))
    for label, entries in expected.items():
        entries.sort(key=lambda entry: -entry[1])
        own = matches.of_class(label)
        columns = (own.image, own.score, own.verdict)
        assert list(zip(*(c.tolist() for c in columns), strict=True)) == entries
        objects = [
            row
            for row, (objects, _) in enumerate(images)
            for k, _, kind in objects
            if k == label and not any(kind)
        ]
        assert sorted(own.object_image.tolist()) == objects


@pytest.mark.parametrize("seed", range(3))
def test_crowds_equal_the_reference_of_coco(seed):
    images = random_images(seed, num_images=20)
    truth, detections = make(
        [([(k, b, (c, 0)) for k, b, c in o], d) for o, d in images]
    )
    matches = match(truth, detections, iou_thrs=[0.6])
    for row, (objects, found) in enumerate(images):
        for label in range(3):
            own = [(box, crowd) for k, box, crowd in objects if k == label]
            best = [(box, score) for k, box, score in found if k == label]
            best.sort(key=lambda pair: -pair[1])
            names = coco_rules.match(own, best, 0.6)
            chosen = matches.of_class(label)
            verdicts = chosen.verdict[chosen.image == row, 0]
            assert verdicts.tolist() == [NAMES[name] for name in names]


@settings(max_examples=200)
@given(images_strategy, st.integers(0, 99))
def test_best_f1_equals_trying_every_score(images, seed):
    truth, detections = make(images)
    unjudged = np.random.default_rng(seed).random(len(detections)) < 0.3
    matches = match(truth, detections, iou_thrs=[0.75, 0.5], unjudged=unjudged)
    f1, score = best_f1(matches, 1)
    for label in range(3):
        own = matches.of_class(label)
        objects = int(truth.object_count[label])
        if not objects:
            assert np.isnan(f1[label])
            assert np.isnan(score[label])
            continue
        found = {}
        for threshold in np.unique(own.score):
            verdict = own.verdict[own.score >= threshold, 1]
            right, wrong = (verdict == RIGHT).sum(), (verdict == WRONG).sum()
            found[threshold] = 2 * right / (2 * right + wrong + (objects - right))
        best = max(found.values(), default=0.0)
        assert f1[label] == pytest.approx(best, abs=1e-12)
        if best == 0:
            assert np.isnan(score[label])
        else:
            assert found[score[label]] == pytest.approx(best, abs=1e-12)
            judged = own.score[own.verdict[:, 1] != IGNORED]
            assert score[label] in judged


@pytest.mark.parametrize("turned", [False, True])
def test_the_last_of_equal_overlaps_is_taken(turned):
    boxes = [(2.0, 0.0, 10.0, 10.0), (0.0, 2.0, 10.0, 10.0)][:: -1 if turned else 1]
    # The first detection overlaps both alike, the second one only the last.
    images = [([(0, box, (0, 0)) for box in boxes], [(0, A, 0.9), (0, boxes[1], 0.8)])]
    for with_masks in (False, True):
        truth, detections = make(images, with_masks)
        matches = match(truth, detections, iou_thrs=[0.5])
        assert matches.verdict.ravel().tolist() == [RIGHT, WRONG]
        assert_same_precision(truth, detections, None, None)


def test_an_overlap_of_one_but_for_rounding():
    near = (0.0, 0.0, 10.0, 10 * (1 - 1e-11))
    truth, detections = make([([(0, A, (0, 0))], [(0, near, 0.9)])])
    assert match(truth, detections, iou_thrs=[1.0]).verdict.tolist() == [[RIGHT]]
    assert accumulate(truth, detections, iou_thrs=[1.0]).precision[0, 0, 0, 0] == 1


def test_nothing_to_judge():
    for images in ([([], [])], [([(0, A, (0, 0))], [])], [([], [(0, A, 0.9)])]):
        for with_masks in (False, True):
            truth, detections = make(images, with_masks)
            matches = match(truth, detections)
            assert matches.verdict.shape == (len(detections), len(IOU_THRS))
            assert (matches.verdict == WRONG).all()
            precision = average_precision(matches)[0]
            has_objects = bool(images[0][0])
            assert (precision[0] == 0).all() == has_objects
            assert np.isnan(precision[1:]).all()
            assert np.isnan(pooled_precision(matches)).all() != has_objects


def mask_forms(mask):
    """Return a mask as COCO writes it: run lengths as a list, bytes and a string."""
    runs, last = [0], 0
    for value in mask.ravel(order="F").tolist():
        if value != last:
            runs.append(0)
            last = value
        runs[-1] += 1
    rle = encode(mask)
    text = {**rle, "counts": rle["counts"].decode()}
    return {"size": list(mask.shape), "counts": runs}, rle, text


def polygons(mask):
    """Return the mask of a box as two polygons, one above the other."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, right = float(columns[0]), float(columns[-1] + 1)
    heights = [float(rows[0]), float(rows[-1] - 1), float(rows[-1] + 1)]
    return [
        [left, up, right, up, right, down, left, down] for up, down in pairwise(heights)
    ]


@pytest.mark.parametrize("form", range(4))
@pytest.mark.parametrize("found_form", range(3))
def test_masks_of_every_form_overlap_alike(form, found_form):
    rng = np.random.default_rng(form)
    height, width, classes = 48, 64, 3
    images, predictions, raw = [], [], []
    for row in range(4):
        corners = rng.integers(0, 20, (7, 2))
        ends = corners + rng.integers(4, 25, (7, 2))
        masks = np.zeros((7, height, width), np.uint8)
        for mask, (x, y), (right, down) in zip(masks, corners, ends, strict=True):
            mask[y:down, x:right] = 1
        objects, found = masks[:3], np.concatenate([masks[3:], masks[:3]])
        found[4:, :, :6] = 0
        labels = rng.integers(classes, size=10)
        images.append(
            [(int(k), (0, 0, 1, 1), (int(k == 2 and row == 0), 0)) for k in labels[:3]]
        )
        raw.append((objects, found, labels))
        predictions.append(
            dict(
                img_id=row,
                bboxes=np.zeros((7, 4)),
                scores=rng.permutation(7) / 8,
                labels=labels[3:],
                masks=[mask_forms(mask)[found_form] for mask in found],
            )
        )
    truth, _ = make([(objects, []) for objects in images])
    masks = [mask for objects, _, _ in raw for mask in objects]
    for annotation, mask in zip(truth.annotations, masks, strict=True):
        annotation["segmentation"] = [*mask_forms(mask), polygons(mask)][form]
    detections = Detections.from_predictions(truth, predictions, "segm")
    np.testing.assert_array_equal(
        detections.mask_area, [mask.sum() for _, found, _ in raw for mask in found]
    )
    matches = match(truth, detections)
    seen = 0
    for row, (objects, found, labels) in enumerate(raw):
        for label in range(classes):
            theirs = np.flatnonzero(labels[:3] == label)
            ours = np.flatnonzero(labels[3:] == label)
            ours = ours[np.argsort(-predictions[row]["scores"][ours])]
            expected = pixel_verdicts(
                objects[theirs], found[ours], label == 2 and row == 0
            )
            own = matches.of_class(label)
            np.testing.assert_array_equal(own.verdict[own.image == row], expected)
            seen += (expected == RIGHT).sum()
    assert seen > 10
    assert_same_precision(truth, detections, None, None)


def pixel_verdicts(objects, found, is_crowd):
    """Judge masks of one class in one image, the best first, pixel by pixel."""
    verdicts = np.full((len(found), len(IOU_THRS)), WRONG)
    for t, thr in enumerate(IOU_THRS):
        taken = set()
        for i, mask in enumerate(found):
            best = None
            for g, other in enumerate(objects):
                shared, either = (mask & other).sum(), (mask | other).sum()
                overlap = shared / (mask.sum() if is_crowd else either)
                if g in taken or overlap < thr or (best and overlap < best[0]):
                    continue
                best = (overlap, g)
            if best:
                verdicts[i, t] = IGNORED if is_crowd else RIGHT
                taken.update([] if is_crowd else [best[1]])
    return verdicts
