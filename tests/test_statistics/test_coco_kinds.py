"""Where the kinds of annotations begin."""

import numpy as np
import pytest

from imb_det.statistics.coco_kinds import NAMES, box_kinds


@pytest.mark.parametrize(
    ("box", "area", "kind"),
    [
        ((0, 0, 1, 1), 1, ""),
        ((0, 0, 100, 50), 1e10, ""),
        ((0, 0, 100, 50), 1.001e10, "huge_area"),
        ((0, 0, 100, 50), np.inf, "bad_area"),
        ((0, 0, 100, 50), np.nan, "bad_area"),
        ((0, 0, 100, 50), 0, "no_mask_area"),
        ((0, 0, 100.5, 50), 1, "over_border"),
        ((0, 0, 1e9, 50), 1, "over_border"),
        ((0, 0, 1.001e9, 50), 1, "huge"),
        ((0, 0, 0.99, 50), 1, "below_pixel"),
        ((0, 0, 0, 50), 1, "no_area"),
        ((0, 0, 9, -1), 1, "negative"),
        ((100, 0, 9, 9), 1, "outside"),
        ((99, 0, 9, 9), 1, "over_border"),
        ((0, 0, np.nan, 9), np.nan, "not_finite"),
    ],
)
def test_the_ends_of_kinds(box, area, kind):
    numbers = (np.array([row], float) for row in (box, area, 100, 50))
    assert NAMES[box_kinds(*numbers)[0]] == kind
