"""A sampler of candidates that drops none."""

from __future__ import annotations

import sys
from typing import Any

from mmdet.models.task_modules.samplers import RandomSampler

from imb_det.registry import TASK_UTILS

__all__ = ["HOW_TO_SAMPLE_ALL", "AllSampler"]

#: What a message advises; mmengine replaces lists whole, and keeps `_delete_` in them.
HOW_TO_SAMPLE_ALL = (
    "`dict(_delete_=True, type='imb_det.AllSampler')`, in the list of a cascade "
    "without `_delete_`"
)


@TASK_UTILS.register_module()
class AllSampler(RandomSampler):
    """All positive and negative candidates, and the ground truth among them.

    mmdet's ``PseudoSampler`` does not add the boxes of the ground truth to proposals,
    without which early training sees hardly any positive one.

    Args:
        add_gt_as_proposals: Whether to add them. Default True.
        **kwargs: ``context``, which mmdet's RoI heads hand over.

    Raises:
        TypeError: Settings of another sampler.

    Example:
        >>> sampler = dict(_delete_=True, type="imb_det.AllSampler")
        >>> model = dict(train_cfg=dict(rcnn=dict(sampler=sampler)))
    """

    def __init__(self, add_gt_as_proposals: bool = True, **kwargs: Any) -> None:
        if left := sorted(set(kwargs) - {"context"}):
            raise TypeError(
                f"AllSampler has no settings {left}: they are left over from the "
                f"sampler in the base config; write {HOW_TO_SAMPLE_ALL}"
            )
        super().__init__(
            num=sys.maxsize,
            pos_fraction=1.0,
            add_gt_as_proposals=add_gt_as_proposals,
            **kwargs,
        )
