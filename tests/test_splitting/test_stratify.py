"""Splits against slow counts, all splits there are, and other ways to split."""

import json
import random
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedShuffleSplit

from imb_det.digits.plan import CLASSES, DigitsOptions, plan_images
from imb_det.splitting import (
    Parts,
    SplitProblem,
    SplitReport,
    stratification,
    stratify,
)
from imb_det.splitting.coverage import covering_parts
from imb_det.splitting.iterative_start import iterative_split
from imb_det.splitting.local_search import LocalSearch
from imb_det.splitting.report import least_error
from imb_det.statistics.label_table import LabelTable
from tests.labelled_sets import label_sets
from tests.references import splits

FEW = settings(max_examples=12)
TWO = Parts(("train", "val"), (0.8, 0.2))
THREE = Parts(("train", "val", "test"), (0.7, 0.15, 0.15))


def problem_of(labels_per_image, num_classes, parts, group_of=None):
    names = [f"class_{i}" for i in range(num_classes)]
    table = LabelTable.from_labels(names, labels_per_image)
    groups = range(len(table)) if group_of is None else group_of
    return SplitProblem(table, np.array(groups, np.int64), parts)


@st.composite
def problems(draw, max_images=25, max_groups=25):
    """Sets of images in groups, and parts or folds."""
    sets, num_classes = draw(label_sets(max_images, max_classes=5))
    most = min(len(sets), max_groups)
    drawn = draw(
        st.lists(st.integers(0, most - 1), min_size=len(sets), max_size=len(sets))
    )
    number = {group: i for i, group in enumerate(dict.fromkeys(drawn))}
    parts = draw(st.sampled_from([TWO, THREE, Parts.folds(3)]))
    return sets, num_classes, [number[g] for g in drawn], parts


@FEW
@given(content=problems(), seed=st.integers(0, 3))
def test_every_group_is_in_one_part_and_the_report_counts_it(content, seed):
    sets, num_classes, group_of, parts = content
    problem = problem_of(sets, num_classes, parts, group_of)
    with mock.patch.object(stratification, "_STARTS", 3):
        part_of = stratify(problem, seed)
        assert np.array_equal(part_of, stratify(problem, seed))
    assert part_of.shape == (max(group_of) + 1,)
    assert set(part_of.tolist()) <= set(range(len(parts.names)))
    report = SplitReport(problem, part_of)
    of_image = report.part_of_image.tolist()
    assert of_image == [part_of[g] for g in group_of]
    images, boxes = splits.part_counts(sets, of_image, len(parts.names), num_classes)
    assert report.counts[:, problem.class_images].tolist() == images
    assert report.counts[:, problem.class_boxes].tolist() == boxes
    assert report.counts[:, 0].sum() == len(sets)
    expected = splits.worst_errors(sets, of_image, parts.shares, num_classes)
    found = [None if np.isnan(x) else x for x in report.class_errors.tolist()]
    assert found == pytest.approx(expected)
    json.dumps(report.to_dict(), allow_nan=False)
    assert report.text()


@FEW
@given(content=problems(max_images=12, max_groups=6))
def test_no_split_has_a_class_in_training_or_validation_more(content):
    sets, num_classes, group_of, parts = content
    if parts.are_folds:
        return
    part_of = stratify(problem_of(sets, num_classes, parts, group_of)).tolist()
    case = sets, group_of
    number = len(parts.names)
    found = splits.absences(*case, part_of, number, num_classes)
    best = splits.least_absences(*case, number, num_classes)
    assert found == best


@pytest.mark.parametrize("shares", [(0.995, 0.005), (0.98, 0.01, 0.01)])
def test_no_part_is_so_small_that_it_may_lack_a_class(shares):
    # One of two images in a part of 0.5 % is a hundred times its share.
    sets = [[0]] * len(shares) + [[]] * 40
    parts = Parts(("train", "val", "test")[: len(shares)], shares)
    problem = problem_of(sets, 1, parts)
    assert problem.absence_of(stratify(problem)) == 0


def test_a_way_to_have_all_classes_everywhere_is_found(monkeypatch):
    # 80 classes of two images, one of an even and one of an odd number: a split into
    # these has all of them in both parts, and moves one by one do not find it.
    monkeypatch.setattr(stratification, "_STARTS", 2)
    rng = random.Random(0)
    labels = [[80] for _ in range(60)]
    for label in range(80):
        labels[2 * rng.randrange(30)].append(label)
        labels[2 * rng.randrange(30) + 1].append(label)
    problem = problem_of(labels, 81, TWO)
    found = covering_parts(problem)
    assert problem.absence_of(np.array([found.get(i, 0) for i in range(60)])) == 0
    assert problem.absence_of(stratify(problem)) == 0


def test_what_is_impossible_is_told():
    # Three classes on two of three images each: one of them lacks a part.
    sets = [[0, 1], [1, 2], [0, 2], *[[3]] * 8, [4], [5], [5, 5]]
    problem = problem_of(sets, 7, TWO, [*range(12), 12, 12])
    report = SplitReport(problem, stratify(problem))
    found = {f.code: f for f in report.findings()}
    assert [f.code for f in report.findings()].count("class_left_out") == 1
    assert found["class_left_out"].evidence == "not in val, but 2 groups have it"
    assert found["class_in_one_image"].where == "class_4"
    assert found["class_in_one_image"].evidence == "in train"
    assert found["class_in_one_group"].where == "class_5"
    assert found["class_without_image"].where == "class_6"
    assert "class_left_out: classes that a part is without" in report.text()


