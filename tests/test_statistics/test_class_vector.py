"""Numbers of the classes, from whatever a config gives."""

import copy
import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from imb_det.core import ClassStatsListener, Stage, StageListener
from imb_det.registry import MODELS
from imb_det.statistics import ClassStats
from imb_det.statistics.class_vector import ClassVector

NAMES = ("ant", "bee", "cat")
STATS = ClassStats(NAMES, [3, 4, 1], [4, 4, 2], 6)
RULES = {"half": lambda stats: stats.instance_count / 2}
PLAIN, LATER = (
    Stage(name, i, ("plain", "later")) for i, name in enumerate(["plain", "later"])
)


def vector(spec, **options):
    return ClassVector("Owner", "numbers", spec, rules=RULES, **options)


def numbers(spec, stats=STATS, **options):
    made = vector(spec, **options)
    made.set_class_stats(stats)
    found = made(stats.num_classes)
    return None if found is None else found.tolist()


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        (None, None),
        (0.5, 0.5),
        (np.float64(0.5), 0.5),
        ([1, 2, 3], [1, 2, 3]),
        ((1, 2, 3), [1, 2, 3]),
        (np.array([1.0, 2, 3]), [1, 2, 3]),
        (torch.tensor([1.0, 2, 3]), [1, 2, 3]),
        ({"bee": 3, "cat": 0.0}, [1, 3, 0]),
        ({}, [1, 1, 1]),
        ("half", [2, 2, 1]),
    ],
    ids=repr,
)
def test_forms(spec, wanted):
    assert numbers(spec) == wanted


def test_background_may_be_given():
    assert numbers([1, 2, 3, 4], with_background=True) == [1, 2, 3, 4]
    assert numbers([1, 2, 3], with_background=True) == [1, 2, 3]
    with pytest.raises(
        ValueError, match=r"4 numbers, but there are 3 classes: \('ant'"
    ):
        numbers([1, 2, 3, 4])
    with pytest.raises(ValueError, match=r"2 numbers, .* 3 classes \(and background\)"):
        numbers([1, 2], with_background=True)


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        (
            "double",
            ValueError,
            r"`numbers` must be one of the rules \('half',\), .*'double'",
        ),
        (
            True,
            TypeError,
            "`numbers` must be None, a number, a list, a dict .*got True",
        ),
        (object, TypeError, "got <class 'object'>"),
        (-1, ValueError, r"`numbers` must be in \[0, inf\), got -1"),
        (float("nan"), ValueError, "got nan"),
        ([1, float("inf")], ValueError, "got inf"),
        ([1, "2"], TypeError, "`numbers` must be a number, got '2'"),
        ([], ValueError, "`numbers` must have a number for each class"),
        ({"bee": -2}, ValueError, "got -2"),
        (dict(stages={}), ValueError, "has no stage"),
        (dict(stages=dict(plain="double")), ValueError, "one of the rules"),
    ],
    ids=repr,
)
def test_what_is_no_form_is_refused_at_once(spec, error, message):
    with pytest.raises(
        error, match=f"Owner: .*{message}" if error is ValueError else message
    ):
        vector(spec)


def test_names_that_are_no_classes_are_listed():
    with pytest.raises(ValueError, match=r"names \['cow', 'dog'\], .* \('ant', 'bee'"):
        numbers({"dog": 1, "cow": 2, "ant": 3})


def test_who_was_never_told_names_the_missing_line():
    for spec in ("half", {"bee": 2}):
        with pytest.raises(RuntimeError, match=r"dict\(type='imb_det.ImbalanceHook'\)"):
            vector(spec)(3)
    with pytest.raises(RuntimeError, match=r"dict\(type='imb_det.StageHook'"):
        vector(dict(stages=dict(plain=None)))(3)
    told = vector(None, told_by="`dict(type='Teller')`")
    with pytest.raises(RuntimeError, match=r"add `dict\(type='Teller'\)`"):
        told(3)
    assert told.eval()(3) is None
    told.train().tell(torch.tensor([1.0, 2, 3]))
    assert told(3).tolist() == [1, 2, 3]


