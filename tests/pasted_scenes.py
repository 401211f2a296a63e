"""Random scenes whose pixels tell where they come from, and what pasting may do."""

import numpy as np
from hypothesis import strategies as st
from mmdet.structures.mask import PolygonMasks

from imb_det.statistics.label_table import LabelTable
from tests.masked_sets import (
    bitmaps,
    box_around,
    build,
    check_lengths,
    class_names,
    corner_shape,
    corners,
    ellipse,
    record,
    rectangle,
)

#: Class 0 is frequent, 1 and 2 are rare, 3 never occurs: threshold 0.5.
TABLE = LabelTable.from_labels(class_names(4), [[0]] * 8 + [[0, 1], [1], [2]])
RARE = (1, 2)
NO_POLYGON = [0.0] * 6  # what mmdet gives to an object whose mask cannot be read


def paste(**config):
    """The transform, which pastes classes 1 and 2."""
    defaults = dict(type="imb_det.RareCopyPaste", repeat_thr=0.5)
    transform = build(**defaults | config)
    transform.set_partners(TABLE, np.ones(len(TABLE)))
    return transform


def scene(size, objects, kind="bitmap", number=0):
    """An image of (width, height) whose pixels are (x, y, number).

    Objects are (label, box as x y w h, shape, whether it is ignored); the last two may
    be left out. Masks are of a kind: bitmap, polygon or None.
    """
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(width), np.arange(height)[:, None]
    image[..., 2] = number
    rows = [(*row, *(rectangle, False)[len(row) - 2 :]) for row in objects]
    boxes = [[x, y, x + w, y + h] for _, (x, y, w, h), *_ in rows]
    labels = [label for label, *_ in rows]
    ignored = np.array([is_ignored for *_, is_ignored in rows], bool)
    masks = None
    if kind is not None:
        masks = [
            [np.array(shape(*box) if shape else NO_POLYGON)]
            for _, box, shape, _ in rows
        ]
        if kind == "bitmap":
            masks = PolygonMasks(masks, height, width).to_ndarray()
    return record(image, boxes, labels, ignored, masks, kind)


@st.composite
def scenes(draw, kind, number=0):
    width, height = draw(st.integers(4, 30)), draw(st.integers(4, 30))
    objects = []
    for _ in range(draw(st.integers(0, 5))):
        x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        box = x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y))
        shape = draw(st.sampled_from([rectangle, ellipse, corner_shape, None]))
        objects.append((draw(st.integers(0, 3)), box, shape, draw(st.booleans())))
    return scene((width, height), objects, kind, number)


def regions(results):
    """The pixels of each object: those of its mask, else those of its box."""
    filled = np.zeros((len(results["gt_bboxes"]), *results["img"].shape[:2]), bool)
    for region, (x1, y1, x2, y2) in zip(filled, corners(results), strict=True):
        region[int(y1) : int(y2), int(x1) : int(x2)] = True
    if "gt_masks" in results:
        masks = bitmaps(results)
        has_mask = masks.any((1, 2))
        filled[has_mask] = masks[has_mask]
    return filled


def check_pasted(before, donors, after, max_hidden):
    """Compare with what was there; donors have the numbers 1, 2, ..., size unchanged.

    Returns:
        The numbers of the donors whose objects have been pasted.
    """
    check_lengths(after)
    assert after["img"].dtype == before["img"].dtype
    pasted = after["img"][..., 2] != 0
    np.testing.assert_array_equal(after["img"][~pasted], before["img"][~pasted])
    number = len(before["gt_bboxes"])
    hidden = (regions(before) & pasted).sum((1, 2)) / regions(before).sum((1, 2))
    assert (hidden <= max_hidden + 1e-9).all()
    for key in ("gt_bboxes_labels", "gt_ignore_flags"):
        np.testing.assert_array_equal(after[key][:number], before[key])
    boxes = corners(before)
    if "gt_masks" in before:
        left = bitmaps(before) & ~pasted
        np.testing.assert_array_equal(bitmaps(after)[:number], left)
        for i in np.flatnonzero((bitmaps(before) & pasted).any((1, 2))):
            boxes[i] = box_around(left[i])
    np.testing.assert_array_equal(corners(after)[:number], boxes)

    assert not after["gt_ignore_flags"][number:].any()
    found = regions(after)[number:]
    if "gt_masks" not in before:  # boxes reach below what is pasted over them
        for i in range(len(found)):
            found[i] &= ~found[i + 1 :].any(0)
    np.testing.assert_array_equal(found.sum(0), pasted)
    sources = []
    for label, box, region in zip(
        after["gt_bboxes_labels"][number:],
        corners(after)[number:],
        found,
        strict=True,
    ):
        assert label in RARE
        if "gt_masks" in before:
            np.testing.assert_array_equal(box_around(region), box)
        sources.append(source_of(after["img"], region, label, donors, max_hidden))
    assert sources == sorted(set(sources))
    return sources


def source_of(image, region, label, donors, max_hidden):
    """Find the object of a donor that a region shows, as it is or mirrored."""
    y, x = np.nonzero(region)
    from_x, from_y, source = image[region].astype(int).T
    assert len(set(source)) == 1
    assert len(set(y - from_y)) == 1
    assert 1 in (len(set(x - from_x)), len(set(x + from_x)))
    donor = donors[source[0] - 1]
    may_be = (donor["gt_bboxes_labels"] == label) & ~donor["gt_ignore_flags"]
    whole = regions(donor)[may_be]
    holds = whole[:, from_y, from_x].all(1)
    least = (1 - max_hidden) * whole.sum((1, 2)) - 1e-9
    assert (holds & (len(x) >= least)).any()
    return int(source[0])
