"""Losses in heads of mmdet that cannot carry their link."""

import pytest
import torch
from mmdet.models.detectors import SoftTeacher
from mmengine.config import ConfigDict
from torch import nn

from imb_det.checks import check_activations, check_loss_callers
from imb_det.core import CheckContext
from tests.contracts import mmdet_heads
from tests.contracts.cases import NUM_CLASSES
from tests.contracts.roi_heads import RoIHead
from tests.toys import MODELS

#: Outputs beyond one a class that a loss needs, where they are not what heads make.
EXTRA = dict(
    SeesawLoss=2, BalancedGroupSoftmaxLoss=6, ECMLoss=1, EQLv2Loss=1, ACSLLoss=1
)
#: Losses whose probabilities are neither sigmoid nor softmax of the logits.
OWN = ("IIFLoss", "LDAMLoss", "GumbelLoss")
SOFTMAX = ("SeesawLoss", "BalancedGroupSoftmaxLoss", "IIFLoss", "LDAMLoss", "VSLoss")
#: Dense heads that ask the loss for the probabilities, and those that do not.
ASKING = ("RetinaHead", "FCOSHead", "ATSSHead", "YOLOFHead")
DEAF = ("FoveaHead", "PAAHead", "RepPointsHead", "YOLOXHead", "SOLOHead", "RPNHead")
#: RoI heads with a classifier of their own.
FIXED = dict(
    DoubleConvFCBBoxHead=dict(num_convs=1, num_fcs=1, conv_out_channels=8),
    SABLHead=dict(cls_in_channels=4, reg_in_channels=4, cls_out_channels=8),
    DIIHead=dict(num_ffn_fcs=2, num_heads=2, in_channels=8, feedforward_channels=8),
)
FIXED["DIIHead"]["dynamic_conv_cfg"] = dict(
    type="DynamicConv", in_channels=8, feat_channels=4, out_channels=8
)


def config(loss):
    return dict(type=f"imb_det.{loss}", use_sigmoid=loss not in SOFTMAX)


def build(name, loss):
    """A head of mmdet with a loss."""
    if name in mmdet_heads.DENSE:
        return mmdet_heads.build_dense(name, loss_cls=config(loss))
    if name in FIXED:
        settings = dict(type=name, num_classes=NUM_CLASSES, **FIXED[name])
    elif name in mmdet_heads.QUERIES:
        settings = dict(type=name, num_classes=NUM_CLASSES, embed_dims=8)
        if name == "DeformableDETRHead":
            settings["num_pred_layer"] = 2
    else:
        settings = dict(RoIHead.config, type=name)
        if name == "ConvFCBBoxHead":
            settings["num_shared_fcs"] = 1
    return MODELS.build(ConfigDict(settings, loss_cls=config(loss)))


def findings(head):
    return list(check_activations(CheckContext(model=nn.ModuleDict(dict(head=head)))))


def pairs(heads, losses):
    return [pytest.param(h, x, id=f"{h}-{x}") for h in heads for x in losses]


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        *pairs(("Shared2FCBBoxHead", "ConvFCBBoxHead"), (*EXTRA, *OWN, "EQLLoss")),
        *pairs(ASKING, ("GumbelLoss", "EQLLoss", "FederatedLoss")),
        *pairs(("RetinaHead",), ("IIFLoss", "VSLoss")),
        *pairs(DEAF, ("EqualizedFocalLoss",)),
        *pairs(("DETRHead",), ("VSLoss",)),
        *pairs(("DeformableDETRHead",), ("EQLLoss", "FederatedLoss")),
        *pairs(("YOLACTHead", "DoubleConvFCBBoxHead", "SABLHead"), ("VSLoss",)),
        *pairs(("DoubleConvFCBBoxHead",), ("IIFLoss",)),
        *pairs(("DIIHead",), ("VSLoss", "EQLLoss")),
    ],
)
def test_is_carried(name, loss):
    assert findings(build(name, loss)) == []


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        *pairs((*ASKING, *DEAF), ("EQLv2Loss", "ACSLLoss")),
        *pairs(("RetinaHead", "DETRHead", "YOLACTHead"), SOFTMAX[:2]),
        *pairs(("DeformableDETRHead",), ("ECMLoss", "EQLv2Loss")),
        *pairs(("DIIHead", "DoubleConvFCBBoxHead", "SABLHead"), SOFTMAX[:2]),
        *pairs(("DIIHead",), ("ACSLLoss",)),
    ],
)
def test_outputs_that_a_head_does_not_make(name, loss):
    (found,) = findings(build(name, loss))
    assert found.code == "link_channels"
    assert f"`head` ({name})" in found.where
    assert f"{loss} needs {EXTRA[loss]}" in found.evidence
    if loss == "EQLv2Loss":
        assert found.remedy == "Write `objectness=False` into `loss_cls`"
    else:
        assert f"Use {loss} in a box head such as Shared2FCBBoxHead" in found.remedy
        assert "`loss_cls=dict(type='imb_det." in found.remedy


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        *pairs((*DEAF, "DeformableDETRHead", "DIIHead"), ("GumbelLoss",)),
        *pairs(("YOLACTHead", "DETRHead", "SABLHead", "DIIHead"), ("IIFLoss",)),
    ],
)
def test_probabilities_that_a_head_does_not_predict_with(name, loss):
    (found,) = findings(build(name, loss))
    assert found.code == "activation"
    own = "sigmoid" if loss == "GumbelLoss" else "softmax"
    assert f"predicts with a {own} of its own" in found.evidence
    assert loss in found.evidence


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("RetinaHead", "SeesawLoss"),
        ("FoveaHead", "GumbelLoss"),
        ("RPNHead", "ACSLLoss"),
    ],
)
def test_what_is_named_instead_does(name, loss):
    (found,) = findings(build(name, loss))
    line = found.remedy.split("`loss_cls=", 1)[1].split("`", 1)[0]
    other = eval(line)["type"].removeprefix("imb_det.")
    assert findings(build(name, other)) == []


