"""Losses around another loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from imb_det.core import check_choice, check_number
from imb_det.registry import MODELS

from .base import ImbalanceLoss
from .links import Link
from .observed import Observed
from .reduction import REDUCTIONS, Unreduced
from .terms import Call

__all__ = ["AS_INSIDE", "InnerLoss", "LossWrapper", "inner_loss"]

#: Config of a loss, or the loss itself.
InnerLoss = Mapping[str, Any] | ImbalanceLoss

#: For ``takes_factor`` of a wrapper that only changes what the loss inside is told.
AS_INSIDE = property(lambda self: self.loss.takes_factor)

_SHARED = dict(
    use_sigmoid=(True, False), reduction=REDUCTIONS, compiled=(True, False, "auto")
)
#: What others read from a loss as a fact of its kind.
_FACTS = (
    "own_normaliser",
    "observes",
    "needs_cosines",
    "of_rows",
    "activated",
    "needs_classes",
)


class LossWrapper(ImbalanceLoss):
    """Base of losses that change what another loss is told, or what it returns.

    A wrapper is a loss like any other: heads find the number of outputs, activation and
    accuracy of the loss inside, hooks reach its statistics, stages and numbers of the
    classes, checkpoints have them below ``loss.``, and it can be wrapped once more.

    The arguments that all losses share may stand in the wrapper or in the loss inside,
    which gets them. Dense heads read ``use_sigmoid`` from the wrapper.

    Subclasses change :meth:`unreduced`, and :attr:`link` where they predict otherwise.

    Args:
        loss: Config of a classification loss of the library, or one.
        use_sigmoid: Of the loss inside. Default None, what it says itself.
        reduction: Of the loss inside. Default None, what it says itself.
        loss_weight: Of the loss inside. Default None, what it says itself.
        compiled: Of the loss inside. Default None, what it says itself.

    Raises:
        TypeError: ``loss`` is none of these losses.
        ValueError: The loss inside says something else of an argument.
    """

    def __init__(
        self,
        loss: InnerLoss,
        use_sigmoid: bool | None = None,
        reduction: str | None = None,
        loss_weight: float | None = None,
        compiled: bool | str | None = None,
    ) -> None:
        nn.Module.__init__(self)
        name = type(self).__name__
        shared = dict(
            use_sigmoid=use_sigmoid,
            reduction=reduction,
            loss_weight=loss_weight,
            compiled=compiled,
        )
        given = {key: value for key, value in shared.items() if value is not None}
        for key, value in given.items():
            if key == "loss_weight":
                check_number(name, key, value, 0, None)
            else:
                check_choice(name, key, value, _SHARED[key])
        self.loss = inner_loss(name, loss, given)
        for key in shared:
            setattr(self, key, getattr(self.loss, key))
        for fact in _FACTS:
            setattr(self, fact, getattr(self.loss, fact, False))
        self.roi_channels = self.loss.roi_channels

    @property
    def link(self) -> Link:  # type: ignore[override]
        """The link of the loss inside."""
        return self.loss.link

    def get_cls_channels(self, num_classes: int) -> int:
        """Return the channels of an RoI head, which the loss inside learns too."""
        self.roi_channels = self.loss.get_cls_channels(num_classes)
        return self.roi_channels

    def unreduced(self, cls_score: Tensor, call: Call, per_row: bool) -> Unreduced:
        """Return what the loss inside is."""
        return self.loss.unreduced(cls_score, call, per_row)

    def observe(self, call: Call, seen: Observed, factor: Tensor | float) -> None:
        """Let the loss inside learn."""
        self.loss.observe(call, seen, factor)

    def require_softmax(self, why: str) -> None:
        """Refuse a loss inside that is not one softmax over classes and background.

        Args:
            why: What the wrapper does, for the message.

        Raises:
            ValueError: It is not; names losses that are.
        """
        if self.loss.link.one_softmax:
            return
        kind = type(self.loss).__name__
        form = " with `use_sigmoid=True`" * self.loss.use_sigmoid
        raise ValueError(
            f"{type(self).__name__} {why}, so it needs a loss with one softmax over "
            f"classes and background, which {kind}{form} has not: "
            "`loss=dict(type='imb_det.CrossEntropyLoss', use_sigmoid=False)`, or "
            "imb_det's VSLoss, LDAMLoss, CDBLoss, IIFLoss or AlphaLoss"
        )


def inner_loss(
    owner: str, loss: InnerLoss, given: dict[str, Any], argument: str = "loss"
) -> ImbalanceLoss:
    """Build a loss inside of another one, with what that says of it.

    Args:
        owner: Name of the outer loss.
        loss: Config of the inner one, or the loss itself.
        given: Arguments that stand in the outer loss.
        argument: Of the outer loss, for messages. Default ``'loss'``.

    Raises:
        TypeError: It is no classification loss of the library.
        ValueError: It says something else of these arguments.
    """
    valid = (
        f"{owner}: `{argument}` must be a classification loss of imb_det, such as "
        "`loss=dict(type='imb_det.CrossEntropyLoss')`"
    )
    if isinstance(loss, Mapping):
        if "type" not in loss:
            raise TypeError(f"{valid}, got a dict without `type`: {dict(loss)}")
        kind = loss["type"]
        found = kind
        if isinstance(kind, str):
            # Where it will be built: without a scope it is mmdet's in an mmdet config.
            with MODELS.switch_scope_and_registry(None) as registry:
                found = registry.get(kind)
        if isinstance(found, type) and not issubclass(found, ImbalanceLoss):
            place = found.__module__.partition(".")[0]
            raise TypeError(f"{valid}, got {found.__name__} of {place}")
        for key, value in given.items():
            if loss.get(key, value) != value:
                _contradict(owner, key, value, loss[key])
        loss = MODELS.build({**loss, **given})
    elif isinstance(loss, ImbalanceLoss):
        for key, value in given.items():
            if getattr(loss, key) != value:
                _contradict(owner, key, value, getattr(loss, key))
    if not isinstance(loss, ImbalanceLoss):
        raise TypeError(f"{valid}, got {type(loss).__name__}")
    return loss


def _contradict(owner: str, key: str, outside: Any, inside: Any) -> None:
    raise ValueError(
        f"{owner}: `{key}={outside!r}`, but the loss inside has `{key}={inside!r}`; "
        f"write `{key}` once, into {owner}"
    )
