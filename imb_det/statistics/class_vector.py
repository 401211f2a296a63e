"""A number for each class, from whatever a config gives."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from imb_det.core import Stage

from .class_spec import ClassSpec, Rule, Rules
from .class_stats import ClassStats
from .exact_buffers import ExactBuffers

__all__ = ["ClassVector"]

_STATS_LINE = "`custom_hooks = [dict(type='imb_det.ImbalanceHook')]`"
_HOOKS = re.compile(r"type='imb_det\.(\w+Hook)'")


class ClassVector(ExactBuffers):
    """Numbers of the classes: weights, margins, priors, thresholds and the like.

    Components are built without knowing the classes. So the numbers are checked and
    computed when the class statistics come, and a checkpoint brings them at any length.
    Numbers that the config gives outright are no part of checkpoints: the config wins.

    Args:
        owner: Name of the component, for messages.
        name: Name of its argument, for messages.
        spec: None, where nothing is to be done; a number for all classes; C numbers in
            the order of the classes; a dict of numbers by class name; the name of a
            rule, or ``dict(rule=name, option=...)``; or ``dict(stages={'plain': spec,
            ...})``, one of these for each stage of the training.
        rules: Functions of the class statistics by the name of the rule; one with a
            method ``with_options(**options)``, which returns another, has options.
            Default: none.
        default: Of classes that a dict does not name. Default 1.
        low: Least number. Default 0.
        high: Largest number; None for any. Default None.
        open_ends: Whether the ends themselves are too low or too high. Default False.
        with_background: Whether C + 1 numbers may be given, background last. Default
            False.
        told_by: Config line of what hands the numbers over, with :meth:`tell`, where
            neither config nor counts give them. Default None.

    Raises:
        TypeError, ValueError: No such form, rule or number; the message has the owner,
            the name, what was given and what is valid.

    Attributes:
        value: The numbers, float32 (C,), scalar, or empty before they are known; None
            without any.

    Example:
        >>> weights = ClassVector("Loss", "class_weight", {"bee": 3.0})
        >>> weights.set_class_stats(ClassStats(("ant", "bee"), [1, 1], [1, 1], 2))
        >>> weights(2)
        tensor([1., 3.])
    """

    value: Tensor | None

    def __init__(
        self,
        owner: str,
        name: str,
        spec: Any = None,
        *,
        rules: Rules | None = None,
        default: float = 1.0,
        low: float = 0,
        high: float | None = None,
        open_ends: bool = False,
        with_background: bool = False,
        told_by: str | None = None,
    ) -> None:
        super().__init__()
        self.form = ClassSpec(
            owner, name, rules or {}, default, low, high, open_ends, with_background
        )
        self.owner, self.name = owner, name
        self.with_background = with_background
        self.told_by = told_by
        self.told = False
        self._stats: ClassStats | None = None
        self.stage: str | None = None
        self.specs = self.form.read_all(spec)
        changes = bool(self.stage_names) or told_by is not None
        if self.spec is None and not changes:
            self.register_buffer("value", None)
        elif isinstance(self.spec, (float, list)) and not changes:
            numbers = torch.tensor(self.spec, dtype=torch.float32)
            self.register_buffer("value", numbers, persistent=False)
        else:
            self.register_buffer("value", torch.empty(0))

    # What the config gives.

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Stages that the config names, none where the numbers stay the same."""
        return tuple(name for name in self.specs if name is not None)

    @property
    def spec(self) -> Any:
        """What the config gives for the present stage; None before the first one."""
        return self.specs.get(self.stage)

    @property
    def has_rule(self) -> bool:
        """Whether a rule on the counts makes the numbers, of some stage at least."""
        return any(isinstance(spec, (str, Rule)) for spec in self.specs.values())

    @property
    def balances_by(self) -> str | None:
        """What it weighs classes by: ``'counts'`` where a rule makes the numbers."""
        return "counts" if self.has_rule else None

    @property
    def by_class(self) -> bool:
        """Whether classes may have numbers of their own, in some stage at least."""
        specs = self.specs.values()
        return self.told_by is not None or not all(
            spec is None or isinstance(spec, float) for spec in specs
        )

    @property
    def awaited_hooks(self) -> Mapping[str, str]:
        """Hooks without which the numbers never come, see ``HookWaiter``."""
        awaited = {}
        if any(isinstance(spec, (str, dict, Rule)) for spec in self.specs.values()):
            awaited["ImbalanceHook"] = f"`{self.name}` goes by the classes"
        for hook in _HOOKS.findall(self.told_by or ""):
            awaited[hook] = f"`{self.name}` is handed over"
        return awaited

    def by_rules(self) -> Iterator[tuple[Any, np.ndarray, ClassStats]]:
        """Yield each rule of the config, its numbers, and the counts behind them."""
        if self._stats is not None:
            for spec in self.specs.values():
                if isinstance(spec, (str, Rule)):
                    yield spec, self.form.numbers(spec, self._stats), self._stats

    # What hands numbers over.

    def set_class_stats(self, stats: ClassStats) -> None:
        """Check the numbers against the classes, or compute them.

        Args:
            stats: Of the training set.

        Raises:
            ValueError: Another number of them, or a name that is no class; the message
                lists the classes.
        """
        for spec in self.specs.values():
            self.form.check(spec, stats)
        self._stats = stats
        if self.stage is not None or not self.stage_names:
            self._fill()

    def set_stage(self, stage: Stage) -> None:
        """Change to the numbers of a stage.

        Raises:
            ValueError: The config gives none for it.
        """
        if not self.stage_names:
            return
        if stage.name not in self.specs:
            raise ValueError(
                f"{self.owner}: `{self.name}` names the stages {self.stage_names}, "
                f"but the training enters {stage.name!r}"
            )
        self.stage = stage.name
        self._fill()

    @torch.no_grad()
    def tell(self, numbers: Tensor | np.ndarray | None) -> None:
        """Take the numbers from now on, (C,); None for no numbers.

        Raises:
            ValueError: Another shape, or numbers that are out of range or none; they
                are listed.
        """
        told = torch.empty(0) if numbers is None else torch.as_tensor(numbers)
        giver = f"{self.owner}: what hands `{self.name}` over"
        if told.dim() > 1:
            raise ValueError(
                f"{giver} gives {tuple(told.shape)}, and it must be one number a class"
            )
        if not told.is_meta:
            names: Sequence[object] = range(told.numel())
            if self._stats is not None and told.numel() == self._stats.num_classes:
                names = self._stats.classes
            self.form.check_numbers(giver, told.double().cpu().numpy(), names)
        self._set(told)
        self.told = True

    def _fill(self) -> None:
        """Compute the numbers of the present stage, where all is known."""
        spec, stats = self.spec, self._stats
        if spec is None or isinstance(spec, (float, list)):
            if self.stage_names:
                numbers = self.form.default if spec is None else spec
                self._set(torch.tensor(numbers, dtype=torch.float32))
            return
        if stats is None:
            return
        values = self.form.numbers(spec, stats)
        self._set(torch.as_tensor(values))
        low, high = int(values.argmin()), int(values.argmax())
        names = [*stats.classes, "background"]
        stage = f" in stage {self.stage!r}" if self.stage else ""
        print_log(
            f"{self.owner}: {self.name.replace('_', ' ')} from {values[low]:.3g} "
            f"({names[low]!r}) to {values[high]:.3g} "
            f"({names[high]!r}){stage}",
            logger="current",
        )

    @torch.no_grad()
    def _set(self, numbers: Tensor) -> None:
        """Fill the buffer, in place where it has the length already."""
        if self.value is not None and self.value.shape == numbers.shape:
            self.value.copy_(numbers)
        else:
            like = torch.empty(0) if self.value is None else self.value
            self.value = numbers.detach().to(like, copy=True)

    # What components ask for.

    def forward(self, num_classes: int, like: Tensor | None = None) -> Tensor | None:
        """Return the numbers.

        Args:
            num_classes: C of the head that asks.
            like: A tensor of the device where they are wanted.

        Returns:
            Float32 (C,), as given (C + 1,) with background, or scalar; None for no
            numbers at all.

        Raises:
            RuntimeError: They were never handed over; names the line that is missing.
            ValueError: They are for another number of classes.
        """
        if self.value is None:
            return None
        if self.told_by is not None and self.training and not self.told:
            raise RuntimeError(
                f"{self.owner}: nothing hands `{self.name}` over; add {self.told_by} "
                "to the config"
            )
        if self.training and self.stage_names and self.stage is None:
            raise RuntimeError(
                f"{self.owner}: `{self.name}` changes with the stages "
                f"{self.stage_names}, but nothing tells the stage; add "
                "`dict(type='imb_det.StageHook', stages=[...])` to `custom_hooks`"
            )
        unknown = self.value.dim() == 1 and len(self.value) == 0
        if unknown and self.told_by is not None:
            return None
        # In a later stage the numbers that are there are those of the one before.
        waits = self.training and self.stage_names and self._stats is None
        if unknown or (waits and isinstance(self.spec, (str, dict, Rule))):
            raise RuntimeError(
                f"{self.owner}: `{self.name}={self.spec!r}` needs the classes of the "
                f"training set; add {_STATS_LINE} to the config"
            )
        value = self.value if like is None else self.value.to(like.device)
        # Not as `in` a tuple, which compilers of symbolic sizes take for False.
        n, with_background = value.numel(), num_classes + int(self.with_background)
        if value.dim() and n != num_classes and n != with_background:
            raise ValueError(
                f"{self.owner}: `{self.name}` has {len(value)} numbers, but the head "
                f"has {num_classes} classes"
            )
        return value

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        key = prefix + "value"
        if key in state_dict and "value" in self._saved():
            loaded, like = state_dict[key], self.value
            if like is not None and like.shape != loaded.shape:
                self.value = like.new_empty(loaded.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _saved(self) -> set[str]:
        """Names of the buffers that checkpoints hold."""
        return set(self._buffers) - self._non_persistent_buffers_set
