"""Every malformed COCO and LVIS file is named everywhere, or read everywhere alike."""

import pytest

from tests.malformed import check_read, check_refused, check_words, outcome_of
from tests.malformed_coco import readers, write
from tests.malformed_coco_rows import ROWS
from tests.tiny_sets import write_image

__all__ = ["outcome_of"]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number in (11, 12):
        write_image(folder / f"{number}.jpg")
    return folder


def test_there_are_enough_of_them():
    assert len({row.name for row in ROWS}) == len(ROWS) >= 120


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_all_readers_agree(tmp_path, images, outcome_of, row):
    path = write(tmp_path / "ann.json", row.spoil, row.kind)
    found = readers(path, images, row.kind, row.masks)
    training = {name: outcome_of(read) for name, read in found.training.items()}
    judging = {name: outcome_of(read) for name, read in found.judging.items()}
    for name, expected in (row.others or {}).items():
        outcomes = training if name in training else judging
        outcome = outcomes.pop(name)
        if isinstance(expected, list):
            assert outcome.counts == expected
        else:
            check_words(name, outcome.refusal, expected)
    if row.used is None:
        check_refused({**training, **judging}, row.words)
        return
    expected = dict.fromkeys(training, row.used) | dict.fromkeys(judging, row.judged)
    check_read({**training, **judging}, expected, row.words)
