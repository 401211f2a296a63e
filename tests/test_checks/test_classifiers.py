"""Losses of cosines need a classifier that gives cosines."""

import pytest
from mmdet.registry import MODELS as MMDET
from mmengine.config import ConfigDict
from torch import nn

from imb_det.checks import check_classifiers
from imb_det.core import CheckContext
from tests.contracts.cases import NUM_CLASSES
from tests.contracts.dense_heads import DETRHead, RetinaHead
from tests.contracts.roi_heads import RoIHead
from tests.toys import MODELS

LDAM = dict(type="imb_det.LDAMLoss", use_sigmoid=False)
WANTED = dict(type="imb_det.NormedLinear", temperature=1, bias=False)


def findings(head):
    return list(check_classifiers(CheckContext(model=nn.ModuleDict(dict(box=head)))))


def box_head(classifier=None, loss=LDAM):
    config = dict(RoIHead.config, loss_cls=loss)
    if classifier is not None:
        config["cls_predictor_cfg"] = classifier
    return MODELS.build(ConfigDict(config))


def test_cosines_are_taken():
    assert findings(box_head(WANTED)) == []
    named = {"temperature": 1}
    try:
        MMDET.build(dict(type="NormedLinear", in_features=1, out_features=1, **named))
    except TypeError:  # mmdet 3.3
        named = {"tempearture": 1}
    theirs = dict(type="mmdet.NormedLinear", bias=False, **named)
    assert findings(box_head(theirs)) == []


def test_other_losses_take_any_classifier():
    loss = dict(type="imb_det.VSLoss", use_sigmoid=False)
    assert findings(box_head(loss=loss)) == []


@pytest.mark.parametrize(
    ("classifier", "text"),
    [
        (None, "`fc_cls` is a Linear, which is not normalised"),
        (
            dict(WANTED, temperature=20),
            "`fc_cls` is a NormedLinear with temperature=20",
        ),
        (
            dict(WANTED, power=0.5, bias=True),
            "`fc_cls` is a NormedLinear with power=0.5 and a bias",
        ),
    ],
)
def test_a_box_head_gets_the_line_to_write(classifier, text):
    (found,) = findings(box_head(classifier))
    assert found.where == "`box` (Shared2FCBBoxHead)"
    assert text in found.evidence
    assert "LDAMLoss" in found.evidence
    line = found.remedy.split("cls_predictor_cfg=", 1)[1].split("`", 1)[0]
    assert findings(box_head(eval(line))) == []


@pytest.mark.parametrize(
    ("head", "layer"),
    [
        (lambda: RetinaHead(LDAM).head, "`retina_cls` is a Conv2d"),
        (lambda: DETRHead(LDAM).head, "`fc_cls` is a Linear"),
        (
            lambda: MODELS.build(
                dict(
                    type="DoubleConvFCBBoxHead",
                    num_convs=1,
                    num_fcs=1,
                    num_classes=NUM_CLASSES,
                    loss_cls=ConfigDict(LDAM),
                )
            ),
            "`fc_cls` is a Linear",
        ),
        (
            lambda: MODELS.build(
                dict(
                    type="DeformableDETRHead",
                    num_classes=NUM_CLASSES,
                    embed_dims=8,
                    num_pred_layer=2,
                    loss_cls=ConfigDict(LDAM),
                )
            ),
            "`cls_branches.0` is a Linear",
        ),
    ],
    ids=["RetinaHead", "DETRHead", "DoubleConvFCBBoxHead", "DeformableDETRHead"],
)
def test_heads_that_cannot_have_one_get_another_loss(head, layer):
    (found,) = findings(head())
    assert layer in found.evidence
    assert "in a box head such as Shared2FCBBoxHead with" in found.remedy
    assert "or write `loss_cls=dict(type='imb_det.VSLoss'" in found.remedy
