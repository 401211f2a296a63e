"""GHM-C: classification loss harmonised by gradient density."""

from __future__ import annotations

import torch
from torch import Tensor

from imb_det.core import check_choice
from imb_det.registry import MODELS

from .base import ImbalanceLoss
from .compilation import compiled_for, should_compile
from .elements import DensityElement
from .gradient_density import GradientDensity, bin_counts, check_density
from .one_pass import chunks
from .rows import OwnClass, where_counted
from .terms import Call, Terms

__all__ = ["GHMCLoss"]


@MODELS.register_module()
class GHMCLoss(ImbalanceLoss):
    r"""Gradient harmonising loss for classification.

    Examples, one for each row and class, with gradient norms
    :math:`g = |\sigma(z) - y|` in the same of M equal bins share a density:

    .. math:: L = \frac{1}{N} \sum_i \beta_{j(i)}\, \mathrm{BCE}_i, \qquad
              \beta_j = \frac{N}{n\, \max(S_j, s)}

    with the mean counts S_j of the bins a step, their sum N, the number n of bins that
    have held an example, and a least count s: see :class:`GradientDensity`. It divides
    by its own N and leaves ``avg_factor`` aside. In the first step, without a count
    yet, each call is the mean of its BCE.

    A dense head calls its loss for each FPN level. Here the calls of a step sum to one
    mean over all their examples: with L calls it is about L times smaller than the
    authors' sum, where each call is a mean of its own.

    In heads of queries each decoder layer has a mean of its own. Denoising queries need
    another one, of which half are positive, and so do heads that divide by their
    positives themselves. For them there is ``average='avg_factor'``:

    .. math:: L = \frac{1}{\mathrm{avg\_factor}} \sum_i \beta_{j(i)}\,
              \mathrm{BCE}_i, \qquad
              \beta_j = \frac{P}{n\, \max(S_j, \min(s, P / M))}

    with the mean number P of positives a step. Where a head divides by all positives of
    a step it is the same loss but for s: where :math:`P < M s`, a positive weighs at
    most M / n times what it does in cross entropy, and none is lost beside s where
    there are fewer than s in a bin. In the first step an example weighs the middle of
    its bin.

    Args:
        bins: Number of bins M, >= 1. Default 30.
        momentum: Share of the past in the mean counts, in [0, 1). Default 0.75.
        use_sigmoid: Must be True; the config must say so, as heads read it there.
            Default True.
        statistics: ``'step'`` counts all calls of a step on all ranks and needs
            ``imb_det.ImbalanceHook``; ``'call'`` is the authors' way, which equals
            mmdet's GHMC for weights of 0 and 1: counts of each call (level) alone, on
            each rank alone, an average that starts from zero, so that the first losses
            are 1 / (1 - momentum) times too large. Default ``'step'``.
        min_count: Least count s of a bin, > 0: single examples in a bin that is
            nearly empty, often outliers, weigh no more than this share of a bin. Not
            used with ``'call'``. Default 10.
        average: What the loss is divided by: ``'examples'``, its own N, or
            ``'avg_factor'``, as heads divide other losses; only with statistics of
            steps. DINO, DDQ, FSAF, PAA, YOLOX and RTMDet need the latter.
            Default ``'examples'``.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.
        RuntimeError: In the first training step, without the hook.

    Source: Li, Liu, Wang, "Gradient Harmonized Single-stage Detector", AAAI 2019,
    equations 3 to 9, with the authors' division by the number of bins that are not
    empty. Deviations: statistics of the steps before, over levels and ranks; a mean
    over steps without the bias of its start; the least count; ``'avg_factor'`` is ours.
    """

    def __init__(
        self,
        bins: int = 30,
        momentum: float = 0.75,
        use_sigmoid: bool = True,
        statistics: str = "step",
        min_count: float = 10.0,
        average: str = "examples",
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
    ) -> None:
        super().__init__(use_sigmoid, reduction, loss_weight, compiled)
        name = type(self).__name__
        if not use_sigmoid:
            raise ValueError(
                f"{name}: GHM-C is a sigmoid loss, `use_sigmoid` must be True"
            )
        check_density(name, bins, momentum, statistics, min_count)
        check_choice(name, "average", average, ("examples", "avg_factor"))
        self.own_normaliser = average == "examples"
        self.every_call = statistics == "call"
        if self.every_call and not self.own_normaliser:
            raise ValueError(
                f"{name}: `average='avg_factor'` needs the positives of the steps "
                "before, and `statistics='call'` has none: write `statistics='step'`"
            )
        self.density = GradientDensity(
            bins, momentum, statistics, min_count, not self.own_normaliser
        )

    def terms(self, call: Call) -> Terms:
        """Return cross entropy weighted by density, and N."""
        density = self.density
        label, weight = call.label, call.weight
        if call.learn or self.every_call:
            run = norm_counts
            if should_compile(self.compiled, call.cls_score):
                run = compiled_for(norm_counts, self, call, call.quality is not None)
            count = run(call.cls_score, label, weight, density.bins, call.quality)
        if self.every_call:
            beta, total = density.of_call(count, call.learn)
            return Terms(element=DensityElement(beta), normaliser=total)
        if not self.own_normaliser:
            if call.learn:
                density.stats.add(torch.cat([count, _positives(call)[None]]))
            return Terms(element=DensityElement(density.over_positives()))
        beta, total = density()
        if call.learn:
            density.stats.add(count)
        counted, _ = where_counted(label, weight)
        if counted is None:
            counted = torch.ones_like(label[:, :1], dtype=torch.bool)
        examples = counted.sum() * (call.cls_score.size(1) // counted.size(1))
        total = torch.where(total > 0, total, examples).clamp(min=1)
        return Terms(element=DensityElement(beta), normaliser=total)


def _positives(call: Call) -> Tensor:
    """Return the sum of the targets that count, float64 scalar."""
    if call.label.dim() == 2:
        counted, _ = where_counted(call.label, call.weight)
        target = call.label.double()
        return (target if counted is None else target * counted).sum()
    is_object = call.is_object
    if call.quality is None:
        return is_object.sum(dtype=torch.float64)
    return torch.where(is_object, call.quality.double(), 0).sum()


def norm_counts(
    cls_score: Tensor,
    label: Tensor,
    weight: Tensor | None,
    bins: int,
    quality: Tensor | None = None,
) -> Tensor:
    """Count the gradient norms of all elements in equal bins of [0, 1].

    Args:
        cls_score: Logits, (N, C).
        label: Classes (N,), ignored below 0, or targets (N, C).
        weight: Factors (N,) or (N, C); where it is 0, nothing counts. Or None.
        bins: Number of bins M.
        quality: Targets of the classes in place of 1, (N,), or None. Default: None.

    Returns:
        Counts, float64 (M,).
    """
    total = torch.zeros(bins, dtype=torch.float64, device=cls_score.device)
    for rows in chunks(cls_score):
        z, y = cls_score[rows].float(), label[rows]
        if quality is not None:
            own, norm = OwnClass(y, z.size(1)), z.sigmoid()
            gap = own.at_hand(norm) - quality[rows, None].to(z.dtype)
            norm = own.written(norm, gap.abs())
        elif y.dim() == 1:
            norm = OwnClass(y, z.size(1)).negated(z.clone()).sigmoid()
        else:
            norm = (z.sigmoid() - y.to(z.dtype)).abs()
        counted, _ = where_counted(y, None if weight is None else weight[rows])
        if counted is not None:
            norm = torch.where(counted, norm, -1)
        total += bin_counts(norm, bins)
    return total