def test_a_part_without_images_is_told():
    problem = problem_of([[0]] * 3, 1, Parts(("train", "val", "test"), (98, 1, 1)))
    report = SplitReport(problem, np.array([0, 1, 0]))
    (found,) = [f for f in report.findings() if f.code == "part_empty"]
    assert str(found).startswith("warning part_empty: parts without any image: test")


@FEW
@given(content=problems(), seed=st.integers(0, 5))
def test_the_search_lowers_what_it_says_it_lowers(content, seed):
    sets, num_classes, group_of, parts = content
    problem = problem_of(sets, num_classes, parts, group_of)
    rng = np.random.default_rng(seed)
    start = rng.integers(0, len(parts.names), max(group_of) + 1)
    search = LocalSearch(problem, start, rng)
    before = search.cost
    search.run(50)
    assert search.cost <= before
    again = LocalSearch(problem, search.part_of, rng)
    assert search.cost == pytest.approx(again.cost, rel=1e-9)
    errors = np.nan_to_num(problem.errors(search.part_of))
    shared = problem.counts.getnnz(0) >= 2
    terms = (errors**4 * np.where(shared, 1, 0)).sum() + 9 * (errors[:, 0] ** 4).sum()
    terms += (0 if shared[0] else 1) * (errors[:, 0] ** 4).sum()
    lacking = 1e8 * problem.absence_of(search.part_of)
    assert search.cost == pytest.approx(terms + lacking, rel=1e-9)


@pytest.mark.parametrize("parts", [TWO, Parts.folds(5)], ids=["parts", "folds"])
def test_shares_are_exact_where_they_can_be(parts):
    sets = [[i % 4] for i in range(4 * 20)] + [[]] * 10
    report = SplitReport(problem := problem_of(sets, 4, parts), stratify(problem))
    assert report.worst_error == 0
    expected = [round(10 * share) for share in parts.shares]
    assert report.counts[:, 1].tolist() == expected
    assert not report.findings()


@pytest.mark.parametrize("seed", range(3))
def test_pairs_of_classes_are_spread_too(seed):
    # Each class alone could be split evenly without regard to its pairs.
    sets = [pair for pair in ([0, 1], [1, 2], [0, 2], [0], [1], [2]) for _ in range(10)]
    problem = problem_of(sets, 3, Parts.folds(5))
    parts = iterative_split(problem, np.random.default_rng(seed))
    for pair in range(3):
        own = parts[10 * pair : 10 * pair + 10]
        assert np.bincount(own, minlength=5).tolist() == [2] * 5


@settings(max_examples=60)
@given(number=st.integers(1, 14), parts=st.sampled_from([TWO, THREE, Parts.folds(4)]))
def test_least_error_is_that_of_the_best_split(number, parts):
    expected = splits.least_error(number, parts.shares)
    assert least_error(number, parts.shares) == pytest.approx(expected, abs=1e-6)


# ------------------------------------------------------------ beside other ways


def digits():
    return plan_images(DigitsOptions(), "train"), len(CLASSES)


def boards(repo_root):
    path = repo_root / "data" / "boards_lt" / "train.json"
    if not path.is_file():
        pytest.skip(f"no {path}")
    content = json.loads(path.read_text())
    labels = {image["id"]: [] for image in content["images"]}
    for annotation in content["annotations"]:
        labels[annotation["image_id"]].append(annotation["category_id"])
    ids = sorted(category["id"] for category in content["categories"])
    return [[ids.index(k) for k in own] for own in labels.values()], len(ids)


def by_rarest_class(problem, seed):
    """scikit-learn's split, by the rarest class of each image."""
    frequency = problem.table.images_with()
    rarest = [
        min(own, key=frequency.__getitem__)
        for own in np.split(problem.table.labels, problem.table.offsets[1:-1])
    ]
    share = problem.parts.shares[1]
    # Classes of one image cannot be stratified there; they are trained on.
    number = np.bincount(rarest)[rarest]
    rows = np.flatnonzero(number > 1)
    split = StratifiedShuffleSplit(1, test_size=share, random_state=seed)
    part_of = np.zeros(len(rarest), np.int64)
    part_of[rows[next(split.split(rows, np.array(rarest)[rows]))[1]]] = 1
    return part_of


@pytest.mark.parametrize("data", ["digits", "boards_lt"])
def test_the_worst_share_is_nearer_than_with_others(data, repo_root, monkeypatch):
    monkeypatch.setattr(stratification, "_STARTS", 2)
    sets, num_classes = digits() if data == "digits" else boards(repo_root)
    problem = problem_of(sets, num_classes, TWO)
    ours = SplitReport(problem, stratify(problem)).worst_error
    for seed in range(2):
        rng = np.random.default_rng(seed)
        at_random = np.zeros(len(sets), np.int64)
        number = round(TWO.shares[1] * len(sets))
        at_random[rng.choice(len(sets), number, replace=False)] = 1
        for others in (by_rarest_class(problem, seed), at_random):
            worst = SplitReport(problem, others).worst_error
            assert ours < worst, seed
