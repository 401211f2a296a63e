"""Label-aware smoothing: targets of frequent classes are smoothed more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from imb_det.core import check_choice, check_number, refuse_idle
from imb_det.registry import MODELS
from imb_det.statistics.class_stats import ClassStats
from imb_det.statistics.class_vector import ClassVector

from .one_pass import SLACK, can_look, compute_dtype
from .reduction import Unreduced
from .terms import Call
from .wrapper import AS_INSIDE, InnerLoss, LossWrapper

__all__ = ["SHAPES", "LabelAwareSmoothingLoss"]

#: How smoothing rises from the rarest class to the most frequent one.
SHAPES = ("concave", "linear", "convex")

Smoothing = str | float | Sequence[float] | Mapping[str, Any]


class _Smoothing(ClassVector):
    """Smoothing of the classes, which gives none of them more weight."""

    balances_by = None


@MODELS.register_module()
class LabelAwareSmoothingLoss(LossWrapper):
    r"""A softmax loss whose targets are smoothed by the frequency of their class.

    .. math:: t = (1 - \epsilon_y)\, e_y + \frac{\epsilon_y}{C} \sum_{c=1}^C e_c, \qquad
              \epsilon_c = \epsilon_{tail} + (\epsilon_{head} - \epsilon_{tail})\,
              f\left(\frac{n_c - n_{min}}{n_{max} - n_{min}}\right)

    for rows of a class y with :math:`n_y` examples, where :math:`f(x)` is
    :math:`\sin(\pi x / 2)` (concave), x (linear) or :math:`1 - \cos(\pi x / 2)`
    (convex). Rows of background stay as they are, and a smoothed row of an object is
    one of an object still. Frequent classes, of which detectors are too sure, are
    smoothed more.

    Soft targets are smoothed class by class. A class that all others are as frequent as
    has :math:`\epsilon_{head}`.

    Args:
        loss: Config of the loss of the smoothed targets, with one softmax over classes
            and background, that learns nothing from classes of rows. Of the library
            these are CrossEntropyLoss, VSLoss and its kin (but for ``prior='rows'``),
            LDAMLoss, CDBLoss, IIFLoss and AlphaLoss; SeesawLoss, with an output for
            objectness, and sigmoid losses are not.
        head: :math:`\epsilon_{head}`, of the most frequent class, in [0, 1]. Default
            0.3.
        tail: :math:`\epsilon_{tail}`, of the rarest class, in [0, 1]. Default 0.
        smoothing: How :math:`\epsilon` rises with the number of examples,
            ``'concave'``, ``'linear'`` or ``'convex'``; or :math:`\epsilon` itself, a
            number, a list, a dict by class name (others have 0), in [0, 1], or
            ``dict(stages={'plain': 0.0, 'smooth': 'concave'})`` with one of these for
            each stage of the training. Default ``'concave'``.
        by: What examples are, ``'instances'`` or ``'images'``. Default ``'instances'``.
        over: What a target is spread over, ``'classes'``, or ``'outputs'``, background
            among them. Default ``'classes'``.
        use_sigmoid: Of ``loss``, False. Default None, what it says itself.
        reduction: Of ``loss``. Default None, what it says itself.
        loss_weight: Of ``loss``. Default None, what it says itself.
        compiled: Of ``loss``. Default None, what it says itself.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range, or the
            loss inside is none of those; when training starts for numbers that do not
            fit the classes.

    Example:
        >>> import torch
        >>> inner = dict(type="imb_det.CrossEntropyLoss")
        >>> loss = LabelAwareSmoothingLoss(inner, smoothing=[0.2, 0.0])
        >>> loss.smoothed(torch.tensor([0, 1, 2]), channels=3)
        tensor([[0.9000, 0.1000, 0.0000],
                [0.0000, 1.0000, 0.0000],
                [0.0000, 0.0000, 1.0000]])

    Source: Zhong et al., "Improving Calibration for Long-Tailed Recognition", CVPR 2021
    (MiSLAS), equation 5, and the three forms of the authors' code; 0.3 and 0 are theirs
    for ImageNet-LT. Background, which classification has not, is our own;
    ``over='outputs'`` is the authors' mean over all outputs.
    """

    takes_factor = AS_INSIDE

    def __init__(
        self,
        loss: InnerLoss,
        head: float = 0.3,
        tail: float = 0.0,
        smoothing: Smoothing = "concave",
        by: str = "instances",
        over: str = "classes",
        use_sigmoid: bool | None = None,
        reduction: str | None = None,
        loss_weight: float | None = None,
        compiled: bool | str | None = None,
    ) -> None:
        super().__init__(loss, use_sigmoid, reduction, loss_weight, compiled)
        name = type(self).__name__
        check_number(name, "head", head, 0, 1)
        check_number(name, "tail", tail, 0, 1)
        check_choice(name, "by", by, ("instances", "images"))
        check_choice(name, "over", over, ("classes", "outputs"))
        self.require_softmax("gives each class a part of a target")
        if self.observes:
            raise ValueError(
                f"{name}: {type(self.loss).__name__}, as it is configured, learns from "
                "the classes of rows, which smoothed targets have not; of the losses "
                "with `prior` use `prior='instances'` or `prior='images'`"
            )
        self.over = over
        rules = {
            shape: partial(_smoothing, float(head), float(tail), by, shape)
            for shape in SHAPES
        }
        self.smoothing = _Smoothing(
            name, "smoothing", smoothing, rules=rules, default=0.0, high=1.0
        )
        if not self.smoothing.has_rule:
            refuse_idle(
                name,
                "where `smoothing` has numbers",
                head=(head, 0.3),
                tail=(tail, 0.0),
                by=(by, "instances"),
            )

    def unreduced(self, cls_score: Tensor, call: Call, per_row: bool) -> Unreduced:
        """Return the loss of the smoothed targets."""
        label = self.smoothed(call.label, cls_score.size(1), cls_score)
        weight = call.weight
        if call.label.dim() == 1:
            # Rows of weight 0 do not count; targets cannot say so.
            known = call.label >= 0
            if weight is None:
                weight = known.to(cls_score.dtype)
            else:
                weight = torch.where(known, weight, 0)
        return self.loss.unreduced(
            cls_score, replace(call, label=label, weight=weight), per_row
        )

    @torch.no_grad()
    def smoothed(
        self, label: Tensor, channels: int, like: Tensor | None = None
    ) -> Tensor:
        """Return smoothed targets, float (N, K).

        Args:
            label: Class of each row, int (N,), background C, below 0 for any; or
                targets, (N, K).
            channels: K = C + 1.
            like: A tensor of the device and the type that they are wanted in. Default
                None, the labels.
        """
        classes = channels - 1
        like = label if like is None else like
        dtype = compute_dtype(like)
        given = self.smoothing(classes, like)
        smoothing = torch.zeros((), device=like.device) if given is None else given
        smoothing = F.pad(smoothing.to(dtype).expand(classes), (0, 1))
        if label.dim() == 1:
            own = label.clamp(0, classes).long()[:, None]
            taken = smoothing[own]
            rest = 1 - taken
            target = self._spread(taken, channels)
            return target.scatter_add(1, own, rest)
        target = label.to(dtype)
        if not can_look(target):  # what is out of range must not be smoothed into it
            fits = (target >= -SLACK) & (target <= 1 + SLACK)
            target = torch.where(fits, target, torch.nan)
        given_up = target * smoothing
        spread = self._spread(given_up.sum(1, keepdim=True), channels)
        return target - given_up + spread

    def _spread(self, taken: Tensor, channels: int) -> Tensor:
        """Return shares of what is taken from each row, (N, 1), for all it goes to."""
        if self.over == "outputs":
            return (taken / channels).repeat(1, channels)
        return F.pad((taken / (channels - 1)).expand(-1, channels - 1), (0, 1))


def _smoothing(
    head: float,
    tail: float,
    by: str,
    shape: str,
    stats: ClassStats,
) -> np.ndarray:
    """Return the smoothing of each class, float64 (C,)."""
    counts = stats.image_count if by == "images" else stats.instance_count
    counts = counts.astype(float)
    low, high = counts.min(), counts.max()
    share = (counts - low) / (high - low) if high > low else np.ones(len(counts))
    if shape == "concave":
        share = np.sin(np.pi / 2 * share)
    elif shape == "convex":
        share = 1 - np.cos(np.pi / 2 * share)
    return tail + (head - tail) * share
