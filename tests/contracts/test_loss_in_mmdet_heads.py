"""Losses of the library in all heads of MMDetection: they train, or are refused."""

import pytest

from imb_det.checks import check_loss_callers
from imb_det.core import CheckContext

from . import mmdet_heads as heads
from .cases import STATS

pytestmark = pytest.mark.filterwarnings("ignore")

SIGMOID = (
    *("CrossEntropyLoss", "FocalLoss", "GHMCLoss", "CDBLoss"),
    *("QualityFocalLoss", "VarifocalLoss"),
)


NOT_TOGETHER = {
    ("RPNHead", "CDBLoss"): "proposals have no classes",
    ("FSAFHead", "QualityFocalLoss"): "levels are chosen by losses of elements",
}


def config(kind, use_sigmoid=True):
    return dict(type=f"imb_det.{kind}", use_sigmoid=use_sigmoid)


def combinations():
    """Heads and losses: one loss of each head every day, the others once a week."""
    for number, name in enumerate(heads.TRAINED):
        kinds = ("CrossEntropyLoss", "CDBLoss") if name in heads.SOFTMAX else SIGMOID
        kinds = [k for k in kinds if (name, k) not in NOT_TOGETHER]
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


@pytest.mark.parametrize("kind", ["QualityFocalLoss", "EqualizedQualityFocalLoss"])
@pytest.mark.parametrize("epoch", [0, 100], ids=["before", "after"])
def test_probabilities_train(kind, epoch):
    """TOOD has one loss in its first epochs and another one later."""
    losses = dict(
        loss_cls=dict(config(kind), activated=True),
        initial_loss_cls=dict(config("FocalLoss"), activated=True),
    )
    head = heads.build_dense("TOODHead", **losses)
    assert list(check_loss_callers(CheckContext(model=head))) == []
    for loss in (head.loss_cls, head.initial_loss_cls):
        for part in loss.modules():
            if hasattr(part, "set_class_stats"):
                part.set_class_stats(STATS)
    value = heads.total(heads.dense_losses("TOODHead", head, epoch))
    assert value.isfinite()
    value.backward()


@pytest.mark.parametrize(
    "name", ["GFLHead", "RTMDetSepBNHead", "VFNetHead", "YOLOXHead"]
)
@pytest.mark.parametrize(
    "wrong",
    [
        dict(config("AlphaLoss")),
        dict(config("QualityFocalLoss"), activated=True),
        dict(config("CrossEntropyLoss", use_sigmoid=False)),
    ],
    ids=["needs classes", "probabilities", "softmax"],
)
def test_qualities_are_refused_where_there_is_no_loss_of_them(name, wrong):
    head = heads.build_dense(name)
    head.loss_cls = heads.MODELS.build(wrong)
    (found,) = check_loss_callers(CheckContext(model=head))
    assert name in found.where
    assert "loss_cls=dict(type='imb_det." in found.remedy


def test_fsaf_refuses_losses_of_rows():
    head = heads.build_dense("FSAFHead", loss_cls=config("QualityFocalLoss"))
    (found,) = check_loss_callers(CheckContext(model=head))
    assert "losses of single elements" in found.evidence


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
