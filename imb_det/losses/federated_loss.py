"""Federated loss: only some of the classes are negatives in a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from imb_det.core import check_choice, check_number, refuse_idle
from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.registry import MODELS
from imb_det.statistics.class_stats import ClassStats
from imb_det.statistics.class_vector import ClassVector

from .base import ImbalanceLoss
from .elements import FocalElement
from .image_rows import ImageRows
from .links import RARE_BIAS, SigmoidLink
from .one_pass import compute_dtype
from .rows import where_counted
from .step_draws import StepDraws
from .terms import Call, Gathered, Terms, Values

__all__ = ["FederatedLoss"]

Weights = str | Sequence[float] | Mapping[str, float]


@MODELS.register_module()
class FederatedLoss(ImbalanceLoss):
    r"""Sigmoid loss in which only classes of the batch, and some more, are negatives.

    .. math:: L = \sum_{c \in S} \mathrm{BCE}(p_c, y_c)

    S holds the classes that the call has rows of, and others, drawn without replacement
    in proportion to :math:`n_c^{power}` of their images, until there are ``num``. Data
    sets of many classes are annotated for some classes in an image only, so that a box
    of another class is no mistake. Outputs start with a bias of logit(0.001).

    With ``source='annotation'`` the file says which classes an image has been searched
    for, and S holds those of the image of a row; see ``imb_det.FederatedHook``, which
    it needs.

    Args:
        source: What tells S: ``'counts'``, the rows of the call and draws by counts, or
            ``'annotation'``, the LVIS file of the training set; then ``num``,
            ``power``, ``weight`` and ``seed`` have no meaning. Default ``'counts'``.
        num: Classes in S, >= 1; more where the batch has more, all where there are
            fewer. Default 50.
        power: Exponent of the number of images, >= 0. Default 0.5.
        weight: ``'images'`` for draws as above, or C numbers >= 0 in proportion to
            which classes are drawn, as a list or by class name. Default ``'images'``.
        gamma: Exponent of the focal form, >= 0; 0 for cross entropy. Default 0.
        alpha: With ``gamma``: weight of positives, in [0, 1]; negatives have
            1 - alpha. Default 0.25.
        seed: Of the draws, the same on all ranks, >= 0. Default 0.
        use_sigmoid: Must be True. Default True.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: At construction for an argument; when training starts
            for weights that do not fit the classes.
        RuntimeError: In the first training step, without ``imb_det.ImbalanceHook``.

    Source: Zhou et al., "Probabilistic two-stage detection", 2021, section 5; the focal
    form for DETR heads: Zhou et al., "Detecting Twenty-thousand Classes using
    Image-level Supervision", ECCV 2022. Deviations: background is no class of S and
    counts for none of ``num``; all ranks, and all calls of a step, such as those of
    the layers of a decoder, draw the same order of classes. ``source='annotation'`` is
    our own.
    """

    def __init__(
        self,
        source: str = "counts",
        num: int = 50,
        power: float = 0.5,
        weight: Weights = "images",
        gamma: float = 0.0,
        alpha: float = 0.25,
        seed: int = 0,
        use_sigmoid: bool = True,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
    ) -> None:
        name = type(self).__name__
        check_choice(name, "use_sigmoid", use_sigmoid, (True,))
        super().__init__(True, reduction, loss_weight, compiled)
        check_choice(name, "source", source, ("counts", "annotation"))
        given = dict(num=num, power=power, weight=weight, seed=seed)
        usual = dict(num=50, power=0.5, weight="images", seed=0)
        if source == "annotation" and given != usual:
            changed = [key for key, value in given.items() if value != usual[key]]
            raise ValueError(
                f"{name}: {changed} are of draws, and with `source='annotation'` "
                "nothing is drawn"
            )
        check_number(name, "num", num, 1, None)
        if num != int(num):
            raise TypeError(f"{name}: `num` must be a whole number, got {num}")
        check_number(name, "power", power, 0, None)
        check_number(name, "gamma", gamma, 0, None)
        check_number(name, "alpha", alpha, 0, 1)
        if not gamma:
            refuse_idle(name, "without `gamma`", alpha=(alpha, 0.25))
        self.num = int(num)
        self.gamma, self.alpha = float(gamma), float(alpha)
        self.link = SigmoidLink(start_bias=RARE_BIAS)
        self.images = ImageRows(name) if source == "annotation" else None
        rule = partial(_weights, float(power))
        self.weight = ClassVector(name, "weight", weight, rules={"images": rule})
        if not self.weight.has_rule:
            refuse_idle(name, "where `weight` has numbers", power=(power, 0.5))
        self.draws = StepDraws(name, seed)

    def terms(self, call: Call) -> Terms:
        """Return the factors of negatives: 1 in S, else 0."""
        size, classes = call.cls_score.shape
        chosen: Values
        if self.images is not None:
            chosen = self.images.verified(size, classes)
        else:
            chosen = self._chosen(call)
        if not self.gamma:
            return Terms(negative=chosen)
        if isinstance(chosen, Gathered):
            chosen = replace(chosen, table=(1 - self.alpha) * chosen.table)
        else:
            chosen = (1 - self.alpha) * chosen.to(compute_dtype(call.cls_score))
        return Terms(
            element=FocalElement(self.gamma),
            positive=call.cls_score.new_full((classes,), self.alpha),
            negative=chosen,
        )

    def findings(self, context: CheckContext) -> Iterator[Finding]:
        """Yield that nothing tells the images of rows, where it has to."""
        hooks = [type(hook).__name__ for hook in context.hooks]
        training = "train" in context.datasets
        if self.images is not None and training and "FederatedHook" not in hooks:
            yield Finding(
                "federated_hook",
                Severity.ERROR,
                "nothing tells a loss what annotations have verified",
                type(self).__name__,
                "has source='annotation'",
                "Add `dict(type='imb_det.FederatedHook')` to `custom_hooks`",
            )

    def _chosen(self, call: Call) -> Tensor:
        """Return the classes in S, bool (C,)."""
        classes = call.num_classes
        present = _present(call)
        weight = self.weight(classes, call.cls_score)
        weight = present.new_ones(classes, dtype=torch.float64) * weight
        # The largest of log w + Gumbel noise are a draw without replacement.
        noise = -torch.log(-torch.log(self.draws.uniform((classes,), call.cls_score)))
        order = torch.where(present, torch.inf, weight.log() + noise)
        least = order.topk(min(self.num, classes)).values[-1]
        if call.learn:
            self.draws.count(len(call.label))
        return present | ((order >= least) & (weight > 0))


def _present(call: Call) -> Tensor:
    """Return the classes that rows of the call have, bool (C,)."""
    label, classes = call.label, call.num_classes
    if label.dim() == 2:
        counted, _ = where_counted(label, call.weight)
        has = label > 0
        return (has if counted is None else has & counted).any(0)
    is_class = call.is_object
    column = torch.where(is_class, label, classes).long()
    seen = torch.zeros(classes + 1, dtype=torch.bool, device=label.device)
    return seen.index_fill(0, column, True)[:-1]


def _weights(power: float, stats: ClassStats) -> np.ndarray:
    return stats.image_count.astype(float) ** power * (stats.image_count > 0)
