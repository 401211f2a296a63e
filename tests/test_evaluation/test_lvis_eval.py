import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imb_det.evaluation.functional import (
    Detections,
    FederatedGroundTruth,
    evaluate_lvis,
    lvis_eval,
)
from imb_det.evaluation.functional.matching import IOU_THRS, match
from imb_det.evaluation.functional.precision_recall import pooled_precision
from tests.federated_scenes import (
    federated_predictions,
    lvis_content,
    lvis_figures,
    lvis_results,
    random_federated,
    slow_verdicts,
)
from tests.references.ap import average_precision

A, B = (0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 10.0, 10.0)
# Few boxes and scores, so that hits, and ties of overlap and score, are common. Two lie
# where small and large begin, one has no area.
box_strategy = st.sampled_from(
    [
        A,
        (0.0, 0.0, 10.0, 8.0),
        (2.0, 0.0, 10.0, 10.0),
        (0.0, 2.0, 10.0, 10.0),
        (4.0, 4.0, 40.0, 36.0),
        (6.0, 6.0, 32.0, 32.0),
        (1.0, 1.0, 96.0, 96.0),
        (0.0, 0.0, 100.0, 96.0),
        (5.0, 5.0, 0.0, 9.0),
    ]
)
label_strategy = st.integers(0, 3)
labels_strategy = st.lists(label_strategy, max_size=3, unique=True)
score_strategy = st.sampled_from([0.1, 0.5, 0.7, 0.9])
image_strategy = st.tuples(
    st.lists(st.tuples(label_strategy, box_strategy, st.booleans()), max_size=5),
    st.lists(st.tuples(label_strategy, box_strategy, score_strategy), max_size=8),
    labels_strategy,
    labels_strategy,
)
images_strategy = st.lists(image_strategy, min_size=1, max_size=4)


@pytest.fixture(scope="module")
def lvis():
    """The original, which is older than NumPy 1.24."""
    module = pytest.importorskip("lvis")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "float", float, raising=False)
        yield module


def assert_same_as_lvis(images, letters="rcff", with_masks=False, max_dets=300):
    content = lvis_content(images, letters)
    predictions = federated_predictions(images, with_masks)
    iou_type = "segm" if with_masks else "bbox"
    truth = FederatedGroundTruth.from_lvis(content)
    ours = evaluate_lvis(truth, predictions, iou_type, max_dets=max_dets)
    results = lvis_results(predictions)
    assert_same(ours, truth, lvis_figures(content, results, iou_type, max_dets))


def assert_same(ours, truth, theirs):
    figures, ap = theirs
    found = {key.split("@")[0]: value for key, value in ours.summary.items()}
    of_groups = ours.group_summary(truth.groups)
    found |= {key: of_groups.get(key, np.nan) for key in ("APr", "APc", "APf")}
    found = {key: -1 if np.isnan(value) else value for key, value in found.items()}
    del found["AP_pool"]  # the original has none
    assert len(figures) == 13
    assert found == pytest.approx(figures, abs=1e-9)
    np.testing.assert_allclose(ours.ap, ap, rtol=0, atol=1e-9)


@pytest.mark.lvis
@settings(max_examples=200)
@given(images_strategy, st.sampled_from([None, 1, 2, 5, 300]), st.booleans())
def test_equals_lvis_on_random_sets(lvis, images, max_dets, with_masks):
    if any(detections for _, detections, _, _ in images):
        assert_same_as_lvis(images, "rcff", with_masks, max_dets)


@pytest.mark.lvis
@pytest.mark.parametrize("with_masks", [False, True])
@pytest.mark.parametrize("max_dets", [None, 3, 300])
@pytest.mark.parametrize("seed", range(3))
def test_equals_lvis_on_scenes(lvis, seed, max_dets, with_masks):
    images = random_federated(seed, num_images=30)
    assert_same_as_lvis(images, "rrccff", with_masks, max_dets)


@pytest.mark.lvis
@pytest.mark.parametrize("max_dets", [None, 300])
def test_equals_lvis_with_ties_at_the_cut(lvis, max_dets):
    # Eight different scores for some 330 detections in an image.
    images = random_federated(3, num_images=4, many=330)
    assert min(len(detections) for _, detections, _, _ in images) > 300
    assert_same_as_lvis(images, "rrccff", max_dets=max_dets)


