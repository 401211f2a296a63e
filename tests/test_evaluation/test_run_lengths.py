"""Run lengths against the pixels that they stand for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_utils

from imb_det.evaluation.functional.run_lengths import (
    EncodedMasks,
    MaskError,
    checked_masks,
)


def encoded(mask):
    return mask_utils.encode(np.asfortranarray(mask, np.uint8))


def drawn(seed, number):
    """Masks of all sizes, from empty to full, with runs from 1 to thousands."""
    rng = np.random.default_rng(seed)
    shares = rng.choice([0, 0.01, 0.5, 0.99, 1], number)
    sides = rng.integers(1, 70, (number, 2))
    return [rng.random(side) < s for side, s in zip(sides, shares, strict=True)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 12))
def test_pixels_are_counted(seed, number):
    masks = drawn(seed, number)
    rles = [encoded(mask) for mask in masks]
    counts, area = checked_masks(rles)
    assert counts == [rle["counts"] for rle in rles]
    assert area.tolist() == [mask.sum() for mask in masks]


def test_many_masks_and_long_runs():
    masks = [np.zeros((2000, 3000), bool) for _ in range(3)]
    masks[1][:, 7:] = True
    masks[2][1999, 2999] = True
    rles = [encoded(mask) for mask in masks]
    assert checked_masks(rles)[1].tolist() == [0, 2000 * 2993, 1]
    small = [encoded(mask) for mask in drawn(3, 50)] * 90  # more than are read at once
    expected = [mask.sum() for mask in drawn(3, 50)] * 90
    assert checked_masks(small)[1].tolist() == expected


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (b"", "malformed"),  # no run at all
        (b"o", "malformed"),  # a number that does not end
        (b"oooooooooo0", "malformed"),  # one that is too long
        (b"4p", "malformed"),  # no digit
        (b"\xff\xff", "malformed"),
        (b"N6", "malformed"),  # a run below 0
        (b"4", "for 4 pixels, but its size is 4 x 5"),
        (b"00d1", "for 52 pixels, but its size is 4 x 5"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_bad_runs_are_told_among_good_ones(counts, message, place):
    masks = [encoded(np.ones((4, 5))), encoded(np.zeros((4, 5)))]
    masks.insert(place, dict(size=[4, 5], counts=counts))
    with pytest.raises(MaskError, match=message) as caught:
        checked_masks(masks)
    assert caught.value.number == place


def test_masks_of_an_image():
    rles = [encoded(np.ones((4, 5))), encoded(np.zeros((4, 5)))]
    masks = EncodedMasks.of_image("a", (4, 5), rles)
    assert len(masks) == 2
    assert masks.rles == rles
    assert masks.area.tolist() == [20, 0]
    with pytest.raises(ValueError, match=r"image 'a' is \[5, 4\] .* is \[4, 5\]"):
        EncodedMasks.of_image("a", (5, 4), rles)
    with pytest.raises(ValueError, match="image 'a', detection 1: a mask must be run"):
        EncodedMasks.of_image("a", (4, 5), [rles[0], [[0, 0, 1, 1, 0, 1]]])
