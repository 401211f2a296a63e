"""A number for each class, from whatever a config gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from imb_det.core import NUMBERS, Stage, check_number

from .class_stats import ClassStats

__all__ = ["ClassVector", "Rules"]

#: Numbers of the classes, (C,), by the name of the rule that makes them from counts.
Rules = Mapping[str, Callable[[ClassStats], Any]]

_STAGES = "stages"
_STATS_LINE = "`custom_hooks = [dict(type='imb_det.ImbalanceHook')]`"


class ClassVector(nn.Module):
    """Numbers of the classes: weights, margins, priors, thresholds and the like.

    Components are built without knowing the classes. So the numbers are checked and
    computed when the class statistics come, and a checkpoint brings them at any length.
    Numbers that the config gives outright are no part of checkpoints: the config wins.

    Args:
        owner: Name of the component, for messages.
        name: Name of its argument, for messages.
        spec: None, where nothing is to be done; a number for all classes; C numbers in
            the order of the classes; a dict of numbers by class name; the name of a
            rule; or ``dict(stages={'plain': spec, ...})``, one of these for each stage
            of the training.
        rules: Functions of the class statistics by the name of the rule. Default: none.
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
        low: float = 0.0,
        high: float | None = None,
        open_ends: bool = False,
        with_background: bool = False,
        told_by: str | None = None,
    ) -> None:
        super().__init__()
        self.owner, self.name = owner, name
        self.rules = dict(rules or {})
        self.default = default
        self._range: tuple[float, float | None, bool] = (low, high, open_ends)
        self.with_background = with_background
        self.told_by = told_by
        self.told = False
        self._stats: ClassStats | None = None
        self.stage: str | None = None
        self.specs: dict[str | None, Any] = self._read_all(spec)
        some = list(self.specs.values())
        fixed = len(some) == 1 and told_by is None
        if fixed and some[0] is None:
            self.register_buffer("value", None)
        elif fixed and isinstance(some[0], (float, list)):
            numbers = torch.tensor(some[0], dtype=torch.float32)
            self.register_buffer("value", numbers, persistent=False)
        else:
            self.register_buffer("value", torch.empty(0))

    # Reading what the config gives.

    def _read_all(self, spec: Any) -> dict[str | None, Any]:
        """Return what is given by stage; by None where there are no stages."""
        staged = isinstance(spec, Mapping) and set(spec) == {_STAGES}
        if not (staged and isinstance(spec[_STAGES], Mapping)):
            return {None: self._read(spec)}
        if not spec[_STAGES]:
            raise ValueError(f"{self.owner}: `{self.name}` has no stage, got {spec!r}")
        return {str(stage): self._read(one) for stage, one in spec[_STAGES].items()}

    def _read(self, spec: Any) -> Any:
        """Return None, a float, a list, a dict or a rule, checked."""
        low, high, open_ends = self._range

        def number(value: Any) -> float:
            check_number(self.owner, self.name, value, low, high, open_ends=open_ends)
            return float(value)

        if spec is None:
            return None
        if isinstance(spec, str):
            if spec not in self.rules:
                rules = f"one of the rules {tuple(self.rules)}, " * bool(self.rules)
                raise ValueError(
                    f"{self.owner}: `{self.name}` must be {rules}a number, a list or a "
                    f"dict by class name, got {spec!r}"
                )
            return spec
        if isinstance(spec, Mapping):
            return {str(key): number(value) for key, value in spec.items()}
        if isinstance(spec, NUMBERS) and not isinstance(spec, bool):
            return number(spec)
        if isinstance(spec, (Sequence, Tensor, np.ndarray)):
            plain = spec.tolist() if isinstance(spec, (Tensor, np.ndarray)) else spec
            return [number(value) for value in plain]
        raise TypeError(
            f"{self.owner}: `{self.name}` must be None, a number, a list, a dict by "
            f"class name{' or one of ' * bool(self.rules)}"
            f"{tuple(self.rules) or ''}, got {spec!r}"
        )

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
        """Whether any of it follows from the counts by a rule."""
        return any(isinstance(spec, str) for spec in self.specs.values())

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
            self._check(spec, stats)
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
        """Take the numbers from now on, (C,); None for no numbers."""
        if numbers is not None:
            self._set(torch.as_tensor(numbers))
        self.told = True

    def _check(self, spec: Any, stats: ClassStats) -> None:
        classes = stats.classes
        if isinstance(spec, dict) and (unknown := sorted(set(spec) - set(classes))):
            raise ValueError(
                f"{self.owner}: `{self.name}` names {unknown}, which are no classes; "
                f"the classes are {classes}"
            )
        lengths = (len(classes), len(classes) + self.with_background)
        if isinstance(spec, list) and len(spec) not in lengths:
            background = " (and background)" * self.with_background
            raise ValueError(
                f"{self.owner}: `{self.name}` has {len(spec)} numbers, but there are "
                f"{len(classes)} classes{background}: {classes}"
            )

    def _fill(self) -> None:
        """Compute the numbers of the present stage, where all is known."""
        spec, stats = self.spec, self._stats
        if spec is None or isinstance(spec, (float, list)):
            if self.stage_names:
                numbers = self.default if spec is None else spec
                self._set(torch.tensor(numbers, dtype=torch.float32))
            return
        if stats is None:
            return
        if isinstance(spec, dict):
            values = np.array([spec.get(name, self.default) for name in stats.classes])
        else:
            values = np.asarray(self.rules[spec](stats), dtype=float)
        self._set(torch.as_tensor(values))
        low, high = int(values.argmin()), int(values.argmax())
        stage = f" in stage {self.stage!r}" if self.stage else ""
        print_log(
            f"{self.owner}: {self.name.replace('_', ' ')} from {values[low]:.3g} "
            f"({stats.classes[low]!r}) to {values[high]:.3g} "
            f"({stats.classes[high]!r}){stage}",
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
        if self.value.dim() == 1 and len(self.value) == 0:
            if self.told_by is None:
                self._say_what_is_missing()
            return None
        value = self.value if like is None else self.value.to(like.device)
        # Not as `in` a tuple, which compilers of symbolic sizes take for False.
        n, with_background = value.numel(), num_classes + int(self.with_background)
        if value.dim() and n != num_classes and n != with_background:
            raise ValueError(
                f"{self.owner}: `{self.name}` has {len(value)} numbers, but the head "
                f"has {num_classes} classes"
            )
        return value

    def _say_what_is_missing(self) -> None:
        if self.stage_names and self.stage is None:
            raise RuntimeError(
                f"{self.owner}: `{self.name}` changes with the stages "
                f"{self.stage_names}, but nothing tells the stage; add "
                "`dict(type='imb_det.StageHook', stages=[...])` to `custom_hooks`"
            )
        raise RuntimeError(
            f"{self.owner}: `{self.name}={self.spec!r}` needs the classes of the "
            f"training set; add {_STATS_LINE} to the config"
        )

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
