"""Inverse image frequency: logits in proportion to how telling a class is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from imb_det.core import check_choice, refuse_idle
from imb_det.core.text import and_more
from imb_det.registry import MODELS
from imb_det.statistics.class_counts import check_min_count, positive_counts
from imb_det.statistics.class_stats import ClassStats
from imb_det.statistics.class_vector import ClassVector

from .base import ImbalanceLoss
from .links import ScaledSoftmaxLink
from .terms import Call, Terms

__all__ = ["IIFLoss"]

_VARIANTS = ("raw", "smooth", "base2", "base10")


@MODELS.register_module()
class IIFLoss(ImbalanceLoss):
    r"""Softmax of logits times the inverse image frequency of their class.

    .. math:: p = \mathrm{softmax}(w_c z_c), \qquad w_c = \log(N / m_c)

    with :math:`m_c` of N images holding class c, and w = 1 for background. Predictions
    are made with the same factors.

    Args:
        weight: ``'raw'`` as above; ``'smooth'``, :math:`\log((N + 1) / (m_c + 1)) + 1`;
            ``'base2'`` or ``'base10'``, the raw one with another base; or numbers > 0,
            one for all classes, or C, as a list or by class name. Default ``'raw'``.
        min_count: Images that hold a class at least; None refuses classes without
            examples. Default None.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        use_sigmoid: Must be False. Default False.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: At construction for an argument; when training starts
            for a class without examples, or one that is in every image, whose factor
            would be 0.

    Source: Alexandridis et al., "Inverse Image Frequency for Long-tailed Image
    Recognition", IEEE TIP 2023. The authors' recipe has more: a cosine classifier of
    temperature 8, RFS, FASA.
    """

    link: ScaledSoftmaxLink

    def __init__(
        self,
        weight: str | float | Sequence[float] | Mapping[str, float] = "raw",
        min_count: float | None = None,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        use_sigmoid: bool = False,
        compiled: bool | str = "auto",
    ) -> None:
        name = type(self).__name__
        check_choice(name, "use_sigmoid", use_sigmoid, (False,))
        super().__init__(False, reduction, loss_weight, compiled)
        check_min_count(name, min_count)
        rules = {v: partial(_frequencies, name, v, min_count) for v in _VARIANTS}
        vector = ClassVector(name, "weight", weight, rules=rules, open_ends=True)
        if not vector.has_rule:
            why = "where `weight` tells the factors"
            refuse_idle(name, why, min_count=(min_count, None))
        self.link = ScaledSoftmaxLink(vector, with_background=False)

    def terms(self, call: Call) -> Terms:
        """Return the factors of the logits."""
        return Terms(scale=self.link.factor(call.cls_score))


def _frequencies(
    owner: str, variant: str, min_count: float | None, stats: ClassStats
) -> np.ndarray:
    images = positive_counts(owner, stats, "images", min_count)
    if variant == "smooth":
        return np.log((stats.num_images + 1) / (images + 1)) + 1
    everywhere = images >= stats.num_images
    if everywhere.any():
        names = [n for n, e in zip(stats.classes, everywhere, strict=True) if e]
        raise ValueError(
            f"{owner}: `weight={variant!r}` would be 0 for {and_more(names)}, which "
            f"every training image holds; write `weight='smooth'` into the loss, or "
            "numbers by class"
        )
    base = {"raw": 1.0, "base2": np.log(2), "base10": np.log(10)}[variant]
    return np.log(stats.num_images / images) / base