@pytest.mark.lvis
@pytest.mark.parametrize("num_classes", [1203, 1230])
def test_equals_lvis_at_its_numbers_of_classes(lvis, num_classes):
    images = random_federated(1, num_images=25, num_classes=num_classes, many=20)
    # Most classes are rare in such a set; the first ones hold several objects.
    for objects, detections, _, _ in images:
        for kind in (objects, detections):
            kind[:] = [(label * label // num_classes // 8, *r) for label, *r in kind]
    assert_same_as_lvis(images, ("f" * 9 + "cr" * 700)[:num_classes])


CASES = {
    "a class without objects": [([(0, A, False)], [(0, A, 0.9), (1, A, 0.8)], [1], [])],
    "a class that is not judged": [
        ([(0, A, False)], [(0, A, 0.9), (1, A, 0.8)], [], []),
        ([(1, A, False)], [(1, A, 0.7), (0, A, 0.95)], [], []),
    ],
    "an image without objects": [
        ([], [(0, A, 0.9)], [0], []),
        ([(0, A, False)], [(0, A, 0.8)], [], []),
        ([], [], [], []),
    ],
    "nothing that counts": [([(0, A, False)], [(1, A, 0.9)], [], [])],
    "only ignored objects": [
        ([(0, A, True), (1, B, False)], [(0, A, 0.9), (1, B, 0.9)], [], []),
        ([], [(0, A, 0.5)], [0], []),
    ],
    "an ignored object is taken once": [
        ([(0, A, True), (0, B, False)], [(0, A, 0.9), (0, A, 0.8), (0, B, 0.7)], [], [])
    ],
    "not exhaustive": [
        ([(0, A, False)], [(0, B, 0.9), (0, A, 0.8), (0, A, 0.7)], [], [0]),
        ([(0, A, False)], [(0, B, 0.9), (0, A, 0.6)], [], []),
    ],
    "not exhaustive, and nobody looked": [
        ([(0, A, False)], [(1, B, 0.9)], [], [1]),
        ([(1, A, False)], [(1, A, 0.7)], [], []),
    ],
    "negative and not exhaustive": [
        ([(0, A, False)], [(1, B, 0.9)], [1], [1]),
        ([(1, A, False)], [(1, A, 0.7)], [], []),
    ],
    "equal scores in images and between them": [
        ([(0, A, False)], [(0, B, 0.5), (0, A, 0.5)], [], []),
        ([(0, B, False)], [(0, B, 0.5), (0, A, 0.5)], [], []),
    ],
    "equal overlaps": [
        (
            [(0, (2.0, 0.0, 10.0, 10.0), True), (0, (0.0, 2.0, 10.0, 10.0), False)],
            [(0, A, 0.9), (0, A, 0.8), (0, A, 0.8)],
            [],
            [],
        )
    ],
    "equal overlaps, of which the last is taken": [
        (
            [(0, (2.0, 0.0, 10.0, 10.0), False), (0, (0.0, 2.0, 10.0, 10.0), False)],
            [(0, A, 0.9), (0, (0.0, 2.0, 10.0, 10.0), 0.8)],
            [],
            [],
        )
    ],
    "a detection without area": [
        ([(0, A, False)], [(0, (3.0, 3.0, 0.0, 5.0), 0.9), (0, A, 0.8)], [], [])
    ],
    "an object without area": [
        ([(0, (3.0, 3.0, 0.0, 5.0), False)], [(0, A, 0.9)], [], []),
        ([(0, A, False)], [(0, A, 0.8)], [], []),
    ],
}


@pytest.mark.lvis
@pytest.mark.parametrize("max_dets", [1, 2, 300])
@pytest.mark.parametrize("with_masks", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_equals_lvis_where_it_is_difficult(lvis, name, with_masks, max_dets):
    assert_same_as_lvis(CASES[name], "rc", with_masks, max_dets)


@pytest.mark.lvis
@pytest.mark.parametrize("labels", [[0, 2, 4], [5, 1, 3]])
def test_some_classes_in_an_order_of_their_own(lvis, labels):
    images = random_federated(5, num_images=20)
    content = lvis_content(images, "rrccff")
    # The file has its classes in the order that is asked for: labels go by it.
    rest = [label for label in range(6) if label not in labels]
    content["categories"] = [content["categories"][c] for c in [*labels, *rest]]
    kept = []
    for objects, detections, *lists in images:
        kept.append((objects, [d for d in detections if d[0] in labels], *lists))
    predictions = federated_predictions(kept)
    theirs = lvis_results(predictions)
    for prediction in predictions:
        own = prediction["labels"].tolist()
        prediction["labels"] = np.array([labels.index(label) for label in own], int)
    names = [f"class {label}" for label in labels]
    truth = FederatedGroundTruth.from_lvis(content, names)
    figures, ap = lvis_figures(
        lvis_content(images, "rrccff"), theirs, "bbox", 5, labels
    )
    ap = ap[np.argsort(np.argsort(labels))]
    assert_same(evaluate_lvis(truth, predictions, max_dets=5), truth, (figures, ap))


def test_nothing_detected_is_zero():
    images = [([(0, A, False)], [], [], []), ([], [], [1], [])]
    truth = FederatedGroundTruth.from_lvis(lvis_content(images))
    for predictions in (federated_predictions(images), []):
        results = evaluate_lvis(truth, predictions)
        assert results.summary["AP"] == results.summary["AR@300"] == 0
        assert results.ap[0] == 0
        assert np.isnan(results.ap[1:]).all()
        assert results.group_summary(truth.groups) == dict(APr=0, APr_50=0, ARr=0)


def test_hand_worked_example():
    images = [
        # Right; wrong, as all objects of class 0 are known; of class 1 nobody knows.
        ([(0, A, False)], [(0, A, 0.9), (0, B, 0.8), (1, A, 0.99)], [], []),
        # No object of class 0 is here, as somebody looked: wrong.
        ([], [(0, A, 0.85)], [0], []),
        # Right; the second one may be an object that nobody marked.
        ([(0, A, False)], [(0, A, 0.7), (0, B, 0.95)], [], [0]),
        # Found twice, which no missing object excuses: but ignored all the same.
        ([(1, A, False)], [(1, A, 0.6), (1, A, 0.5)], [], [1]),
    ]
    truth = FederatedGroundTruth.from_lvis(lvis_content(images))
    results = evaluate_lvis(truth, federated_predictions(images))
    # By score: 0.9 right, 0.85 and 0.8 wrong, 0.7 right. Of two objects the first is
    # found at precision 1 (51 levels of recall), the second at 2 / 4.
    expected = (51 * 1 + 50 * 2 / 4) / 101
    assert results.ap[0] == pytest.approx(expected, abs=1e-12)
    assert results.ap[1] == pytest.approx(1, abs=1e-12)
    assert results.summary["AP"] == pytest.approx((expected + 1) / 2, abs=1e-12)
    assert results.recall.tolist()[:2] == [1, 1]
    assert results.object_count.tolist() == [2, 1, 0]
    assert results.detection_count.tolist() == [5, 2, 0]
    # With one detection in an image the unmarked one, and the unjudged, cost places.
    results = evaluate_lvis(truth, federated_predictions(images), max_dets=1)
    assert results.ap[0] == results.recall[0] == 0
    assert results.detection_count.tolist() == [2, 1, 0]
    assert set(results.summary) >= {"AP", "AR@1", "ARs@1"}


@pytest.mark.parametrize("most", [3, 7, 10_000])
@pytest.mark.parametrize("seed", range(3))
def test_fixed_and_pooled_precision_equal_the_slow_reference(monkeypatch, seed, most):
    monkeypatch.setattr(lvis_eval, "FIXED_PER_CLASS", most)
    images = random_federated(seed, num_images=10, num_classes=4, many=5)
    images = [
        ([(k, b, i % 5 == 4) for i, (k, b, _) in enumerate(objects)], *rest)
        for objects, *rest in images
    ]
    truth = FederatedGroundTruth.from_lvis(lvis_content(images, "rcff"))
    predictions = federated_predictions(images)
    # The best ones of each class, of the whole set, the first ones of equal scores.
    places = [
        (row, i) for row, image in enumerate(images) for i in range(len(image[1]))
    ]
    kept = set()
    for label in range(4):
        own = [(r, i) for r, i in places if images[r][1][i][0] == label]
        kept.update(
            sorted(own, key=lambda place: -images[place[0]][1][place[1]][2])[:most]
        )
    best = []
    for row, (objects, detections, *lists) in enumerate(images):
        chosen = [d for i, d in enumerate(detections) if (row, i) in kept]
        best.append((objects, chosen, *lists))

    results = evaluate_lvis(truth, predictions, fixed_ap=True, max_dets=1)
    expected, pooled = [], []
    for thr in IOU_THRS:
        judged, totals = slow_verdicts(best, thr)
        expected.append(
            [
                average_precision(judged[k], totals[k]) if totals[k] else np.nan
                for k in range(4)
            ]
        )
        joined = [pair for label in range(4) for pair in judged[label]]
        pooled.append(average_precision(joined, sum(totals.values())))
    np.testing.assert_allclose(results.ap, np.mean(expected, 0), rtol=0, atol=1e-9)
    assert "AR@10000" in results.summary

    counted = Detections.from_predictions(truth, federated_predictions(best))
    counted = counted.take(truth.is_judged(counted))
    matches = match(truth, counted, unjudged=truth.is_unjudged_if_wrong(counted))
    np.testing.assert_allclose(pooled_precision(matches), pooled, rtol=0, atol=1e-9)


def test_a_part_of_the_images():
    images = random_federated(2, num_images=8)
    truth = FederatedGroundTruth.from_lvis(lvis_content(images, "rrccff"))
    wanted = [1, 4, 5]
    part = truth.subset([7 * row + 3 for row in wanted])
    kept = [images[row] for row in wanted]
    alone = FederatedGroundTruth.from_lvis(lvis_content(kept, "rrccff"))
    assert (part.negatives, part.not_exhaustive) == (
        alone.negatives,
        alone.not_exhaustive,
    )
    predictions = federated_predictions(kept)
    expected = evaluate_lvis(alone, predictions).summary
    for prediction, row in zip(predictions, wanted, strict=True):
        prediction["img_id"] = 7 * row + 3
    found = evaluate_lvis(part, predictions).summary
    assert found == pytest.approx(expected, abs=0, nan_ok=True)


def test_bad_files_and_limits_are_named():
    images = [([(0, A, False)], [(0, A, 0.9)], [], [])]
    content = lvis_content(images)
    truth = FederatedGroundTruth.from_lvis(content)
    with pytest.raises(
        ValueError, match=r"`max_dets` must be None or a whole number >= 1, got 0"
    ):
        evaluate_lvis(truth, federated_predictions(images), max_dets=0)
    content["categories"][1]["frequency"] = "x"
    with pytest.raises(ValueError, match=r"\(id 7, 'class 1'\): needs a `frequency`"):
        FederatedGroundTruth.from_lvis(content)
    for category in content["categories"]:
        del category["frequency"]
    assert FederatedGroundTruth.from_lvis(content).groups is None
    lists = content["images"][0].pop("not_exhaustive_category_ids")
    with pytest.raises(ValueError, match="no image has `not_exhaustive_category_id"):
        FederatedGroundTruth.from_lvis(content)
    content["images"][0]["not_exhaustive_category_ids"] = lists
    del content["images"][0]["neg_category_ids"]
    with pytest.raises(ValueError, match="no image has `neg_category_ids`: this is no"):
        FederatedGroundTruth.from_lvis(content)


@pytest.mark.lvis
def test_annotation_with_id_zero_is_found(lvis):
    """As in COCO's rules: the original takes that id for no match."""
    box = (0.0, 0.0, 10.0, 10.0)
    images = [([(0, box, False)], [(0, box, 0.9)], [], [])] * 2
    content = lvis_content(images, "r")
    results = lvis_results(federated_predictions(images))

    def figures():
        truth = FederatedGroundTruth.from_lvis(content)
        ours = evaluate_lvis(truth, federated_predictions(images)).summary["AP"]
        theirs, _ = lvis_figures(content, results, "bbox", 300)
        return ours, theirs["AP"]

    assert figures() == pytest.approx((1, 1))
    for number, annotation in enumerate(content["annotations"]):
        annotation["id"] = number
    assert figures() == pytest.approx((1, 0.5 * 51 / 101))
