"""Effective class margins."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from imb_det.core import check_choice, check_number
from imb_det.registry import MODELS
from imb_det.statistics.class_counts import COUNTED, check_min_count, positive_counts
from imb_det.statistics.class_stats import ClassStats
from imb_det.statistics.class_vector import ClassVector

from .base import ImbalanceLoss
from .links import SigmoidWithObjectnessLink
from .terms import Call, Terms

__all__ = ["ECMLoss"]


class _MarginLink(SigmoidWithObjectnessLink):
    """The margins are a prior already: no bias at the start."""

    start_bias = None


@MODELS.register_module()
class ECMLoss(ImbalanceLoss):
    r"""Effective class margins: for each class, and background, one and a weight.

    .. math:: L = \sum_c w_c\, \mathrm{BCE}\left(\sigma(2 z_c + m_c), y_c\right), \quad
              m_c = \tfrac14 \log\frac{n_c}{N - n_c}, \quad
              w_c = a_c \log\frac{1 + a_c}{a_c}, \quad a_c = \frac{N - n_c}{n_c}

    Background is one of the C + 1 outputs and has ``bg_ratio`` times as many examples
    as all classes. Predictions are :math:`\sigma(z_c) (1 - \sigma(z_{bg}))`. There is
    nothing to tune; on a long tail all weights of classes are close to 1, that of
    background is 0.31.

    Args:
        counts: Examples n of a class: its ``'images'``, as the authors', or its
            ``'instances'``. Default ``'images'``.
        bg_ratio: Examples of background for each of a class, > 0. Default 6.3313, which
            the authors measured in Mask R-CNN.
        min_count: What a class counts as at least; None refuses classes without
            examples. Default None.
        use_sigmoid: Must be True. Default True.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: At construction for an argument; when training starts
            for a class without examples.

    Source: Hyun Cho and Krähenbühl, "Long-tail Detection with Effective Class-Margins",
    ECCV 2022, with the margin of the authors' code. Their recipe has a cosine
    classifier and mask predictor, and RFS.
    """

    def __init__(
        self,
        counts: str = "images",
        bg_ratio: float = 6.3313,
        min_count: float | None = None,
        use_sigmoid: bool = True,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
    ) -> None:
        name = type(self).__name__
        check_choice(name, "use_sigmoid", use_sigmoid, (True,))
        check_choice(name, "counts", counts, COUNTED)
        super().__init__(True, reduction, loss_weight, compiled)
        check_number(name, "bg_ratio", bg_ratio, 0, None, open_ends=True)
        check_min_count(name, min_count)
        self.link = _MarginLink()
        rule = partial(_odds, name, counts, min_count, float(bg_ratio))
        self.odds = ClassVector(
            name, "counts", counts, rules={counts: rule}, with_background=True
        )

    def terms(self, call: Call) -> Terms:
        """Return margins and weights of classes and background."""
        odds = self.odds(call.num_classes, call.cls_score).double()
        against = 1 / odds
        weight = against * torch.log1p(odds)
        return Terms(
            scale=odds.new_tensor(2.0),
            offset=odds.log() / 4,
            positive=weight,
            negative=weight,
        )


def _odds(
    owner: str,
    by: str,
    min_count: float | None,
    bg_ratio: float,
    stats: ClassStats,
) -> np.ndarray:
    """Return n / (N - n) of classes and background, (C + 1,)."""
    counts = positive_counts(owner, stats, by, min_count)
    everything = np.append(counts, bg_ratio * counts.sum())
    return everything / (everything.sum() - everything)
