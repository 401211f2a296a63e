import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from tests.masked_sets import (
    bitmaps,
    check_lengths,
    corner_shape,
    corners,
    ellipse,
    rectangle,
    same,
)
from tests.mixed_sets import check_shares
from tests.pasted_scenes import check_pasted, paste, scene, scenes

KINDS = (None, "bitmap", "polygon")
AS_IS = dict(scale_range=(1, 1), flip_prob=0)


def pasted(transform, before, *donors):
    """Paste into a copy."""
    return transform(copy.deepcopy({**before, "mix_results": list(donors)}))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=80)
def test_everything_stays_consistent(kind, data):
    before = data.draw(scenes(kind))
    donors = [
        data.draw(scenes(kind, 1 + i)) for i in range(data.draw(st.integers(0, 4)))
    ]
    max_hidden = data.draw(st.sampled_from([0, 0.3, 0.8]))
    np.random.seed(data.draw(st.integers(0, 1000)))  # noqa: NPY002
    transform = paste(max_hidden=max_hidden, scale_range=(1, 1))
    after = pasted(transform, before, *donors)
    sources = check_pasted(before, donors, after, max_hidden)
    if not sources:
        assert same(before, after)


@pytest.mark.parametrize("kind", KINDS)
def test_what_fits_is_pasted(kind):
    before = scene((30, 20), [(0, (0, 0, 9, 9)), (3, (20, 10, 8, 8))], kind)
    shapes = (rectangle, ellipse, corner_shape)
    donors = [
        scene((12, 12), [(0, (0, 0, 12, 12)), (label, (2, 3, 6, 7), shape)], kind, i)
        for i, (label, shape) in enumerate(zip((1, 2, 1), shapes, strict=True), 1)
    ]
    transform = paste(scale_range=(1, 1), max_tries=200)
    for _ in range(20):
        after = pasted(transform, before, *donors)
        assert check_pasted(before, donors, after, 0.3) == [1, 2, 3]
        assert after["gt_bboxes_labels"].tolist() == [0, 3, 1, 2, 1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("max_hidden", "is_pasted"), [(0.3, True), (0.29, False)])
def test_at_most_the_given_share_is_hidden(kind, max_hidden, is_pasted):
    before = scene((10, 4), [(0, (0, 0, 10, 4))], kind)
    donor = scene((10, 10), [(1, (0, 0, 4, 3))], kind, 1)  # 12 of 40 pixels
    after = pasted(paste(max_hidden=max_hidden, **AS_IS), before, donor)
    assert len(after["gt_bboxes"]) == 1 + is_pasted
    assert check_pasted(before, [donor], after, max_hidden) == [1] * is_pasted


@pytest.mark.parametrize("kind", KINDS)
def test_objects_that_are_pasted_hide_no_more_together(kind):
    before = scene((10, 4), [(0, (0, 0, 10, 4))], kind)
    donors = [scene((10, 10), [(1, (0, 0, 4, 2))], kind, i) for i in (1, 2, 3)]
    for _ in range(20):  # 8 of 40 pixels each
        after = pasted(paste(max_hidden=0.3, **AS_IS), before, *donors)
        assert check_pasted(before, donors, after, 0.3) == [1]


