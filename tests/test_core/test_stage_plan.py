"""Stages are read from a config, follow from the position, and fill the training."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imb_det.core import Schedule, Stage, StageLengths, StagePlan

EPOCHS = Schedule(120, epoch_length=10, lr_steps=(80, 110))


def lengths(*stages):
    return StageLengths.from_config("Hook", list(stages))


def plan(*stages):
    return lengths(*stages).plan(EPOCHS)


def shares(*numbers):
    """Stages a, b, ... with these shares; None for a last one with a name alone."""
    return lengths(
        *(
            dict(name=name) if share is None else dict(name=name, share=share)
            for name, share in zip("abcdefgh", numbers, strict=False)
        )
    )


OPEN = plan(dict(name="a", epochs=2), dict(name="b", epochs=3), dict(name="c"))
CLOSED = plan(dict(name="a", iters=2), dict(name="b", iters=3))
UNTIL = [dict(name="a", until="lr_step"), dict(name="b", until="lr_step")]


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.booleans(),
    st.integers(0, 60),
)
def test_every_position_is_in_the_stage_that_covers_it(lengths, is_open, position):
    names = tuple(f"s{i}" for i in range(len(lengths)))
    found = StagePlan(names, (*lengths[:-1], None if is_open else lengths[-1]), True)
    covered = [name for name, n in zip(names, lengths, strict=True) for _ in range(n)]
    stage = found.stage_at(position)
    assert stage.name == (covered + [names[-1]] * 60)[position]
    assert (names[stage.index], stage.names) == (stage.name, names)
    assert StagePlan.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_reading():
    assert StagePlan(("a", "b", "c"), (2, 3, None), True) == OPEN
    assert StagePlan(("a", "b"), (2, 3), False) == CLOSED
    assert str(CLOSED) == "'a' 2 iterations, 'b' 3 iterations"
    assert OPEN.stage_at(4) == Stage("b", 1, ("a", "b", "c"))
    assert plan(dict(name="all")).stage_at(10**9).is_last


@pytest.mark.parametrize(
    ("stages", "error", "match"),
    [
        ("plain", TypeError, r"`stages` must be a list such as .*got 'plain'"),
        (dict(name="a"), TypeError, "`stages` must be a list"),
        ([], ValueError, r"empty; write `stages=\[dict\(name='plain'"),
        (["a"], TypeError, r"`stages\[0\]` must be a dict, got 'a'"),
        ([dict(name="a", epoch=3)], ValueError, r"keys \['epoch'\], but only `name`"),
        ([dict(epochs=3)], TypeError, "needs a `name`, a text, got None"),
        ([dict(name="", epochs=3)], TypeError, "needs a `name`"),
        ([dict(name="a", epochs=1)] * 2, ValueError, r"\[1\]` has the name 'a' of an"),
        ([dict(name="a", epochs=1, iters=1)], ValueError, "both `epochs` and `iters`"),
        ([dict(name="a"), dict(name="b")], ValueError, r"\('a'\) needs `epochs`, `i"),
        ([dict(name="a", epochs=1.0)], TypeError, "`epochs` must be a whole number"),
        ([dict(name="a", iters=True)], TypeError, "`iters` must be a whole number"),
        ([dict(name="a", iters=0)], ValueError, "`iters` must be >= 1, got 0"),
        ([dict(name="a", share=0.5)], ValueError, "add up to 0.5 and not to 1; the la"),
        (
            [dict(name="a", share=1.0), dict(name="b")],
            ValueError,
            r"`share` must be in \(0, 1\), got 1.0",
        ),
        (
            [dict(name="a", share="0.5"), dict(name="b")],
            TypeError,
            "`share` must be a number, got '0.5'",
        ),
        (
            [dict(name=n, share=0.5) for n in "ab"] + [dict(name="c")],
            ValueError,
            "have shares of 1 before the last stage, which has no time left",
        ),
        (UNTIL, ValueError, r"\('b'\) is the last stage, .*: leave `until` out"),
        (
            [dict(name="a", until="end"), dict(name="b")],
            ValueError,
            "`until` must be 'lr_step', got 'end'",
        ),
        (
            [dict(name="a", until="lr_step"), dict(name="b", share=0.5)],
            ValueError,
            "count steps and shares; use one of them",
        ),
        (
            [dict(name="a", epochs=1), dict(name="b", iters=1)],
            ValueError,
            "count epochs and iterations; use one of them",
        ),
    ],
)
def test_stages_that_cannot_be_understood(stages, error, match):
    with pytest.raises(error, match=f"^Hook: .*{match}"):
        StageLengths.from_config("Hook", stages)


@pytest.mark.parametrize(
    ("stages", "with_epochs", "end", "evidence"),
    [
        (OPEN, True, 6, None),
        (OPEN, True, 5, r"take 5 epochs and more, .* has 5; \['c'\] would never begin"),
        (OPEN, True, 2, r"\['b', 'c'\] would never begin"),
        (OPEN, False, 6, ""),
        (CLOSED, False, 5, None),
        (CLOSED, True, 5, None),
        (CLOSED, True, 6, "take 5 iterations, the training has 6$"),
        (CLOSED, False, 4, "take 5 iterations, the training has 4$"),
        (plan(dict(name="all")), False, 1, None),
        (StagePlan(("a", "b"), (0, None), False), True, 4, r"; \['a'\] would never be"),
    ],
)
def test_stages_must_fill_the_training(stages, with_epochs, end, evidence):
    found = list(stages.findings(with_epochs, end))
    if evidence is None:
        assert found == []
        return
    (finding,) = found
    assert re.search(evidence, finding.evidence)
    assert finding.code == ("stage_length" if evidence else "stage_unit")
    assert ("`iters=`" in finding.remedy) == (not evidence)


@given(st.lists(st.integers(1, 20), min_size=2, max_size=6), st.integers(100, 10**6))
def test_shares_become_the_nearest_iterations(parts, iterations):
    total = sum(parts)
    found = shares(*(n / total for n in parts[:-1]), None).plan(Schedule(iterations))
    for index, begin in enumerate(found.begins):
        wanted = sum(parts[:index]) * iterations / total
        assert abs(begin - wanted) <= 0.5 + 1e-6
    assert found.lengths[-1] is None
    assert not found.by_epoch
    assert not any(found.findings(False, iterations))


def test_a_share_that_ends_with_an_epoch_counts_epochs():
    assert shares(0.75, None).plan(EPOCHS) == StagePlan(("a", "b"), (9, None), True)
    assert shares(0.75, 0.25).plan(EPOCHS) == StagePlan(("a", "b"), (9, None), True)
    exact = StagePlan(("a", "b", "c"), (90, 6, None), False)
    assert shares(0.75, 0.05, None).plan(EPOCHS) == exact
    assert shares(0.8, None).plan(EPOCHS).begins == [0, 96]
    by_iteration = Schedule(120)
    assert shares(0.75, None).plan(by_iteration).lengths == (90, None)


def test_until_the_learning_rate_steps():
    last = dict(name="c")
    found = lengths(*UNTIL, last).plan(EPOCHS)
    assert found == StagePlan(("a", "b", "c"), (8, 3, None), True)
    odd = Schedule(120, epoch_length=10, lr_steps=(75, 110))
    assert lengths(UNTIL[0], last).plan(odd) == StagePlan(("a", "c"), (75, None), False)


def test_a_learning_rate_without_steps_is_told_with_what_to_write():
    asked = lengths(*UNTIL, dict(name="c"))
    assert not any(asked.findings(EPOCHS))
    (finding,) = asked.findings(Schedule(120, 10, lr_steps=(80,)))
    assert finding.code == "stage_lr_step"
    assert "`StepLR` within the training: 1, and needed: 2" in finding.evidence
    assert "Give `share=0.8`" in finding.remedy
    assert "'a' until a step of the learning rate, 'b' until" in finding.where


def test_a_stage_without_an_iteration_is_an_error():
    (finding,) = shares(0.001, 0.5, None).findings(Schedule(120, 10))
    assert "['a'] would never begin" in finding.evidence


@pytest.mark.parametrize(
    ("number", "fits"), [(9, True), (12, False), (13, False)], ids=str
)
def test_lengths_in_epochs_are_judged_by_the_schedule(number, fits):
    stages = lengths(dict(name="a", epochs=number), dict(name="b"))
    assert any(stages.findings(EPOCHS)) != fits
