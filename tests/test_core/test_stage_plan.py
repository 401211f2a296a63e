"""Stages are read from a config, follow from the position, and fill the training."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imb_det.core import Stage, StagePlan


def plan(*stages):
    return StagePlan.from_config("Hook", list(stages))


OPEN = plan(dict(name="a", epochs=2), dict(name="b", epochs=3), dict(name="c"))
CLOSED = plan(dict(name="a", iters=2), dict(name="b", iters=3))


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
        ([dict(name="a"), dict(name="b")], ValueError, r"\('a'\) needs `epochs` or"),
        ([dict(name="a", epochs=1.0)], TypeError, "`epochs` must be a whole number"),
        ([dict(name="a", iters=True)], TypeError, "`iters` must be a whole number"),
        ([dict(name="a", iters=0)], ValueError, "`iters` must be >= 1, got 0"),
        (
            [dict(name="a", epochs=1), dict(name="b", iters=1)],
            ValueError,
            "count epochs and iterations; use one of them",
        ),
    ],
)
def test_stages_that_cannot_be_understood(stages, error, match):
    with pytest.raises(error, match=f"^Hook: .*{match}"):
        StagePlan.from_config("Hook", stages)


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
