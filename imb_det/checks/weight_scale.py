"""Class weights against the weight of background."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.losses import ImbalanceLoss
from imb_det.statistics.class_vector import ClassVector

__all__ = ["check_weight_scale"]

#: Share of the weight of background below which frequent classes were measured to lose
#: their objects to it: 0.09 lost 0.27 of the AP of drawn digits, in all groups; 0.10
#: lost 0.05 of the AP of frequent boards, and 0.18 nothing that could be told from 0.
_LEAST = 0.125


def check_weight_scale(context: CheckContext) -> Iterator[Finding]:
    """Find weights by a rule with which the most frequent class vanishes.

    Args:
        context: With a model whose losses know the class statistics.
    """
    if context.model is None or context.train_loop is None:
        return
    for name, loss in context.model.named_modules():
        if not isinstance(loss, ImbalanceLoss):
            continue  # heads that ask their loss have weights too
        weights = getattr(loss, "class_weight", None)
        if not isinstance(weights, ClassVector):
            continue
        if getattr(loss, "weight_negatives", False):
            continue  # both sides of a class have its weight
        if loss.ignore_index is not None:
            continue  # of pixels, all of which are of a class
        for spec, numbers, stats in weights.by_rules():
            most = int(np.argmax(stats.instance_count))
            background = float(getattr(loss, "bg_weight", 1.0))
            if len(numbers) > stats.num_classes:
                background = float(numbers[-1])
            if numbers[most] >= _LEAST * background:
                continue
            yield Finding(
                "weight_scale",
                Severity.WARNING,
                "the most frequent class weighs so little beside background that its "
                "objects, and with them those of all classes, are lost to it",
                f"`{name}` ({type(loss).__name__})",
                f"`{weights.name}={spec!r}` gives {stats.classes[most]!r} "
                f"{numbers[most]:.2g}, and background has {background:.2g}",
                f"Use `{weights.name}='sqrt_inverse'`, with `normalize='instances'`",
            )
