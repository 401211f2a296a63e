"""What rests in a stage, and what starts anew in it."""

import copy

import pytest
import torch
from mmdet.registry import MODELS
from torch import nn

from imb_det.decoupled.freezing import Division
from imb_det.decoupled.reinitialise import reinitialise
from imb_det.decoupled.stage_parts import StageParts
from tests.contracts import mmdet_heads

MAPS = [torch.randn(1, 8, side, side) for side in (8, 4, 2)]


def resting(model, **parts):
    """Let parts of a model rest, after everything was told to train."""
    names = {name for name, _ in model.named_parameters()}
    division = Division(model, StageParts(**parts), names)
    division.begin()
    model.train()
    division.rest()
    return model


@pytest.mark.parametrize("name", ["FCOSHead", "RepPointsHead", "VFNetHead"])
def test_heads_that_rest_give_what_their_losses_need(name):
    """In eval mode they would give boxes in pixels, or of another number."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"bbox_head": mmdet_heads.build_dense(name)})
    if name == "FCOSHead":
        model["bbox_head"].norm_on_bbox = True
    plain = copy.deepcopy(model).train()
    model = resting(model, freeze=("bbox_head",))
    head, wanted = model["bbox_head"], plain["bbox_head"]
    assert not any(part.training for part in head.cls_convs.modules())
    assert not any(parameter.requires_grad for parameter in head.parameters())
    maps = [m[:, : head.in_channels] for m in MAPS[: len(head.strides)]]
    maps = [m.repeat(1, head.in_channels // m.size(1), 1, 1) for m in maps]
    pairs = zip(flat(head(maps)), flat(wanted(maps)), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


def flat(given):
    if torch.is_tensor(given):
        return [given]
    return [tensor for part in given for tensor in flat(part)]


def test_a_layer_of_several_names_starts_anew():
    """Decoder layers of a detector without box refinement share their classifier."""
    torch.manual_seed(0)
    head = MODELS.build(
        dict(
            type="DeformableDETRHead",
            num_classes=3,
            embed_dims=8,
            num_pred_layer=2,
            share_pred_layer=True,
            loss_cls=dict(type="FocalLoss", use_sigmoid=True),
        )
    )
    model = nn.ModuleDict({"bbox_head": head})
    with torch.no_grad():
        head.cls_branches[0].weight.fill_(7)
    boxes = head.reg_branches[0][0].weight.clone()
    assert head.cls_branches[0] is head.cls_branches[1]
    anew = reinitialise(model, ["bbox_head.cls_branches.0"], 0)
    assert anew == [f"bbox_head.cls_branches.0.{n}" for n in ("weight", "bias")]
    assert not (head.cls_branches[1].weight == 7).any()
    assert torch.equal(head.reg_branches[0][0].weight, boxes)
