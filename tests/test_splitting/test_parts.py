"""Names and shares of parts, and how bad it is that a class lacks one."""

import numpy as np
import pytest

from imb_det.splitting import Parts

ORDERS = (
    ["test", "val", "train"],
    ["a", "b", "val"],
    ["a", "b"],
    ["b", "a", "train"],
    ["Val", "Train"],
)


def test_shares_are_a_sum_of_one_or_in_proportion():
    assert Parts.parse(["a=0.5", "b=0.5"]).shares == (0.5, 0.5)
    assert Parts.parse(["train=8", "val=1", "test=1"]).shares == (0.8, 0.1, 0.1)
    names = [Parts.parse([f"{n}=1" for n in names]).names for names in ORDERS]
    assert names == [
        ("train", "val", "test"),
        ("a", "val", "b"),
        ("a", "b"),
        ("train", "b", "a"),
        ("Train", "Val"),
    ]
    assert Parts.folds(4).shares == (0.25,) * 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train=0.8", "val=0.1"], "with the sum 0.9"),
        (["train=1"], "two to 100 parts"),
        (["train=0.8", "val"], "`name=share`"),
        (["train=0.8", "train=0.2"], "names of their own"),
        (["train=0.5", "train=0.5"], "names of their own"),
        (["train=0.8", "TRAIN=0.2"], "names of their own"),
        (["../a=0.8", "val=0.2"], "not ['../a']"),
        (["train=1.2", "val=-0.2"], "above 0"),
        (["train=nan", "val=1"], "above 0"),
        (["train=inf", "val=1"], "above 0"),
    ],
)
def test_what_cannot_be_is_refused(words, message):
    with pytest.raises(ValueError, match=r".") as error:
        Parts.parse(words)
    assert message in str(error.value)


def test_numbers_of_folds_have_limits():
    for number in (1, 101, -2):
        with pytest.raises(ValueError, match=f"not {number}"):
            Parts.folds(number)


def test_training_comes_first_then_validation_then_tests():
    parts = Parts(("train", "val", "test"), (0.8, 0.1, 0.1))
    groups = np.array([0, 1, 2, 3])
    cost = parts.absence(groups)
    # A class of two groups: all tests together weigh less than validation.
    assert cost[0, 2] > cost[1, 2] > cost[2].sum()
    # A class of one group: training before tests, but no validation is lost for it.
    assert cost[1, 2] > cost[0, :2].sum() > cost[0, 1] > cost[2].sum()
    # It lacks validation and test, that of two groups the test.
    assert parts.least_absence(groups) == cost[1, 1] + cost[2, 1] + cost[2, 2]
    assert Parts.folds(3).least_absence(groups) == 2 + 1