def test_none_takes_the_numbers_away():
    told = vector(None, told_by="`dict(type='Teller')`")
    told.tell(np.array([1.0, 2, 3]))
    told.tell(None)
    assert told(3) is None


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([1.0, np.nan, 2.0], "gives nan for 'bee', .* in 0 to inf"),
        ([1.0, 2.0, -1.0], "gives -1 for 'cat'"),
        ([np.inf, 2.0, -1.0], "gives inf for 'ant', -1 for 'cat'"),
        ([-1.0], "gives -1 for 0"),
        ([[1.0, 2.0, 3.0]], r"gives \(1, 3\), and it must be one number a class"),
    ],
)
def test_what_is_told_is_checked(numbers, text):
    told = vector(None, told_by="`a hook`")
    told.set_class_stats(STATS)
    for form in (torch.tensor, np.array):
        with pytest.raises(ValueError, match=rf"Owner: what hands `numbers` .*{text}"):
            told.tell(form(numbers))
    assert not told.told


@pytest.mark.parametrize("spec", ["half", {"bee": 2}])
def test_a_stage_without_counts_does_not_keep_the_numbers_of_another(spec):
    staged = vector(dict(stages=dict(plain=2.0, later=spec)))
    staged.set_stage(PLAIN)
    assert staged(3).item() == 2
    staged.set_stage(LATER)
    with pytest.raises(RuntimeError, match=r"dict\(type='imb_det.ImbalanceHook'\)"):
        staged(3)
    staged.set_class_stats(STATS)
    assert staged(3).numel() == 3


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([1, float("nan"), float("inf")], "gives nan for 'bee', inf for 'cat', and"),
        ([1, -1, 2], "gives -1 for 'bee', and numbers must be in 0 to inf"),
        ([1, 2], r"gives numbers of shape \(2,\) for 3 classes"),
        (1.0, r"gives numbers of shape \(\) for 3 classes"),
    ],
    ids=str,
)
def test_what_a_rule_gives_is_checked(result, message):
    made = ClassVector("Owner", "numbers", "odd", rules={"odd": lambda stats: result})
    with pytest.raises(ValueError, match=message):
        made.set_class_stats(STATS)


def test_a_rule_may_give_background():
    rules = {"last": lambda stats: [*stats.instance_count, 9]}
    made = ClassVector("Owner", "numbers", "last", rules=rules, with_background=True)
    made.set_class_stats(STATS)
    assert made(3).tolist() == [4, 4, 2, 9]


@pytest.mark.parametrize("spec", [np.array(0.5), torch.tensor(0.5)], ids=repr)
def test_a_number_may_be_an_array(spec):
    assert vector(spec)(3).item() == 0.5


def test_another_number_of_classes_in_the_head():
    made = vector([1, 2, 3])
    with pytest.raises(ValueError, match="3 numbers, but the head has 2 classes"):
        made(2)


def test_counts_may_come_again():
    made = vector("half")
    made.set_class_stats(STATS)
    made.set_class_stats(ClassStats(("dog",), [2], [8], 2))
    assert made(1).tolist() == [4]


class Power:
    """A rule with an option."""

    def __init__(self, power=1.0):
        self.power = power

    def __call__(self, stats):
        return stats.instance_count**self.power

    def with_options(self, power):
        if power < 0:
            raise ValueError("`power` must be >= 0")
        return Power(power)


def powers(spec):
    rules = {"power": Power(), "half": RULES["half"]}
    return ClassVector("Owner", "numbers", spec, rules=rules)


