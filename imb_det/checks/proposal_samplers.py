"""Box heads against the samplers of their proposals."""

from __future__ import annotations

from collections.abc import Iterator

from mmdet.models.roi_heads import BaseRoIHead
from torch import nn

from imb_det.core.check_context import CheckContext, ProposalTaker
from imb_det.core.finding import Finding, Severity

__all__ = ["check_samplers"]


def check_samplers(context: CheckContext) -> Iterator[Finding]:
    """Find samplers of proposals that a box head cannot do with.

    Args:
        context: Of a training.
    """
    if context.model is None or "train" not in context.datasets:
        return
    for name, module in context.model.named_modules():
        if not isinstance(module, BaseRoIHead) or not module.train_cfg:
            continue
        if not module.with_bbox:
            continue
        heads, cfgs = module.bbox_head, module.train_cfg
        if not isinstance(heads, nn.ModuleList):  # a cascade has one a stage
            heads, cfgs = [heads], [cfgs]
        for stage, (head, cfg) in enumerate(zip(heads, cfgs, strict=True)):
            if not isinstance(head, ProposalTaker):
                continue
            try:
                head.check_sampler(cfg["sampler"])
            except ValueError as error:
                yield Finding(
                    "proposal_sampler",
                    Severity.ERROR,
                    "a box head cannot do with the sampler of its proposals",
                    f"`{name}`, stage {stage}" if len(heads) > 1 else f"`{name}`",
                    str(error),
                )
