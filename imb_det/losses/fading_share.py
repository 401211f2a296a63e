"""Which share of a loss is another one, and what both predict together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from imb_det.core import check_number, is_number
from imb_det.statistics.exact_buffers import ExactBuffers

from .links import (
    GumbelLink,
    Link,
    SigmoidLink,
    SigmoidWithBackgroundLink,
    SigmoidWithObjectnessLink,
    SoftmaxLink,
    SoftmaxWithObjectnessLink,
)

__all__ = ["FadingLink", "Share", "read_shares"]

#: Links whose probabilities follow from the logits alone.
_WITHOUT_STATE = (
    GumbelLink,
    SigmoidLink,
    SigmoidWithBackgroundLink,
    SigmoidWithObjectnessLink,
    SoftmaxLink,
    SoftmaxWithObjectnessLink,
)
_EXAMPLE = "share=dict(stages=dict(plain=0, fading=(0, 1), rare=1))"


def read_shares(owner: str, share: Any) -> dict[str | None, tuple[float, float]]:
    """Return where the share begins and ends by stage; by None without stages.

    Args:
        owner: Name of the loss, for messages.
        share: ``dict(stages={name: number or pair})``, or a pair.

    Raises:
        TypeError, ValueError: No such form, or numbers outside of [0, 1].
    """
    if not isinstance(share, Mapping):
        if is_number(share):
            raise TypeError(
                f"{owner}: `share` must be a pair, such as (0, 1), or by stage "
                f"`{_EXAMPLE}`, got {share!r}"
            )
        return {None: _span(owner, share)}
    stages = share.get("stages")
    if set(share) != {"stages"} or not isinstance(stages, Mapping) or not stages:
        raise ValueError(f"{owner}: `share` must be such as `{_EXAMPLE}`, got {share}")
    return {str(name): _span(owner, one) for name, one in stages.items()}


def _span(owner: str, share: Any) -> tuple[float, float]:
    """Return begin and end of a stage, checked."""
    pair = (share, share) if is_number(share) else share
    if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
        raise TypeError(
            f"{owner}: `share` of a stage must be a number or a pair, as in "
            f"`{_EXAMPLE}`, got {share!r}"
        )
    for number in pair:
        check_number(owner, "share", number, 0, 1)
    return float(pair[0]), float(pair[1])


class Share(ExactBuffers):
    """The share s of the second of two losses, as it is at this moment.

    Attributes:
        value: s, float64 scalar.
        in_use: Which of the losses have a share above 0.
    """

    value: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros((), dtype=torch.float64))
        self.in_use = (True, False)

    def set(self, share: float) -> None:
        """Take another one, in [0, 1]."""
        self.value.fill_(share)
        self.in_use = (share < 1, share > 0)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        if not self.value.is_meta:
            self.set(float(self.value))


class FadingLink(Link):
    r"""Probabilities of two links in their shares, :math:`(1 - s)\, p + s\, q`.

    Args:
        first: Of the loss that fades; it has the bias of the start.
        second: Of the loss that comes, with the same outputs.
        share: s.
    """

    def __init__(self, first: Link, second: Link, share: Share) -> None:
        super().__init__()
        self.use_sigmoid = first.use_sigmoid
        self.extra_channels = first.extra_channels
        self.start_bias = first.start_bias
        # In a tuple, as their losses hold them already: one entry in a checkpoint.
        self._parts = (first, second, share)

    @classmethod
    def of(cls, first: Link, second: Link, share: Share) -> Link:
        """Return the link of both: the first, where they are one and the same."""
        if type(first) is type(second) and type(first) in _WITHOUT_STATE:
            return first
        return cls(first, second, share)

    def probabilities(self, cls_score: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return those of both, added."""
        first, second, share = self._parts
        pairs = zip(
            first.probabilities(cls_score),
            second.probabilities(cls_score),
            strict=True,
        )
        classes, background = (
            None if a is None or b is None else a.lerp(b, share.value.to(a.dtype))
            for a, b in pairs
        )
        if classes is None:
            raise TypeError("links have probabilities of their classes")
        return classes, background
