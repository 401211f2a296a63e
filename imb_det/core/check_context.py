"""What checks look at before a training, a validation or a test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from torch import nn

from .finding import Finding

if TYPE_CHECKING:
    from imb_det.statistics.class_stats import ClassStats

__all__ = [
    "Check",
    "CheckContext",
    "FigureSource",
    "HookWaiter",
    "ProposalTaker",
    "SelfChecking",
]


@dataclass(frozen=True)
class CheckContext:
    """The parts of a runner, or of a config, that checks look at.

    Args:
        model: Below its wrapper. Default: None.
        datasets: Built data sets, wrapped in any way, by ``train``, ``val`` and
            ``test``; those that will be used. Default: none.
        metrics: Built metrics, by ``val`` and ``test``. Default: none.
        components: Everything that may listen: modules of the model and of moving
            averages, samplers, transforms, metrics, hooks. Default: none.
        hooks: In the order of the runner. Default: none.
        train_loop: Loop of the training to come. Default: None, there is none.
        param_schedulers: Built schedulers of the training, a list or a dict of lists.
            Default: None.
        val_loop: Loop of the validation to come. Default: None, there is none.
        train_dataloader: Loader of the training to come. Default: None.
        class_stats: Counts of the training set, where they are known. Default: None.
        look_at_images: Whether image files are to be opened. Default: True.
    """

    model: nn.Module | None = None
    datasets: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    components: Sequence[Any] = ()
    hooks: Sequence[Any] = ()
    train_loop: Any = None
    param_schedulers: Any = None
    val_loop: Any = None
    train_dataloader: Any = None
    class_stats: ClassStats | None = None
    look_at_images: bool = True


class Check(Protocol):
    """A function that looks at one matter."""

    __name__: str

    def __call__(self, context: CheckContext) -> Iterable[Finding]:
        """Yield what is wrong; nothing where the matter does not arise."""


@runtime_checkable
class FigureSource(Protocol):
    """A metric that knows which figures it will report."""

    def check_watched(self, keys: Sequence[str]) -> None:
        """Raise ValueError if one of the figures is its own and will not come."""


@runtime_checkable
class HookWaiter(Protocol):
    """A component that a training must have certain hooks for."""

    @property
    def awaited_hooks(self) -> Mapping[str, str]:
        """Names of the classes of hooks, each with what it is awaited for."""


@runtime_checkable
class ProposalTaker(Protocol):
    """A box head that cannot do with every sampler of proposals."""

    def check_sampler(self, sampler: Any) -> None:
        """Raise ValueError if the config of the sampler does not suit it."""


@runtime_checkable
class SelfChecking(Protocol):
    """A component that knows best what it needs."""

    def findings(self, context: CheckContext) -> Iterable[Finding]:
        """Yield what is wrong with it in this training, validation or test."""
