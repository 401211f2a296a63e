"""Vector scaling: logits shifted and scaled by the prior of their class."""

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
from imb_det.statistics.class_counts import COUNTED, check_min_count, positive_counts
from imb_det.statistics.class_stats import ClassStats
from imb_det.statistics.class_vector import ClassVector
from imb_det.statistics.running_stats import RunningStats

from .base import ImbalanceLoss
from .class_weighted import (
    ClassWeight,
    check_weighting,
    class_weight_vector,
    weighting_terms,
)
from .observed import Observed
from .terms import Call, Terms

__all__ = ["BalancedSoftmaxLoss", "CDTLoss", "LogitAdjustmentLoss", "VSLoss"]

_BACKGROUNDS = ("keep", "count")

Prior = str | Sequence[float] | Mapping[str, float]


@MODELS.register_module()
class VSLoss(ImbalanceLoss):
    r"""Vector scaling loss: softmax of logits scaled and shifted by the prior.

    .. math:: L = -\omega_y \log \frac{e^{\Delta_y z_y + \iota_y}}
              {\sum_c e^{\Delta_c z_c + \iota_c}}, \qquad
              \Delta_c = (\pi_c / \pi_{max})^\gamma, \quad
              \iota_c = \tau \log \pi_c

    It is trained so, and predicts with the plain logits, which then favour the rare
    classes by as much as the prior did not. ``gamma=0`` is logit adjustment, which with
    ``tau=1`` is balanced softmax; ``tau=0`` is CDT. Under these names there are
    :class:`LogitAdjustmentLoss`, :class:`BalancedSoftmaxLoss` and :class:`CDTLoss`.

    With ``use_sigmoid`` it is the form of BALMS for detectors: in foreground rows
    :math:`z_c + \tau\,\mathrm{logit}(f_c)` with the share f of images that hold the
    class, in background rows the plain logits.

    Args:
        use_sigmoid: Sigmoid (C channels) or softmax (C + 1). Default False. The config
            must say it in dense heads.
        gamma: Exponent of the scale, >= 0; with a sigmoid 0. Default 0.3; 0 with a
            sigmoid.
        tau: Factor of the shift, >= 0. Default 1.
        prior: What :math:`\pi` is in proportion to: ``'instances'`` or ``'images'`` of
            the training set, ``'rows'``, the rows of each class that the head has been
            trained on so far, on all ranks, or C numbers > 0, as a list or by class
            name. With a sampler, ``'rows'`` knows what it has drawn. With a sigmoid
            always ``'images'``. Default ``'instances'``.
        background: What is done to the output of background: ``'keep'`` leaves it as
            it is, and :math:`\pi` are shares of the foreground; ``'count'`` takes it
            for one more class, as often as there are rows of it (only with
            ``prior='rows'``); a number > 0 takes it for a class with as many examples
            as that times all others. Default ``'keep'``.
        test_prior: Prior that the detector is to predict for, which is taken off the
            shift, :math:`\tau \log(\pi_c / \pi'_c)`: None for none, ``'uniform'`` for
            1 / C, or C numbers > 0. Between classes ``'uniform'`` changes nothing; to
            background the classes then are what they were on average. Default None.
        min_count: What a class counts as at least; None refuses classes without
            examples. Default None.
        class_weight: :math:`\omega`, weights of the classes, in any form that
            :class:`CrossEntropyLoss` takes; with a sigmoid of positives. Default None.
        bg_weight: Weight of background rows, >= 0. Default 1.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: At construction for an argument; when training starts
            for a class without examples, or numbers that do not fit the classes.

    Example:
        >>> import torch
        >>> loss = VSLoss(gamma=0.0, prior=[0.75, 0.25])
        >>> # -log(0.25 / (0.75 + 0.25 + 1))
        >>> loss(torch.zeros(1, 3), torch.tensor([1]), avg_factor=1)
        tensor(2.0794)

    Source: Kini et al., "Label-Imbalanced and Group-Sensitive Classification under
    Overparameterization", NeurIPS 2021. Logit adjustment: Menon et al., ICLR 2021.
    Balanced softmax and its sigmoid form: Ren et al., "Balanced Meta-Softmax", NeurIPS
    2020; here a class in every image counts as in all but half a one, for which the
    formula is infinite. CDT: Ye et al., 2020. ``test_prior``: Xu et al., "Towards
    Calibrated Model for Long-Tailed Visual Recognition from Prior Perspective", NeurIPS
    2021 (Bayias). Background, which these do not have, is our own; ``'keep'`` is what
    post-hoc adjustment of detectors does.
    """

    def __init__(
        self,
        use_sigmoid: bool = False,
        gamma: float | None = None,
        tau: float = 1.0,
        prior: Prior | None = None,
        background: str | float = "keep",
        test_prior: str | Sequence[float] | None = None,
        min_count: float | None = None,
        class_weight: ClassWeight = None,
        bg_weight: float = 1.0,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
    ) -> None:
        super().__init__(use_sigmoid, reduction, loss_weight, compiled)
        name = type(self).__name__
        if gamma is None:
            gamma = 0.0 if use_sigmoid else 0.3
        if prior is None:
            prior = "images" if use_sigmoid else "instances"
        check_number(name, "gamma", gamma, 0, None)
        check_number(name, "tau", tau, 0, None)
        check_min_count(name, min_count)
        _check_background(name, background, prior)
        if use_sigmoid and (gamma or prior != "images" or background != "keep"):
            raise ValueError(
                f"{name}: with `use_sigmoid=True` only `gamma=0`, `prior='images'` and "
                f"`background='keep'` have a meaning, got gamma={gamma!r}, "
                f"prior={prior!r}, background={background!r}"
            )
        if use_sigmoid and test_prior is not None:
            raise ValueError(f"{name}: `test_prior` needs a softmax")
        check_weighting(name, bg_weight, False)
        self.bg_weight = bg_weight
        self.class_weight = class_weight_vector(self, class_weight, not use_sigmoid)
        self.gamma, self.tau, self.background = float(gamma), float(tau), background
        self.test_prior = None
        if test_prior is not None:
            spec = 1.0 if test_prior == "uniform" else test_prior
            self.test_prior = ClassVector(name, "test_prior", spec, open_ends=True)
        self.prior: ClassVector | None = None
        self.rows: RunningStats | None = None
        if prior == "rows":
            self.observes = True
            self.rows = RunningStats(None, momentum=None)
        else:
            self.prior = ClassVector(
                name,
                "prior",
                prior,
                rules={
                    by: partial(_shares, name, by, min_count, use_sigmoid)
                    for by in COUNTED
                },
                open_ends=True,
            )
        if self.prior is None or not self.prior.has_rule:
            why = "where `prior` is no count of the training set"
            refuse_idle(name, why, min_count=(min_count, None))

    def set_class_stats(self, stats: ClassStats) -> None:
        """Learn the number of classes."""
        if self.rows is not None:
            self.rows.resize(stats.num_classes + 1)

    def terms(self, call: Call) -> Terms:
        """Return scale and shift of the logits, and weights of the classes."""
        weights = weighting_terms(self, call, self.class_weight, self.bg_weight, False)
        if self.use_sigmoid:
            return replace(weights, offset=self._foreground_shift(call))
        prior = self._prior(call)
        if prior is None:
            return weights
        offset = self.tau * prior.log()
        if self.test_prior is not None:
            wanted = self.test_prior(call.num_classes, call.cls_score)
            wanted = prior.new_ones(call.num_classes) * wanted
            wanted = F.pad(wanted / wanted.sum(), (0, 1), value=1.0)
            offset = offset - self.tau * wanted.log()
        scale = None
        if self.gamma:
            classes = prior if self.background != "keep" else prior[:-1]
            scale = (prior / classes.max()) ** self.gamma
            if self.background == "keep":
                scale = F.pad(scale[:-1], (0, 1), value=1.0)
        return replace(weights, scale=scale, offset=offset)

    def _prior(self, call: Call) -> Tensor | None:
        """Return the prior of classes and background, (C + 1,); None before any row."""
        if self.rows is not None:
            counts = self.rows.value
            if len(counts) == 0:
                return None  # nobody has told the number of classes
            classes, background = counts[:-1].clamp(min=1), counts[-1:].clamp(min=1)
        else:
            classes = self._numbers(call)
            background = classes.new_zeros(1)
        total = classes.sum()
        if self.background == "keep":
            return F.pad(classes / total, (0, 1), value=1.0)
        if not isinstance(self.background, str):
            background = (total * self.background)[None]
        everything = torch.cat([classes, background])
        return everything / everything.sum()

    def _numbers(self, call: Call) -> Tensor:
        if self.prior is None:
            raise AttributeError("the prior counts rows")
        numbers = self.prior(call.num_classes, call.cls_score)
        return numbers.expand(call.num_classes)

    def _foreground_shift(self, call: Call) -> Any:
        frequency = self._numbers(call)
        shift = self.tau * torch.logit(frequency)
        if call.label.dim() == 2:
            return ~call.is_background[:, None] * shift
        return lambda z, label: (label < call.num_classes)[:, None] * shift.to(z.dtype)

    def observe(self, call: Call, seen: Observed, factor: Tensor | float) -> None:
        """Count the rows of each class."""
        if self.rows is not None:
            self.rows.add(seen.rows)


