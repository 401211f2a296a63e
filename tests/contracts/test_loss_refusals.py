"""What classification losses refuse when they are built, by the argument's name."""

import pytest
import torch

from imb_det.registry import MODELS

from .bad_arguments import BAD
from .cases import CASES
from .discovery import classification_losses
from .registered import check_all_have_cases

REFUSED = [(name, arguments) for name, many in BAD.items() for arguments in many]


def test_every_loss_says_what_it_refuses():
    where = "`BAD` of tests/contracts/bad_arguments.py"
    check_all_have_cases("losses", BAD, classification_losses(), where)


@pytest.mark.parametrize(("name", "arguments"), REFUSED, ids=str)
def test_bad_arguments_are_named(name, arguments):
    (key,) = arguments
    case = next(case for case in CASES if case.loss == name)
    with pytest.raises((ValueError, TypeError), match=rf"{name}.*\b{key}\b"):
        case.build(**arguments)


@pytest.mark.parametrize("name", BAD)
def test_unknown_arguments_are_named(name):
    case = next(case for case in CASES if case.loss == name)
    with pytest.raises(TypeError, match="no_argument"):
        case.build(no_argument=1)


@pytest.mark.parametrize("name", BAD)
def test_it_is_built_without_memory(name):
    # As large models are, before their weights are loaded in parts.
    case = next(case for case in CASES if case.loss == name)
    with torch.device("meta"):
        loss = MODELS.build(case.config)
    assert type(loss).__name__ == name
