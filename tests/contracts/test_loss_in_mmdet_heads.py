"""Losses of the library in all heads of MMDetection: they train, or are refused."""

import pytest

from imb_det.checks import check_loss_callers
from imb_det.core import CheckContext

from . import mmdet_heads as heads

pytestmark = pytest.mark.filterwarnings("ignore")

SIGMOID = ("CrossEntropyLoss", "FocalLoss", "GHMCLoss", "CDBLoss")


def config(kind, use_sigmoid=True):
    return dict(type=f"imb_det.{kind}", use_sigmoid=use_sigmoid)


def combinations():
    """Heads and losses: one loss of each head every day, the others once a week."""
    for number, name in enumerate(heads.TRAINED):
        kinds = ("CrossEntropyLoss", "CDBLoss") if name in heads.SOFTMAX else SIGMOID
        kinds = [k for k in kinds if name != "RPNHead" or k != "CDBLoss"]
        for place, kind in enumerate(kinds):
            every_day = place == number % len(kinds)
            marks = () if every_day else pytest.mark.weekly
            yield pytest.param(name, kind, marks=marks)


@pytest.mark.parametrize(("name", "kind"), combinations())
def test_trains(name, kind):
    head, losses = heads.step(name, config(kind, name not in heads.SOFTMAX))
    value = heads.total(losses)
    assert value.isfinite()
    value.backward()
    slopes = [p.grad for p in head.parameters() if p.grad is not None]
    assert all(slope.isfinite().all() for slope in slopes)
    assert list(check_loss_callers(CheckContext(model=head))) == []


@pytest.mark.parametrize(("name", "attribute"), sorted(heads.ALSO))
def test_other_losses_train(name, attribute):
    head = heads.build_dense(name, **{attribute: config("CrossEntropyLoss")})
    value = heads.total(heads.dense_losses(name, head))
    assert value.isfinite()
    assert list(check_loss_callers(CheckContext(model=head))) == []


@pytest.mark.parametrize(("name", "attribute"), heads.REFUSED)
def test_is_refused(name, attribute):
    head = heads.build_dense(name, **{attribute: config("CrossEntropyLoss")})
    (found,) = check_loss_callers(CheckContext(model=head))
    assert name in found.where
    assert f"`{attribute}`, CrossEntropyLoss" in found.evidence
    text = heads.REFUSED[name, attribute]
    if text is None:  # nothing would be wrong with the form of the call
        return
    assert f"{attribute}=dict(type='mmdet." in found.remedy
    place = rf"CrossEntropyLoss \(`{attribute}` of {name}\): .*{text}.*{attribute}=dict"
    with pytest.raises((TypeError, ValueError), match=place):
        heads.dense_losses(name, head)


def test_no_head_of_mmdet_is_forgotten():
    refused = {name for name, attribute in heads.REFUSED if attribute == "loss_cls"}
    assert heads.heads_with_loss_cls() == {*heads.TRAINED, *refused, *heads.LEFT_OUT}
