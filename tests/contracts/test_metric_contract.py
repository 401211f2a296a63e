"""What every registered metric must hold, found by discovery."""

import json
import math

import pytest

from imb_det.registry import METRICS
from tests.two_ranks import on_two_ranks

from .metric_cases import (
    BAD,
    CASES,
    CLASSES,
    GROUPS,
    NUM_IMAGES,
    REFUSED,
    STATS,
    samples,
)
from .registered import check_all_have_cases, registered

each_case = pytest.mark.parametrize("case", CASES, ids=str)


def evaluate(metric, how="noisy", batch=3):
    """Judge the whole data set in batches."""
    everything = samples(how)
    for start in range(0, len(everything), batch):
        metric.process({}, everything[start : start + batch])
    return metric.evaluate(size=len(everything))


def groups_of(figures, case, start):
    """Figures of the groups by letter and what follows it."""
    names = (f"{start}{case.figure}{letter}" for letter in "rcf")
    return [figures[name] for name in names]


def bare(figures, metric):
    """Figures without the prefix."""
    prefix = f"{metric.prefix}/" if metric.prefix else ""
    assert all(key.startswith(prefix) for key in figures)
    return {key.removeprefix(prefix): value for key, value in figures.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("metrics")


def test_every_metric_has_cases():
    found = registered(METRICS)
    where = "`CASES` of tests/contracts/metric_cases.py"
    check_all_have_cases("metrics", {case.name for case in CASES}, found, where)
    check_all_have_cases("metrics", BAD, found, where.replace("CASES", "BAD"))


@each_case
def test_keys_carry_the_prefix(case, folder):
    metric = case.build(folder)
    assert metric.prefix == type(metric).default_prefix  # mmdet's, which may be none
    figures = evaluate(metric)
    own = case.build(folder, prefix="mine")
    assert {f"mine/{key}": v for key, v in bare(figures, metric).items()} == (
        pytest.approx(evaluate(own), nan_ok=True)
    )
    for key, value in figures.items():
        # What loggers and `save_best` take.
        assert isinstance(key, str)
        assert isinstance(value, float), key


@each_case
def test_groups_part_the_classes(case, folder, tmp_path):
    metric = case.build(folder, table_dir=str(tmp_path))
    figures = bare(evaluate(metric), metric)
    tables = sorted(tmp_path.glob("*_classes.json"))
    assert len(tables) == len(case.starts)
    for path, start in zip(tables, sorted(case.starts), strict=True):
        rows = json.loads(path.read_text())["classes"]
        assert sorted(row["class"] for row in rows) == sorted(CLASSES)
        groups = {name: set() for name in GROUPS}
        for row in rows:
            groups[row["group"]].add(row["class"])
        assert groups == GROUPS
        for name, members in GROUPS.items():
            found = [row[case.figure] for row in rows if row["class"] in members]
            assert figures[f"{start}{case.figure}{name[0]}"] == pytest.approx(
                sum(found) / len(found), abs=1e-9
            )
        start += case.figure
        gap = figures[f"{start}f"] - figures[f"{start}r"]
        assert figures[f"{start}_gap"] == pytest.approx(gap, abs=1e-12)


@each_case
def test_limits_of_groups_are_in_effect(case, folder):
    metric = case.build(folder, group_thresholds=(5, 30))
    wide = bare(evaluate(metric), metric)
    metric = case.build(folder)
    usual = bare(evaluate(metric), metric)
    for start in case.starts:
        # `bee` alone is common now, `cat` frequent.
        assert groups_of(wide, case, start) != pytest.approx(
            groups_of(usual, case, start)
        )


@each_case
def test_perfect_predictions(case, folder):
    metric = case.build(folder)
    figures = bare(evaluate(metric, "perfect"), metric)
    seen = 0
    for key, value in figures.items():
        if "gap" in key:
            assert value == pytest.approx(0)
        elif case.figure in key and value != -1:  # no object of that size
            assert value == pytest.approx(case.best, abs=1e-6), key
            seen += 1
    assert seen >= 4


@each_case
def test_nothing_found(case, folder):
    metric = case.build(folder)
    figures = bare(evaluate(metric, "empty"), metric)
    assert set(figures) == set(bare(evaluate(metric), metric))
    for key, value in figures.items():
        assert not math.isnan(value), key
        assert value in (0.0, -1.0), key
    for start in case.starts:
        assert groups_of(figures, case, start) == [0, 0, 0]


@each_case
def test_best_checkpoints_may_go_by_any_figure_of_groups(case, folder):
    metric = case.build(folder)
    prefix = f"{metric.prefix}/" if metric.prefix else ""
    starts = [f"{prefix}{start}{case.figure}" for start in case.starts]
    wanted = [f"{s}{end}" for s in starts for end in "rcf"]
    wanted += [f"{s}_gap" for s in starts]
    metric.check_watched(wanted)
    assert set(wanted) <= set(evaluate(metric))
    # A group to which no class belongs is refused before training.
    metric = case.build(folder, group_thresholds=(0, 600))
    with pytest.raises(ValueError, match="for want of a group"):
        metric.check_watched(wanted[:1])
    assert not set(wanted[:1]) & set(evaluate(metric))


@each_case
def test_it_stands_alone_with_a_file_of_counts(case, folder, tmp_path):
    STATS.to_json(tmp_path / "stats.json")
    path = str(tmp_path / "stats.json")
    alone = case.build(folder, stats=None, class_stats=path)
    assert evaluate(alone) == pytest.approx(evaluate(case.build(folder)), nan_ok=True)
    assert not alone.wants_stats


@each_case
def test_a_second_validation_starts_from_nothing(case, folder):
    metric = case.build(folder)
    first = evaluate(metric)
    assert metric.results == []
    assert evaluate(metric, batch=1) == pytest.approx(first, nan_ok=True)


@each_case
def test_unknown_arguments_are_named(case, folder):
    with pytest.raises(TypeError, match="no_argument"):
        case.build(folder, no_argument=1)


@pytest.mark.parametrize(("name", "arguments"), REFUSED, ids=str)
def test_bad_arguments_are_named(name, arguments, folder):
    (key,) = arguments
    case = next(case for case in CASES if case.name == name)
    word = key.removeprefix("group_")
    with pytest.raises((ValueError, TypeError, OSError), match=f"`(group_)?{word}`"):
        case.build(folder, **arguments)


#: Images of each rank: filled up as ``DefaultSampler`` does, and all on one rank.
SHARES = ([[0, 2, 4, 6], [1, 3, 5, 0]], [[], [3, 1, 0, 2, 6, 5, 4]])


def on_rank(rank, folder):
    found = []
    for case in CASES:
        for shares in SHARES:
            metric = case.build(folder)
            everything = samples("noisy")
            metric.process({}, [everything[index] for index in shares[rank]])
            found.append(metric.evaluate(size=NUM_IMAGES))
            assert metric.results == []
    return found


@pytest.mark.dist
def test_two_ranks_equal_one_process(folder, tmp_path):
    alone = [evaluate(case.build(folder)) for case in CASES for _ in SHARES]
    first, second = on_two_ranks(tmp_path, on_rank, folder)
    for wanted, one, two in zip(alone, first, second, strict=True):
        assert one == pytest.approx(wanted, nan_ok=True, abs=1e-12)
        assert two == pytest.approx(one, nan_ok=True, abs=0)