def test_without_objectness_the_loss_is_carried():
    head = mmdet_heads.build_dense(
        "RetinaHead", loss_cls=dict(config("EQLv2Loss"), objectness=False)
    )
    assert findings(head) == []


@pytest.mark.parametrize("name", [*ASKING, "FoveaHead", "RepPointsHead"])
def test_heads_ask_as_the_check_says(name):
    # Whoever asks changes its scores with the activation of its loss.
    head = build(name, "EQLLoss").eval()
    asked = []
    head.loss_cls.get_activation = lambda z: asked.append(1) or z.sigmoid()
    strides = mmdet_heads.STRIDES.get(name) or head.prior_generator.strides
    sides = [max(64 // int(s[0] if isinstance(s, tuple) else s), 1) for s in strides]
    maps = tuple(torch.randn(2, mmdet_heads.CHANNELS, side, side) for side in sides)
    batch = mmdet_heads.samples()
    for sample in batch:
        sample.set_metainfo(dict(scale_factor=(1.0, 1.0), ori_shape=(64, 64)))
    head.test_cfg = ConfigDict(
        nms_pre=10,
        score_thr=0.5,
        max_per_img=5,
        nms=dict(type="nms", iou_threshold=0.5),
    )
    head.predict(maps, batch, rescale=False)
    assert bool(asked) == (name in ASKING)


@pytest.mark.parametrize("head", ["RPNHead", "GARetinaHead", "FCOSHead"])
@pytest.mark.parametrize(
    "loss",
    [
        *map(config, ("EQLLoss", "FederatedLoss", "CDBLoss", "FocalLoss")),
        dict(config("CrossEntropyLoss"), class_weight=dict(bee=2.0)),
        dict(config("CrossEntropyLoss"), class_weight=[1.0, 2.0, 3.0]),
        dict(config("CrossEntropyLoss"), class_weight=2.0),
    ],
    ids=lambda loss: f"{loss['type'][8:]} {loss.get('class_weight', '')}".strip(),
)
def test_proposals_have_no_classes(head, loss):
    """Whatever head proposes, and whatever gives a loss its numbers of the classes."""
    part = mmdet_heads.build_dense(head, loss_cls=loss)
    model = nn.ModuleDict(dict(rpn_head=part))
    found = list(check_loss_callers(CheckContext(model=model)))
    without = loss["type"] == "imb_det.FocalLoss" or loss.get("class_weight") == 2.0
    assert [x.code for x in found] == ["loss_of_proposals"] * (not without)
    assert all("by class" in x.evidence for x in found)


@pytest.mark.parametrize("background_first", [True, False])
def test_background_is_the_last_class(background_first):
    """CrowdDet's box head has it first: its weight would be that of a class."""
    kind = "MultiInstanceBBoxHead" if background_first else "Shared2FCBBoxHead"
    head = MODELS.build(
        ConfigDict(
            type=kind,
            in_channels=4,
            fc_out_channels=8,
            roi_feat_size=2,
            num_classes=1,
            loss_cls=dict(config("CrossEntropyLoss"), use_sigmoid=False, bg_weight=0.5),
        )
    )
    found = list(check_loss_callers(CheckContext(model=head)))
    assert [x.code for x in found] == ["loss_caller"] * background_first
    assert all("mmdet.CrossEntropyLoss" in x.remedy for x in found)


def test_points_of_a_grid_have_no_classes():
    loss = config("CrossEntropyLoss")
    head = MODELS.build(dict(type="GridHead", num_convs=1, loss_grid=loss))
    (found,) = check_loss_callers(CheckContext(model=head))
    assert "loss_grid=dict(type='mmdet.CrossEntropyLoss'" in found.remedy


@pytest.mark.parametrize("loss", ["VSLoss", "FocalLoss", "GumbelLoss", "EQLv2Loss"])
def test_a_teacher_has_a_score_of_background(loss):
    """By which Soft Teacher weighs rows of background; 0 would leave them out."""
    teacher = SoftTeacher.__new__(SoftTeacher)
    nn.Module.__init__(teacher)
    head = RoIHead(config(loss)).head
    teacher.student = nn.Module()
    teacher.student.roi_head = nn.Module()
    teacher.student.roi_head.bbox_head = head
    logits = torch.zeros(1, head.fc_cls.out_features)
    is_zero = head.loss_cls.get_activation(logits)[0, -1] == 0
    found = list(check_loss_callers(CheckContext(model=teacher)))
    assert [x.code for x in found] == ["loss_of_teacher"] * bool(is_zero)
    assert is_zero == (loss in ("FocalLoss", "GumbelLoss"))
