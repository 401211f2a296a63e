import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imb_det.evaluation.functional.top1 import top1_recall
from tests.coco_scenes import random_images
from tests.references.ap import overlap
from tests.test_evaluation.test_diagnostics import A, B, sets_of

FAR = (60.0, 60.0, 5.0, 5.0)


def shares(images, iou_thr=0.5):
    return top1_recall(*sets_of(images), iou_thr=iou_thr)


def test_by_hand():
    objects = [(0, A, False), (0, B, False), (1, B, False), (1, FAR, False)]
    found = [
        (0, A, 0.4),  # the best one there
        (1, A, 0.3),
        (0, B, 0.5),  # class 1 has B with the better score
        (1, B, 0.6),
    ]
    crowd = [(2, A, True)]
    assert shares([(objects, found), (crowd, found)])[:2].tolist() == [0.5, 0.5]
    assert np.isnan(shares([(objects, found), (crowd, found)])[2])


def test_a_tie_is_no_hit_and_a_shift_of_one_class_is_seen():
    objects = [(0, A, False), (1, B, False)]
    scores = {(0, A): 0.5, (1, A): 0.5, (0, B): 0.3, (1, B): 0.2}
    images = [(objects, [(c, box, s) for (c, box), s in scores.items()])]
    assert shares(images)[:2].tolist() == [0, 0]
    images = [(objects, [(c, b, s + 0.2 * (c == 1)) for (c, b), s in scores.items()])]
    assert shares(images)[:2].tolist() == [0, 1]


@given(seed=st.integers(0, 10_000), iou_thr=st.sampled_from([0.3, 0.5, 0.8]))
@settings(max_examples=60, deadline=None)
def test_it_is_what_the_definition_says(seed, iou_thr):
    images = random_images(seed)
    hits, total = np.zeros(3), np.zeros(3)
    for objects, detections in images:
        for label, box, crowd in objects:
            if crowd:
                continue
            total[label] += 1
            near = [d for d in detections if overlap(d[1], box, False) >= iou_thr]
            best = max((d[2] for d in near), default=None)
            hits[label] += bool(near) and {d[0] for d in near if d[2] == best} == {
                label
            }
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(shares(images, iou_thr), hits / total)


def test_an_overlap_that_is_none():
    with pytest.raises(ValueError, match="iou_thr"):
        shares([([(0, A, False)], [])], iou_thr=0)
