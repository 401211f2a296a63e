"""Box heads with several classifiers on the same features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.roi_heads.bbox_heads import (
    ConvFCBBoxHead,
    Shared2FCBBoxHead,
    Shared4Conv1FCBBoxHead,
)

from imb_det.registry import MODELS

from .expert_losses import ExpertLosses

__all__ = [
    "MultiExpertConvFCBBoxHead",
    "MultiExpertHead",
    "MultiExpertShared2FCBBoxHead",
    "MultiExpertShared4Conv1FCBBoxHead",
]


class MultiExpertHead:
    r"""Mixin for box heads of mmdet: K classifiers, each with a loss of its own.

    .. math:: L_{cls} = \sum_k L_k(z_k), \qquad
              p = \mathrm{softmax}\left(\sum_k w_k z_k\right)
              \text{ or } \sum_k w_k\, p_k

    One expert learns frequent classes best, another rare ones, and the mean of both
    loses less than either. The rows of the experts lie one after the other in
    ``fc_cls``; with one expert it is the plain head, bit for bit.

    Args:
        *args: Of the head.
        losses: K classification losses of the library, all with a softmax or all with
            sigmoids, each with its ``loss_weight``.
        average: What is averaged in prediction, ``'logits'`` or ``'probabilities'``.
            Default ``'logits'``.
        weights: w of the experts in prediction, numbers >= 0 that are divided by their
            sum. Default None, all the same.
        loss_cls: None; ``losses`` stands in its place, and a config that inherits one
            must say so. Default None.
        **kwargs: Of the head.

    Raises:
        TypeError, ValueError: ``loss_cls`` is given, or losses, ``average`` or
            ``weights`` are none of these.
    """

    def __init__(
        self,
        *args: Any,
        losses: Sequence[Any],
        average: str = "logits",
        weights: Sequence[float] | None = None,
        loss_cls: None = None,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        if loss_cls is not None:
            raise ValueError(
                f"{name}: `loss_cls` must be None, as the experts have `losses`; write "
                f"`loss_cls=None` where a config inherits one, got {loss_cls!r}"
            )
        config = dict(type=ExpertLosses, owner=name, losses=losses)
        config.update(average=average, weights=weights)
        kwargs["loss_cls"] = config
        super().__init__(*args, **kwargs)

    @torch.no_grad()
    def init_weights(self) -> None:
        """Start as the head does, each expert at the bias that its loss names."""
        super().init_weights()  # type: ignore[misc]
        bias = self.fc_cls.bias  # type: ignore[attr-defined]
        for loss, part in zip(
            self.loss_cls.experts,  # type: ignore[attr-defined]
            self.loss_cls.of_experts(bias) if bias is not None else (),  # type: ignore[attr-defined]
            strict=bias is not None,
        ):
            if loss.link.start_bias is not None:
                part.fill_(loss.link.start_bias)


@MODELS.register_module()
class MultiExpertConvFCBBoxHead(MultiExpertHead, ConvFCBBoxHead):
    """``ConvFCBBoxHead`` with several classifiers.

    Args:
        *args: As mmdet's class.
        **kwargs: As mmdet's class, and as :class:`MultiExpertHead`.
    """


@MODELS.register_module()
class MultiExpertShared2FCBBoxHead(MultiExpertHead, Shared2FCBBoxHead):
    """``Shared2FCBBoxHead`` with several classifiers.

    Args:
        *args: As mmdet's class.
        **kwargs: As mmdet's class, and as :class:`MultiExpertHead`.

    Example:
        >>> bbox_head = dict(
        ...     type="imb_det.MultiExpertShared2FCBBoxHead",
        ...     loss_cls=None,
        ...     losses=[
        ...         dict(type="imb_det.CrossEntropyLoss"),
        ...         dict(type="imb_det.LogitAdjustmentLoss", tau=1.0),
        ...         dict(type="imb_det.LogitAdjustmentLoss", tau=2.0),
        ...     ],
        ... )

    Source: Wang et al., "Long-tailed Recognition by Routing Diverse Distribution-Aware
    Experts" (RIDE), ICLR 2021, and Zhang et al., "Self-Supervised Aggregation of
    Diverse Experts" (SADE), NeurIPS 2022, whose three experts are those of the example.
    Deviations: no routing, no loss of diversity, no weights from test images; experts
    share all layers but the last.
    """


@MODELS.register_module()
class MultiExpertShared4Conv1FCBBoxHead(MultiExpertHead, Shared4Conv1FCBBoxHead):
    """``Shared4Conv1FCBBoxHead`` with several classifiers.

    Args:
        *args: As mmdet's class.
        **kwargs: As mmdet's class, and as :class:`MultiExpertHead`.
    """