def test_a_rule_may_have_options():
    by_stage = dict(plain=None, later=dict(rule="power", power=2))
    for spec in (by_stage["later"], dict(stages=by_stage)):
        made = powers(spec)
        made.set_stage(LATER)
        with pytest.raises(
            RuntimeError, match=r"`numbers=\{'rule': 'power', 'power': 2"
        ):
            made(3)
        made.set_class_stats(STATS)
        assert made(3).tolist() == [16, 16, 4]
        assert made.balances_by == "counts"
    plain = powers(dict(rule="power"))
    plain.set_class_stats(STATS)
    assert plain(3).tolist() == [4, 4, 2]
    assert numbers({"ant": 2, "bee": 3}) == [2, 3, 1]


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        (dict(rule="cube"), ValueError, r"one of the rules \('power', 'half'\)"),
        (dict(rule="half", power=2), ValueError, r"'half' has no options, got \['pow"),
        (dict(rule="power", power=-1), ValueError, "`numbers`: `power` must be >= 0"),
        (dict(rule="power", base=2), TypeError, "`numbers`: .*'base'"),
    ],
    ids=repr,
)
def test_options_that_a_rule_does_not_have(spec, error, message):
    with pytest.raises(error, match=f"Owner: .*{message}"):
        powers(spec)


def test_stages_change_the_numbers():
    staged = vector(dict(stages=dict(plain=None, later="half")))
    assert isinstance(staged, StageListener)
    assert isinstance(staged, ClassStatsListener)
    assert staged.stage_names == ("plain", "later")
    staged.set_stage(PLAIN)
    staged.set_class_stats(STATS)
    assert staged(3).tolist() == 1
    staged.set_stage(LATER)
    assert staged(3).tolist() == [2, 2, 1]
    staged.set_stage(PLAIN)
    assert staged(3).tolist() == 1
    with pytest.raises(
        ValueError, match=r"names the stages .*'plain', 'later'.* 'third'"
    ):
        staged.set_stage(Stage("third", 2, ("plain", "later", "third")))
    unstaged = vector("half")
    unstaged.set_class_stats(STATS)
    unstaged.set_stage(LATER)
    assert unstaged.stage_names == ()
    assert unstaged(3).tolist() == [2, 2, 1]


@pytest.mark.parametrize(
    "spec", ["half", {"bee": 2}, dict(stages=dict(plain="half"))], ids=repr
)
def test_a_checkpoint_brings_any_length(spec):
    made = vector(spec)
    made.set_stage(PLAIN)
    made.set_class_stats(STATS)
    file = io.BytesIO()
    torch.save(made.state_dict(), file)
    file.seek(0)
    other = vector(spec)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other.eval()(3), made(3))
    again = copy.deepcopy(made)
    again.load_state_dict(other.state_dict())
    assert torch.equal(again(3), made(3))


def test_what_the_config_gives_outright_wins_over_a_checkpoint():
    assert not vector([1, 2, 3]).state_dict()
    assert not vector(2.0).state_dict()
    assert not vector(None).state_dict()


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=6))
def test_a_list_and_a_dict_of_the_same_numbers_agree(values):
    names = tuple(f"c{i}" for i in range(len(values)))
    counts = [1] * len(values)
    stats = ClassStats(names, counts, counts, len(values))
    by_name = dict(zip(names, values, strict=True))
    assert numbers(values, stats) == numbers(by_name, stats)


@pytest.mark.parametrize(
    ("loss", "key"),
    [
        (dict(type="imb_det.CrossEntropyLoss", class_weight="inverse"), "class_weight"),
        (dict(type="imb_det.FocalLoss", alpha="auto"), "alpha"),
        (
            dict(
                type="imb_det.CrossEntropyLoss", use_mask=True, class_weight="inverse"
            ),
            "class_weight",
        ),
        (dict(type="imb_det.CDBLoss"), "class_weight"),
    ],
    ids=repr,
)
def test_numbers_of_older_checkpoints_have_their_new_names(loss, key):
    head = torch.nn.ModuleDict({"loss": MODELS.build(loss)})
    old = {f"loss.{key}": torch.tensor([1.0, 2, 3])}
    assert not any(head.load_state_dict(old))
    assert getattr(head["loss"], key).value.tolist() == [1, 2, 3]
