"""Findings are told all at once, errors first, each kind in few lines."""

import json
import logging
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imb_det.core import Finding, FindingsError, Severity, raise_findings, render
from imb_det.core import finding as module

ERROR, WARNING, INFO = Severity


def found(code="no_area", severity=ERROR, what="boxes without area", **others):
    return Finding(code, severity, what, **others)


@pytest.fixture
def logged(monkeypatch):
    lines = []
    monkeypatch.setattr(
        module, "print_log", lambda text, logger, level: lines.append((level, text))
    )
    return lines


def test_a_finding_in_words_and_as_json():
    finding = found(where="a.xml object[3]", evidence="dog", remedy="Use `type='X'`")
    assert str(finding) == (
        "error no_area: boxes without area: a.xml object[3]: dog. Use `type='X'`"
    )
    assert str(found()) == "error no_area: boxes without area"
    assert json.loads(json.dumps(finding.to_dict())) == dict(
        code="no_area",
        severity="error",
        what="boxes without area",
        where="a.xml object[3]",
        evidence="dog",
        remedy="Use `type='X'`",
    )
    assert len({finding, found(), found()}) == 2


@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize("limit", Severity)
def test_at_most_never_makes_it_worse(severity, limit):
    order = [INFO, WARNING, ERROR]
    changed = found(severity=severity).at_most(limit)
    assert changed.severity == min(severity, limit, key=order.index)
    assert changed == found(severity=changed.severity)


def test_kinds_are_counted_with_their_remedies_once():
    boxes = [found(where=f"{n}.xml", remedy="Remove them") for n in range(7)]
    mixed = [
        found("unknown", INFO, "unknown things"),
        found("unused", WARNING, "left over", where="b"),
        *boxes,
        found("heads", what="a head differs", where="x", remedy="Set `a=1`"),
        found("heads", what="a head is lost", where="y", remedy="Set `a=2`"),
    ]
    assert render(mixed, "Start").splitlines() == [
        "Start: 9 errors, 1 warning, 1 info",
        "  error no_area: boxes without area: 7",
        *(f"    {n}.xml" for n in range(5)),
        "    ... and 2 more",
        "    Remove them",
        "  error heads: a head differs: 2",
        "    x",
        "    a head is lost: y",
        "    Set `a=1`",
        "    Set `a=2`",
        "  warning unused: left over: 1",
        "    b",
        "  info unknown: unknown things: 1",
    ]
    assert render([], "Start") == "Start: nothing found"
    assert render(boxes[:1]).splitlines()[0] == "1 error"


TEXTS = st.sampled_from(["", "a", "two\nlines", "\r\n", "x\u2028y", "é" * 300])
FINDINGS = st.lists(
    st.builds(
        Finding,
        st.sampled_from("abc"),
        st.sampled_from(Severity),
        TEXTS,
        TEXTS,
        TEXTS,
        TEXTS,
    ),
    max_size=40,
)


@given(FINDINGS, st.integers(1, 6))
def test_the_text_is_short_and_counts_everything(findings, most):
    kinds = {(f.severity, f.code) for f in findings}
    lines = render(findings, "T", most).splitlines()
    # A head, at most `most` entries and as many remedies, and how many more there are.
    assert len(lines) <= 1 + len(kinds) * (2 + 2 * most)
    heads = [line for line in lines[1:] if not line.startswith("    ")]
    assert len(heads) == len(kinds)
    assert sum(int(head.rpartition(" ")[2]) for head in heads) == len(findings)
    named = [list(Severity).index(Severity(head.split()[0])) for head in heads]
    assert named == sorted(named)
    for severity in Severity:
        number = sum(f.severity is severity for f in findings)
        assert (f"{number} {severity.value}" in lines[0]) == (number > 0)


def test_all_errors_are_raised_at_once_and_the_rest_is_logged(logged):
    warning, info = found("w", WARNING), found("i", INFO)
    raise_findings([], "T")
    raise_findings([info, warning], "T")
    assert [level for level, _ in logged] == [logging.WARNING, logging.INFO]
    assert logged[0][1] == render([warning], "T")
    errors = [found(where="a"), found("heads", where="b")]
    with pytest.raises(FindingsError, match="T: 2 errors") as caught:
        raise_findings([errors[0], warning, errors[1]], "T")
    assert len(logged) == 3
    assert caught.value.findings == tuple(errors)
    assert str(caught.value) == render(errors, "T")
    assert isinstance(caught.value, ValueError)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.findings) == (str(caught.value), tuple(errors))
