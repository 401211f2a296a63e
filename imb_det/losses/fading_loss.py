"""One loss that fades into another while the detector trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from imb_det.core import Stage, check_choice
from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.core.stage_lengths import StageLengths
from imb_det.registry import MODELS

from .base import ImbalanceLoss
from .fading_share import FadingLink, Share, read_shares
from .links import Link
from .observed import Observed
from .reduction import Unreduced
from .terms import Call
from .wrapper import InnerLoss, inner_loss

__all__ = ["FadingLoss"]


class _Both(NamedTuple):
    """What the two losses are before they are reduced; None for one that rests."""

    first: Unreduced | None
    second: Unreduced | None


@MODELS.register_module()
class FadingLoss(ImbalanceLoss):
    r"""A loss that goes over into another one, at once or little by little.

    .. math:: L = (1 - s)\, L_{first} + s\, L_{second}

    The share s follows from the stage of the training and from what part of it is over
    (``imb_det.StageHook``), so that all calls of a step see the same one, and a
    training that resumes goes on with it. Where s is 0 or 1 the other loss rests: it
    costs nothing, and its running statistics learn nothing.

    Predictions are those of both losses in the same proportion,
    :math:`(1 - s)\, p_{first} + s\, p_{second}`, which is one probability where both
    make it of the logits in the same way. A classifier starts at the bias of the first.

    Args:
        losses: Two classification losses of the library, configs or built. They must
            have the same outputs and both use a sigmoid or both a softmax. Their
            ``loss_weight`` counts.
        share: s by stage, ``dict(stages=dict(plain=0, fading=(0, 1), rare=1))``: a
            number in [0, 1], or two, between which it goes in a line from the first
            iteration of the stage to its end. Without stages a pair alone, over the
            whole training, which then has one stage. Default (0, 1).
        use_sigmoid: Of both losses. Default None, what they say themselves. In dense
            heads the config must say it.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the losses; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range, or two
            losses that have not the same outputs.
        RuntimeError: In the first training step, without ``imb_det.StageHook``, where
            ``imb_det.ImbalanceHook`` has not asked for it before.

    Example:
        >>> import torch
        >>> losses = [
        ...     dict(type="imb_det.CrossEntropyLoss", use_sigmoid=False),
        ...     dict(type="imb_det.VSLoss", prior=[8.0, 1.0], gamma=0.0),
        ... ]
        >>> loss = FadingLoss(losses).eval()  # in a training the hook tells the share
        >>> score, label = torch.zeros(1, 3), torch.tensor([1])
        >>> for share in (0.0, 0.5):  # log 3, and its mean with log 18
        ...     loss.share.set(share)
        ...     print(loss(score, label, avg_factor=1))
        tensor(1.0986)
        tensor(1.9945)

    Source: ours. For a softmax it is the cumulative learning of Zhou et al., "BBN",
    CVPR 2020, with losses in place of branches and a line in place of a parabola.
    """

    link: Link

    def __init__(
        self,
        losses: Sequence[InnerLoss],
        share: Sequence[float] | Mapping[str, Any] = (0.0, 1.0),
        use_sigmoid: bool | None = None,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
    ) -> None:
        name = type(self).__name__
        check_choice(name, "use_sigmoid", use_sigmoid, (True, False, None))
        super().__init__(bool(use_sigmoid), reduction, loss_weight, compiled)
        if isinstance(losses, (str, Mapping, nn.Module)) or len(losses) != 2:
            kind = type(losses).__name__
            many = f" of {len(losses)}" if isinstance(losses, (list, tuple)) else ""
            raise TypeError(f"{name}: `losses` must be two losses, got a {kind}{many}")
        given: dict[str, Any] = dict(reduction=reduction, compiled=compiled)
        if use_sigmoid is not None:
            given["use_sigmoid"] = use_sigmoid
        first, second = (
            inner_loss(name, loss, given, f"losses[{index}]")
            for index, loss in enumerate(losses)
        )
        _check_pair(name, first, second)
        self.use_sigmoid = first.use_sigmoid
        self.spans = read_shares(name, share)
        self.first, self.second = first, second
        self.share = Share()
        self.link = FadingLink.of(first.link, second.link, self.share)
        self.observes = first.observes or second.observes
        self.of_rows, self.activated = first.of_rows, first.activated
        self.needs_classes = first.needs_classes or second.needs_classes
        self.needs_cosines = any(
            getattr(loss, "needs_cosines", False) for loss in (first, second)
        )
        self._span: tuple[float, float] | None = None  # in the stage of the moment

    # What the hook of the stages tells.

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Stages that the config names, none where there is to be but one."""
        return tuple(name for name in self.spans if name is not None)

    def findings(self, context: CheckContext) -> Iterator[Finding]:
        """Yield that nothing tells the stage; where stages have names a check does."""
        told = any(
            isinstance(getattr(hook, "stages", None), StageLengths)
            for hook in context.hooks
        )
        if "train" in context.datasets and not told and not self.stage_names:
            pair = f"{type(self.first).__name__} into {type(self.second).__name__}"
            yield Finding(
                "fading_stage",
                Severity.ERROR,
                "nothing tells a loss how much of the training is over",
                type(self).__name__,
                f"{pair}, and there is no `StageHook`",
                "Add `dict(type='imb_det.StageHook', stages=[dict(name='fading')])` to "
                "`custom_hooks`",
            )

    def set_stage(self, stage: Stage) -> None:
        """Enter a stage.

        Raises:
            ValueError: The config has no share for it.
        """
        name = type(self).__name__
        key = stage.name if self.stage_names else None
        if key not in self.spans:
            raise ValueError(
                f"{name}: `share` names the stages {self.stage_names}, but the "
                f"training enters {stage.name!r}"
            )
        if key is None and len(stage.names) > 1:
            stages = ", ".join(f"{one}=0.0" for one in stage.names)
            raise ValueError(
                f"{name}: `share` is for one stage, but the training has "
                f"{stage.names}; write `share=dict(stages=dict({stages}))` with a "
                "number or a pair for each"
            )
        self._span = self.spans[key]
        begin, end = self._span
        if begin == end:  # else a test keeps the share of its checkpoint
            self.share.set(begin)
        print_log(
            f"{name}: share of {type(self.second).__name__} "
            + (f"{begin:g}" if begin == end else f"from {begin:g} to {end:g}")
            + f", the rest {type(self.first).__name__}, in stage {stage.name!r}",
            logger="current",
        )

    def set_stage_progress(self, progress: float) -> None:
        """Take the share of the stage that is over."""
        if self._span is not None:
            begin, end = self._span
            self.share.set(begin + (end - begin) * progress)

    # What heads ask for, and the path of every call.

    def get_cls_channels(self, num_classes: int) -> int:
        """Return the channels of an RoI head, which both losses learn too."""
        for loss in (self.first, self.second):
            self.roi_channels = loss.get_cls_channels(num_classes)
        return super().get_cls_channels(num_classes)

    @property
    def takes_factor(self) -> bool:  # type: ignore[override]
        """Whether both losses do."""
        return self.first.takes_factor and self.second.takes_factor

    def unreduced(self, cls_score: Tensor, call: Call, per_row: bool) -> Unreduced:
        """Return what both losses are, in their shares."""
        if self.training and self._span is None:
            stages = ", ".join(f"dict(name={one!r}, ...)" for one in self.stage_names)
            raise RuntimeError(
                f"{type(self).__name__}: nothing tells the stage of the training; add "
                "`custom_hooks = [dict(type='imb_det.ImbalanceHook'), "
                f"dict(type='imb_det.StageHook', stages=[{stages or 'dict(name=...)'}"
                "])]` to the config"
            )
        found = [
            loss.unreduced(cls_score, call, per_row) if is_on else None
            for loss, is_on in zip(
                (self.first, self.second), self.share.in_use, strict=True
            )
        ]
        both = _Both(*found)
        values = [
            loss.loss_weight * part.loss
            for loss, part in zip((self.first, self.second), both, strict=True)
            if part is not None
        ]
        value = values[0]
        if len(values) == 2:
            value = torch.lerp(value, values[1], self.share.value.to(value.dtype))
        some = any(part is not None and part.seen is not None for part in both)
        # Handed back to `observe` as it is.
        seen = cast("Observed", both) if some else None
        return Unreduced(value, None, call, seen)

    def observe(self, call: Call, seen: Observed, factor: Tensor | float) -> None:
        """Let the losses that are in use learn."""
        both = cast("_Both", seen)
        share = self.share.value
        shares = (1 - share, share)
        parts = zip((self.first, self.second), both, shares, strict=True)
        for loss, part, share in parts:
            if part is not None and part.seen is not None:
                loss.observe(part.call, part.seen, factor * loss.loss_weight * share)


