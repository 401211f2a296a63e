"""Counts in one line."""

from imb_det.statistics import ClassStats
from imb_det.statistics.description import describe


def test_describe_shortens_long_lists():
    names = tuple(f"c{i}" for i in range(9))
    text = describe(ClassStats(names, [0] * 7 + [11, 101], [0] * 7 + [11, 202], 101))
    assert "rare (<= 10 images) 7, common (11 to 100) 1, frequent (> 100) 1" in text
    assert "imbalance ratio 18.4 ('c8' 202 boxes, 'c7' 11)" in text
    assert text.endswith("any box: ['c0', 'c1', 'c2', 'c3', 'c4'] and 2 more")
    assert "ratio" not in describe(ClassStats(("a",), [0], [0], 4))
