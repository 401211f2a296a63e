"""The table of what counts mean: its numbers, its JSON, and names that are markup."""

import json

import numpy as np
import pytest

from imb_det.statistics import ClassStats, GroupLimits
from imb_det.statistics.class_overview import ClassOverview
from imb_det.statistics.class_weights import class_weights
from imb_det.statistics.repeat_factors import RepeatRule

NAMES = ("cat|<b>", "dog", "emu", "yak")


@pytest.fixture
def stats():
    counts = [90, 12, 1, 0], [200, 30, 1, 0]
    return ClassStats(NAMES, *counts, 100, GroupLimits((2, 20)))


def cells(line):
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_the_table_by_hand(stats):
    lines = ClassOverview(stats, "a.json").markdown().splitlines()
    assert lines[0].strip() == "a.json: 100 images, 231 boxes, 4 classes"
    assert "rare (<= 2 images) 2, common (3 to 20) 1, frequent (> 20) 1" in lines[1]
    # |n_i - n_j| over pairs: 170 + 199 + 200 + 29 + 30 + 1 = 629, over 4 x 231.
    assert lines[2].endswith("boxes 200, Gini coefficient 0.681")
    head, first = cells(lines[4]), cells(lines[6])
    assert first[:4] == [r"cat\|\<b>", "frequent", "90", "200"]
    # 1/200, 1/30 and, as the limit is 100 times the least, 1/2; their mean over the
    # boxes is 2.5 / 231.
    assert first[head.index("`inverse`")] == "0.462"
    last = cells(lines[8])
    assert last[:4] == ["emu", "rare", "1", "1"]
    assert last[head.index("`inverse`")] == "46.2"
    # Frequent from 0.9 on: the square root of 0.9 / 0.01.
    assert last[head.index("repeats, `repeat_thr='auto'`")] == "9.49"
    assert last[head.index("repeats, `repeat_thr=0.001`")] == "1"
    assert "`repeat_thr='auto'` is 0.9" in lines[-1]
    assert "weights of `power` are those of `inverse`" in lines[-1]


def test_json_has_all_of_it_and_counts_can_be_read_from_it(stats, tmp_path):
    path = tmp_path / "new" / "counts.json"
    ClassOverview(stats, "a.json").write(path)
    assert ClassStats.from_json(path) == stats
    assert ClassStats.from_file(path, NAMES) == stats
    content = json.loads(path.read_text())
    for rule, weights in content["weights"].items():
        assert np.array_equal(weights, class_weights(stats, rule))
    factors = RepeatRule("test", "auto").of_classes(stats)
    assert content["repeat_factors"]["auto"] == factors.factors.tolist()
    assert content["repeat_thresholds"] == {"0.001": 0.001, "auto": 0.9}
    assert content["groups"]["rare"] == ["emu", "yak"]
    table = path.with_suffix(".md").read_text()
    assert table == ClassOverview(stats, "a.json").markdown() + "\n"


@pytest.mark.parametrize(("rows", "shown"), [(2, "pz"), (3, "pqz"), (4, "pqyz")])
def test_long_tables_show_the_most_frequent_and_the_rarest(rows, shown):
    stats = ClassStats("pqyz", [9, 5, 3, 1], [9, 5, 3, 1], 9)
    lines = ClassOverview(stats, "a").markdown(rows).splitlines()[6:-2]
    names = [cells(line)[0] for line in lines]
    assert "".join(n for n in names if len(n) == 1) == shown
    assert (f"... {4 - rows} more" in names) == (rows < 4)


def test_a_set_without_boxes_has_no_ratio(tmp_path):
    stats = ClassStats(["cat"], [0], [0], 3)
    overview = ClassOverview(stats, "a")
    assert "ratio of boxes -, Gini coefficient -" in overview.markdown()
    assert json.loads(json.dumps(overview.to_dict(), allow_nan=False))["gini"] is None