# What both losses must do, or neither.
_ALIKE = {
    "activated": "takes probabilities (`activated=True`)",
    "of_rows": "is a loss of rows in dense heads",
}


def _check_pair(owner: str, first: ImbalanceLoss, second: ImbalanceLoss) -> None:
    """Refuse losses that one classifier cannot serve both."""
    kinds = [type(loss).__name__ for loss in (first, second)]
    if first.use_sigmoid != second.use_sigmoid:
        words = ["sigmoid" if x.use_sigmoid else "softmax" for x in (first, second)]
        raise ValueError(
            f"{owner}: {kinds[0]} trains a {words[0]} and {kinds[1]} a {words[1]}, "
            "between which nothing can fade; write the same `use_sigmoid` in both"
        )
    extra = [loss.link.extra_channels for loss in (first, second)]
    if extra[0] != extra[1]:
        outputs = [f"C + {n}" if n else "C" for n in extra]
        raise ValueError(
            f"{owner}: {kinds[0]} has {outputs[0]} outputs and {kinds[1]} "
            f"{outputs[1]} for C classes; use two losses with the same outputs, such "
            "as `dict(type='imb_det.SeesawLoss', p=0, q=0)`, a softmax, before "
            "SeesawLoss, or `objectness=False` for EQLv2Loss beside a sigmoid loss"
        )
    for fact, does in _ALIKE.items():
        if getattr(first, fact) != getattr(second, fact):
            odd = kinds[bool(getattr(second, fact))]
            raise ValueError(
                f"{owner}: {odd} {does}, and the other loss does not: use two that do"
            )
    for loss, kind in zip((first, second), kinds, strict=True):
        if loss.own_normaliser:
            raise ValueError(
                f"{owner}: {kind} divides by a number of its own, which is not that of "
                "the other loss; use losses that heads average, such as "
                "`dict(type='imb_det.FocalLoss')`"
            )