@MODELS.register_module()
class LogitAdjustmentLoss(VSLoss):
    r"""Logit adjustment: softmax of :math:`z_c + \tau \log \pi_c`; see :class:`VSLoss`.

    Args:
        tau: Factor of the shift, >= 0. Default 1.
        **kwargs: Of :class:`VSLoss`, but for ``gamma``.

    Source: Menon et al., "Long-Tail Learning via Logit Adjustment", ICLR 2021.
    """

    def __init__(self, tau: float = 1.0, **kwargs: Any) -> None:
        super().__init__(gamma=0.0, tau=tau, **kwargs)


@MODELS.register_module()
class BalancedSoftmaxLoss(VSLoss):
    r"""Balanced softmax: :math:`-\log(n_y e^{z_y} / \sum_c n_c e^{z_c})`.

    With ``use_sigmoid=True`` its form for detectors; see :class:`VSLoss`.

    Args:
        **kwargs: Of :class:`VSLoss`, but for ``gamma`` and ``tau``.

    Source: Ren et al., "Balanced Meta-Softmax for Long-Tailed Visual Recognition",
    NeurIPS 2020, without its meta sampler.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(gamma=0.0, tau=1.0, **kwargs)


@MODELS.register_module()
class CDTLoss(VSLoss):
    r"""Class-dependent temperatures: softmax of :math:`(n_c / n_{max})^\gamma z_c`.

    Args:
        gamma: Exponent, >= 0. Default 0.3.
        **kwargs: Of :class:`VSLoss`, but for ``tau``, ``test_prior`` and
            ``use_sigmoid``.

    Source: Ye et al., "Identifying and Compensating for Feature Deviation in Imbalanced
    Deep Learning", 2020.
    """

    def __init__(self, gamma: float = 0.3, **kwargs: Any) -> None:
        super().__init__(gamma=gamma, tau=0.0, **kwargs)


def _check_background(owner: str, background: Any, prior: Any) -> None:
    if isinstance(background, str):
        check_choice(owner, "background", background, _BACKGROUNDS)
        if background == "count" and prior != "rows":
            raise ValueError(
                f"{owner}: `background='count'` counts rows, so it needs "
                f"`prior='rows'`, got prior={prior!r}; with the counts of a training "
                "set give a number, such as 3.0 for three rows of background for one "
                "of an object"
            )
    else:
        check_number(owner, "background", background, 0, None, open_ends=True)


def _shares(
    owner: str,
    by: str,
    min_count: float | None,
    of_images: bool,
    stats: ClassStats,
) -> np.ndarray:
    """Return the share of each class in all examples, or of the images that hold it."""
    counts = positive_counts(owner, stats, by, min_count)
    if of_images:
        return np.minimum(counts, stats.num_images - 0.5) / stats.num_images
    return counts / counts.sum()
