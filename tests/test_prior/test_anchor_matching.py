import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imb_det.prior.anchor_matching import count_max_iou_matches
from imb_det.prior.anchor_owners import count_anchors_of_boxes
from tests.references.max_iou import all_anchors, count_matches, owners

STRIDES = [(8, 8), (16, 16), (32, 32)]


def make_base_anchors(scale):
    """Three shapes a level, centred on the grid point, as RetinaNet has them."""
    levels = []
    for stride, _ in STRIDES:
        ratio = np.sqrt(np.array([0.5, 1.0, 2.0]))
        half = np.stack([scale * stride / ratio, scale * stride * ratio], 1) / 2
        levels.append(np.concatenate([-half, half], 1).astype(np.float32))
    return levels


def reference(boxes, image, pad_shape, base_anchors, thresholds):
    rows = [
        count_matches(
            boxes[image == i], all_anchors(base_anchors, STRIDES, shape), *thresholds
        )
        for i, shape in enumerate(pad_shape)
    ]
    return tuple(np.array(column) for column in zip(*rows, strict=True))


# A quarter-pixel lattice makes exact ties between anchors frequent.
coordinate = st.integers(-40, 600).map(lambda v: v / 4)
side = st.one_of(st.integers(1, 40), st.integers(1, 800)).map(lambda v: v / 4)


@st.composite
def scenes(draw):
    pad_shape = draw(
        st.lists(
            st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=3
        )
    )
    image = sorted(draw(st.lists(st.integers(0, len(pad_shape) - 1), max_size=8)))
    corners = []
    for _ in image:
        x, y = draw(coordinate), draw(coordinate)
        corners.append((x, y, x + draw(side), y + draw(side)))
    return (
        np.array(corners, np.float32).reshape(-1, 4),
        np.array(image, np.int64),
        np.array(pad_shape, np.int64) * 32,
    )


@given(
    scene=scenes(),
    scale=st.sampled_from([1.0, 3.0, 4.0]),
    thresholds=st.sampled_from(
        [
            (0.5, 0.4, 0.0, True),
            (0.7, 0.3, 0.3, True),
            (0.5, 0.5, 0.5, False),
            (0.5, 0.4, 0.2, True),
            (0.3, 0.05, 0.0, True),
        ]
    ),
)
def test_equals_all_pairs(scene, scale, thresholds):
    boxes, image, pad_shape = scene
    base_anchors = make_base_anchors(scale)
    found = count_max_iou_matches(
        boxes, image, pad_shape, base_anchors, STRIDES, *thresholds
    )
    wanted = reference(boxes, image, pad_shape, base_anchors, thresholds)
    np.testing.assert_array_equal(found[0], wanted[0])
    np.testing.assert_array_equal(found[1], wanted[1])


@settings(max_examples=40)
@given(
    scene=scenes(),
    scale=st.sampled_from([1.0, 3.0, 4.0]),
    thresholds=st.sampled_from(
        [(0.5, 0.4, 0.0, True), (0.7, 0.3, 0.3, True), (0.5, 0.5, 0.5, False)]
    ),
)
def test_anchors_of_boxes_equal_all_pairs(scene, scale, thresholds):
    boxes, image, pad_shape = scene
    base_anchors = make_base_anchors(scale)
    arguments = (boxes, image, pad_shape, base_anchors, STRIDES, *thresholds)
    found = count_anchors_of_boxes(*arguments)
    pos_iou, _, *others = thresholds
    wanted = np.zeros_like(found)
    for i, shape in enumerate(pad_shape):
        anchors = all_anchors(base_anchors, STRIDES, shape)
        sizes = [(shape // 32).prod() * 3 * k * k for k in (4, 2, 1)]
        levels = np.repeat(np.arange(3), sizes)
        of_image = np.flatnonzero(image == i)
        for anchor, box in enumerate(
            owners(boxes[of_image], anchors, pos_iou, *others)
        ):
            if box >= 0:
                wanted[of_image[box], levels[anchor]] += 1
    np.testing.assert_array_equal(found, wanted)
    positive, _ = count_max_iou_matches(*arguments)
    sums = np.bincount(image, found.sum(1), minlength=len(pad_shape))
    np.testing.assert_array_equal(sums, positive)


def test_later_box_takes_the_anchor_that_both_overlap_most():
    # Both boxes overlap the one anchor by 1/2 at least; the first more, which keeps it
    # without low-quality matching, and loses it with it, as the second has no other.
    base = [np.array([[0, 0, 8, 8]], np.float32)]
    boxes = np.array([[0, 0, 8, 7], [0, 0, 8, 6]], np.float32)
    arguments = (boxes, np.zeros(2, int), np.array([[8, 8]]), base, [(8, 8)], 0.5, 0.4)
    found = count_anchors_of_boxes(*arguments, match_low_quality=False)
    assert found.tolist() == [[1], [0]]
    assert count_anchors_of_boxes(*arguments).tolist() == [[0], [1]]


def test_hand_worked():
    # One level of stride 8 on 16 x 16 pixels: four anchors of 8 x 8 around
    # (0, 0), (8, 0), (0, 8), (8, 8). The box equals the last anchor moved by 2
    # pixels: overlap 6 x 8 = 48, union 80, IoU 0.6; no other anchor reaches 0.4.
    base = [np.array([[-4, -4, 4, 4]], np.float32)]
    box = np.array([[6, 4, 14, 12]], np.float32)
    for pos_iou, wanted in ((0.5, (1, 4)), (0.7, (0, 3))):
        positive, total = count_max_iou_matches(
            box,
            np.array([0]),
            np.array([[16, 16]]),
            base,
            [(8, 8)],
            pos_iou,
            0.4,
            match_low_quality=False,
        )
        assert (positive.tolist(), total.tolist()) == ([wanted[0]], [wanted[1]])


def test_box_that_no_anchor_overlaps():
    # mmdet lets such a box claim every anchor when `min_pos_iou` is 0.
    base = [np.array([[-4, -4, 4, 4]], np.float32)]
    box = np.array([[500, 500, 510, 510]], np.float32)
    arguments = (box, np.array([0]), np.array([[16, 16]]), base, [(8, 8)], 0.5, 0.4)
    assert count_max_iou_matches(*arguments, min_pos_iou=0.0)[0].tolist() == [4]
    assert count_max_iou_matches(*arguments, min_pos_iou=0.1)[0].tolist() == [0]


@pytest.mark.parametrize(("pos", "neg"), [(0.4, 0.5), (0.5, 0.0), (1.1, 0.4)])
def test_thresholds_out_of_order(pos, neg):
    with pytest.raises(ValueError, match="neg_iou_thr"):
        count_max_iou_matches(
            np.zeros((0, 4), np.float32),
            np.zeros(0, np.int64),
            np.array([[32, 32]]),
            make_base_anchors(3.0),
            STRIDES,
            pos,
            neg,
        )