@pytest.mark.parametrize("is_ignored", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_what_has_no_mask_is_guarded_by_its_box(kind, is_ignored):
    crowd = (0, (0, 0, 10, 8), None, is_ignored)
    donor = scene((10, 10), [(1, (0, 0, 5, 5))], kind, 1)
    before = scene((10, 8), [crowd], kind)
    assert same(pasted(paste(**AS_IS), before, donor), before)
    before = scene((40, 8), [crowd], kind)
    after = pasted(paste(max_tries=100, **AS_IS), before, donor)
    assert check_pasted(before, [donor], after, 0.3) == [1]


@pytest.mark.parametrize("kind", KINDS)
def test_objects_that_are_all_hidden_leave_with_their_masks(kind):
    objects = [(0, (2, 2, 4, 4)), (2, (0, 0, 8, 6), None, True)]
    before = scene((8, 6), objects, kind)
    donor = scene((8, 6), [(1, (0, 0, 8, 6))], kind, 1)
    after = pasted(paste(max_hidden=1, **AS_IS), before, donor)
    check_lengths(after)
    left = [0, 2, 1] if kind is None else [2, 1]
    assert after["gt_bboxes_labels"].tolist() == left
    assert (after["img"][..., 2] == 1).all()


def test_boxes_may_be_hidden_again_and_again():
    donors = [scene((8, 6), [(1, (0, 0, 8, 6))], None, i) for i in (1, 2, 3)]
    transform = paste(max_hidden=1, **AS_IS)
    after = pasted(transform, scene((8, 6), [(0, (1, 1, 4, 4))], None), *donors)
    assert after["gt_bboxes_labels"].tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_pasted_from_what_is_frequent_ignored_or_too_large(kind):
    before = scene((10, 10), [(1, (0, 0, 2, 2))], kind)
    donors = [
        scene((10, 10), [], kind, 1),
        scene((10, 10), [(0, (0, 0, 4, 4)), (3, (4, 4, 4, 4))], kind, 2),
        scene((10, 10), [(1, (0, 0, 4, 4), rectangle, True)], kind, 3),
        scene((30, 30), [(1, (0, 0, 11, 4)), (2, (9, 9, 4, 11))], kind, 4),
    ]
    transform = paste(max_tries=100, **AS_IS)
    for _ in range(10):
        assert same(pasted(transform, before, *donors), before)
    assert same(pasted(transform, before), before)


@pytest.mark.parametrize("kind", KINDS)
def test_images_without_objects_get_some(kind):
    before = scene((20, 20), [], kind)
    donor = scene((9, 9), [(2, (1, 2, 5, 6), ellipse)], kind, 1)
    after = pasted(paste(**AS_IS), before, donor)
    assert check_pasted(before, [donor], after, 0.3) == [1]


@pytest.mark.parametrize("flip_prob", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_objects_are_mirrored(kind, flip_prob):
    donor = scene((12, 12), [(1, (2, 3, 8, 8), corner_shape)], kind, 1)
    transform = paste(scale_range=(1, 1), flip_prob=flip_prob)
    after = pasted(transform, scene((30, 30), [], kind), donor)
    (box,) = corners(after).astype(int)
    from_x = after["img"][box[3] - 1, box[0] : box[2], 0].tolist()
    assert from_x == list(range(2, 10))[:: -1 if flip_prob else 1]


@given(scale=st.floats(0.05, 3), width=st.integers(1, 12), height=st.integers(1, 12))
@settings(max_examples=50)
def test_objects_are_resized(scale, width, height):
    donor = scene((14, 14), [(1, (1, 2, width, height))], None, 200)
    transform = paste(scale_range=(scale, scale))
    after = pasted(transform, scene((50, 50), [], None), donor)
    check_lengths(after)
    ((x1, y1, x2, y2),) = corners(after).astype(int)
    wanted = max(1, round(width * scale)), max(1, round(height * scale))
    assert (x2 - x1, y2 - y1) == wanted
    inside = after["img"][y1:y2, x1:x2]
    assert (inside[..., 2] == 200).all()
    low, high = (1, 2), (width, height + 1)
    assert ((inside[..., :2] >= low) & (inside[..., :2] <= high)).all()


@pytest.mark.parametrize("scale_range", [(0.3, 0.3), (0.8, 1.25), (2, 2)])
@pytest.mark.parametrize("kind", ["bitmap", "polygon"])
def test_masks_are_resized_with_their_objects(kind, scale_range):
    before = scene((60, 50), [(0, (10, 10, 20, 20), ellipse)], kind)
    donors = [
        scene((30, 30), [(1, (3, 4, 18, 22), shape)], kind, 1)
        for shape in (ellipse, corner_shape)
    ]
    area = np.array([donor["gt_masks"].to_ndarray().sum() for donor in donors])
    for _ in range(10):
        after = pasted(paste(scale_range=scale_range, max_tries=50), before, *donors)
        check_lengths(after)
        masks = bitmaps(after)[1:]
        np.testing.assert_array_equal(masks.any(0), after["img"][..., 2] == 1)
        low, high = (factor**2 * area for factor in scale_range)
        assert (masks[-1].sum() <= 1.3 * high.max()) & (
            masks[0].sum() >= 0.4 * low.min()
        )


@pytest.mark.parametrize("shape", [(20, 20), (20, 20, 1), (20, 20, 3), (20, 20, 6)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_images_of_any_type(shape, dtype):
    before, donor = scene((20, 20), []), scene((20, 20), [(1, (2, 2, 7, 9))])
    before["img"], donor["img"] = np.zeros(shape, dtype), np.full(shape, 7, dtype)
    after = pasted(paste(), before, donor)
    assert after["img"].shape == shape
    assert after["img"].dtype == dtype
    is_seven = (after["img"].reshape(20, 20, -1) == 7).all(-1)
    np.testing.assert_array_equal(bitmaps(after)[0], is_seven)


@pytest.mark.parametrize("kind", KINDS)
def test_the_class_of_the_boxes_is_kept(kind):
    before = scene((30, 20), [(0, (0, 0, 9, 9))], kind)
    donor = scene((9, 9), [(1, (0, 0, 5, 5))], kind, 1)
    np.random.seed(1)  # noqa: NPY002
    objects = pasted(paste(), before, donor)
    assert isinstance(objects["gt_bboxes"], HorizontalBoxes)
    for part in (before, donor):
        part["gt_bboxes"] = part["gt_bboxes"].numpy()
    np.random.seed(1)  # noqa: NPY002
    arrays = pasted(paste(), before, donor)
    assert isinstance(arrays["gt_bboxes"], np.ndarray)
    assert same(objects, arrays)
    assert len(arrays["gt_bboxes"]) == 2
    if kind is not None:
        assert isinstance(arrays["gt_masks"], BitmapMasks)


def test_boxes_without_masks_are_cut_at_the_border():
    donor = scene((10, 10), [(1, (0, 0, 5, 5)), (2, (0, 0, 5, 5))], None, 1)
    donor["gt_bboxes"].tensor[:] += np.float32([[-3.4], [20]])
    sizes = set()
    for _ in range(20):
        after = pasted(paste(**AS_IS), scene((9, 9), [], None), donor)
        check_lengths(after)
        sizes |= {tuple(box[2:] - box[:2]) for box in corners(after)}
    assert sizes == {(2.0, 2.0)}  # class 2 is outside the image


def test_objects_of_an_image_are_drawn_by_their_chances():
    donor = scene((9, 9), [(c, (0, 0, 2, 2)) for c in (1, 2, 2, 0, 3)], None, 1)
    chance_1, chance_2 = np.sqrt(0.5 * 11 / np.array([2, 1])) - 1
    transform, before = paste(), scene((30, 30), [], None)
    after = [pasted(transform, before, donor) for _ in range(800)]
    labels = np.ravel([results["gt_bboxes_labels"] for results in after])
    check_shares(labels, [0, chance_1, 2 * chance_2, 0])


def test_semantic_maps_are_refused():
    before = scene((9, 9), []) | dict(gt_seg_map=np.zeros((9, 9), np.uint8))
    with pytest.raises(ValueError, match=r"not semantic maps: use `with_seg=False`"):
        paste()(before)
