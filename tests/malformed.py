"""What tables of malformed annotations are held against, whatever their format.

A table is a list of rows, each with what it does to sound annotations. Everything that
reads annotations is a *reader*: a function that returns the number of objects of each
class, or raises a ``ValueError``. What readers log, or note in an audit, is what they
*tell*.
"""

from typing import Any, NamedTuple

import pytest

from imb_det.core import finding


class Outcome(NamedTuple):
    """What came of one reader: numbers, or the text of an error; and what it told."""

    counts: Any
    refusal: str
    told: str


@pytest.fixture
def outcome_of(monkeypatch):
    """Return a function that runs a reader and keeps what it says.

    The reader may hand back ``(counts, text)`` where it tells by other means than
    findings that are logged. Errors that are no ``ValueError`` say nothing to users,
    and fail the test.
    """
    lines = []
    monkeypatch.setattr(finding, "print_log", lambda text, **_: lines.append(text))

    def run(reader):
        lines.clear()
        try:
            counts = reader()
        except ValueError as error:
            return Outcome(None, str(error), "\n".join(lines))
        if isinstance(counts, tuple):
            counts, text = counts
            lines.append(text)
        return Outcome(counts, "", "\n".join(lines))

    return run


def check_words(name, text, words):
    """Demand words, in a text that is not wrapped."""
    missing = [word for word in words if word not in text]
    assert not missing, f"{name} does not say {missing}: {text or 'nothing'}"


def check_refused(outcomes, words):
    """Demand that every reader refuses, and names all of it.

    Args:
        outcomes: By the name of the reader.
        words: That each error must hold: the file, the entry, what is valid.
    """
    for name, outcome in outcomes.items():
        assert outcome.refusal, f"{name} reads it: {outcome.counts}"
        check_words(name, outcome.refusal, words)


def check_read(outcomes, expected, words=()):
    """Demand that every reader counts the same, and tells what it leaves out.

    Args:
        outcomes: By the name of the reader.
        expected: Counts by the name of the reader.
        words: That each must tell.
    """
    for name, outcome in outcomes.items():
        assert not outcome.refusal, f"{name} refuses it: {outcome.refusal}"
        assert outcome.counts == expected[name], name
        check_words(name, outcome.told, words)
