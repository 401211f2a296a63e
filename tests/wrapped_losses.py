"""What the tests of losses around losses share."""

import torch

from imb_det.losses import CALSLoss, manage_statistics
from tests.contracts.case import STATS

CE, SEESAW, EQLV2 = (
    dict(type=f"imb_det.{name}Loss") for name in ("CrossEntropy", "Seesaw", "EQLv2")
)
FOCAL = dict(type="imb_det.FocalLoss", use_sigmoid=True)


def started(loss, stats=STATS):
    """A loss as it is in training."""
    for part in loss.modules():
        if hasattr(part, "set_class_stats"):
            part.set_class_stats(stats)
        if isinstance(part, CALSLoss):
            part.set_multipliers(torch.tensor(0.5), torch.tensor(1.0))
    manage_statistics(loss)
    return loss


def batch(loss, rows=7, seed=0, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    width = 3 + loss.link.extra_channels
    logits = scale * torch.randn(rows, width, generator=generator).double()
    return logits.requires_grad_(), torch.arange(rows) % 4
