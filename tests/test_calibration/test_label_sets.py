"""Sets of labels, by hand and against a loop."""

import numpy as np
import pytest

from imb_det.calibration.label_sets import compare_label_sets
from imb_det.calibration.operating_figures import OperatingChange
from imb_det.calibration.what_moves import changes_table
from tests.coco_scenes import random_images
from tests.references.ap import overlap
from tests.test_evaluation.test_diagnostics import A, B, sets_of

GROUPS = {"rare": [1, 2], "frequent": [0]}


def changes(images, kept):
    """Compare all detections with some of them."""
    truth, before = sets_of(images)
    _, after = sets_of(kept)
    return compare_label_sets(truth, before, after, GROUPS, resamples=50)


def figures(change):
    return {(c.figure, c.group): (c.before, c.after) for c in change.figures}


def test_by_hand():
    objects = [(0, A, False), (1, B, False), (2, B, True)]
    found = [(0, A, 0.9), (1, A, 0.4), (1, A, 0.3), (1, B, 0.2), (2, B, 0.6)]
    kept = [d for d in found if d[2] >= 0.4]
    change = changes([(objects, found)], [(objects, kept)])
    assert change.most == 2  # three labels of two objects, a crowd apart
    assert figures(change) == {
        ("labels", "all"): (2, 1.5),
        ("coverage", "all"): (1, 0.5),
        ("coverage, 2 best", "all"): (1, 0.5),
        ("labels", "rare"): (2, 1),
        ("coverage", "rare"): (1, 0),
        ("coverage, 2 best", "rare"): (1, 0),
        ("labels", "frequent"): (2, 2),
        ("coverage", "frequent"): (1, 1),
        ("coverage, 2 best", "frequent"): (1, 1),
    }


def test_labels_are_ranked_by_their_best_score():
    objects = [(0, A, False)]
    found = [(0, A, 0.2), (0, A, 0.9), (1, A, 0.5)]
    change = changes([(objects, found)], [(objects, found[1:2])])
    assert change.most == 1
    assert figures(change)["coverage, 1 best", "all"] == (1, 1)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_the_definition_says(seed):
    images = random_images(seed) + random_images(seed + 100)
    kept = [(o, [d for d in ds if d[2] > 0.4]) for o, ds in images]
    change = changes(images, kept)
    found = figures(change)
    best = []
    for place, given in enumerate((images, kept)):
        sizes, covered = [], []
        for objects, detections in given:
            for label, box, crowd in objects:
                if crowd:
                    continue
                near = [d for d in detections if overlap(d[1], box, False) >= 0.5]
                names = {d[0] for d in near}
                sizes.append(len(names))
                covered.append(label in names)
                if place == 0:  # as many labels for each object
                    tops = {n: max(d[2] for d in near if d[0] == n) for n in names}
                    order = sorted(tops, key=lambda n: -tops[n])
                    best.append(label in order[: change.most])
        assert found["labels", "all"][place] == pytest.approx(np.mean(sizes))
        assert found["coverage", "all"][place] == pytest.approx(np.mean(covered))
    name = f"coverage, {change.most} best"
    assert found[name, "all"][0] == pytest.approx(np.mean(best))
    assert found[name, "all"][1] == found["coverage", "all"][1]


def test_without_a_threshold_nothing_moves():
    images = random_images(1)
    change = changes(images, images)
    for own in change.figures:
        if own.figure in ("labels", "coverage"):
            assert own.before == own.after or np.isnan(own.before)
            assert own.interval == (0, 0) or np.isnan(own.interval[0])


def test_what_is_not_defined_is_a_dash():
    nan = float("nan")
    rows = [
        OperatingChange("precision", "rare", 0.5, nan, (nan, nan)),
        OperatingChange("precision", "all", 0.5, 0.75, (nan, nan)),
    ]
    text = changes_table(rows)
    assert "nan" not in text
    first, second = text.splitlines()[-2:]
    assert first.split()[-1] == "-"
    assert second.split()[-1] == "+0.250"
