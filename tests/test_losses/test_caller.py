"""What messages say of the head that calls a loss."""

from types import MappingProxyType

import pytest
import torch
from torch import nn

from imb_det.losses import FocalLoss

OWN = MappingProxyType(dict(type="elsewhere.SomeLoss", beta=2))


class Head(nn.Module):
    """A head that passes more than losses of the library take."""

    def __init__(self, loss_quality=OWN):
        super().__init__()
        self.loss_quality = FocalLoss(use_sigmoid=True)

    def forward(self, scores, labels):
        return self.loss_quality(scores, labels, beta=2)


class UnknownHead(nn.Module):
    """Such a head without a loss of its own."""

    def __init__(self):
        super().__init__()
        self.loss_quality = FocalLoss(use_sigmoid=True)

    forward = Head.forward


@pytest.mark.parametrize(
    ("head", "config"),
    [
        (Head, r"type='elsewhere\.SomeLoss', beta=2"),
        (UnknownHead, r"type='mmdet\.CrossEntropyLoss', use_sigmoid=True"),
    ],
)
def test_of_heads_outside_of_mmdet(head, config):
    place = rf"FocalLoss \(`loss_quality` of {head.__name__}\): .*\['beta'\]"
    with pytest.raises(TypeError, match=rf"{place}.*`loss_quality=dict\({config}\)`$"):
        head()(torch.zeros(1, 3), torch.zeros(1).long())


def test_without_a_head():
    with pytest.raises(TypeError, match=r"^FocalLoss: .* needs a loss of mmdet$"):
        FocalLoss(use_sigmoid=True)(torch.zeros(1, 3), torch.zeros(1).long(), beta=2)
