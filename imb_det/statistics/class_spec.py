"""The forms in which a config gives a number for each class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from imb_det.core import and_more, check_number, is_number

from .class_stats import ClassStats

__all__ = ["ClassSpec", "Rule", "Rules"]

#: Numbers of the classes, (C,), by the name of the rule that makes them from counts.
Rules = Mapping[str, Callable[[ClassStats], Any]]

_STAGES, _RULE = "stages", "rule"


@dataclass(frozen=True)
class Rule:
    """A rule with options that the config gives: ``dict(rule=name, option=...)``.

    Args:
        given: As in the config.
        function: Of the class statistics.
    """

    given: Mapping[str, Any]
    function: Callable[[ClassStats], Any]

    def __repr__(self) -> str:
        return repr(dict(self.given))


@dataclass(frozen=True)
class ClassSpec:
    """What an argument with numbers of the classes may be, and what it then means.

    The arguments are those of :class:`~imb_det.statistics.class_vector.ClassVector`.
    """

    owner: str
    name: str
    rules: Rules
    default: float
    low: float
    high: float | None
    open_ends: bool
    with_background: bool

    def read_all(self, spec: Any) -> dict[str | None, Any]:
        """Return what is given by stage; by None where there are no stages.

        Args:
            spec: What the config has.

        Raises:
            TypeError, ValueError: No such form, rule or number.
        """
        if not (isinstance(spec, Mapping) and set(spec) == {_STAGES}):
            return {None: self._read(spec)}
        if not isinstance(spec[_STAGES], Mapping) or not spec[_STAGES]:
            raise ValueError(
                f"{self.owner}: `{self.name}` has no stage: `stages` must be a dict by "
                f"the name of the stage, got {spec!r}"
            )
        return {str(stage): self._read(one) for stage, one in spec[_STAGES].items()}

    def _read(self, spec: Any) -> Any:
        """Return None, a float, a list, a dict or a rule, checked."""

        def number(value: Any) -> float:
            check_number(
                self.owner,
                self.name,
                value,
                self.low,
                self.high,
                open_ends=self.open_ends,
            )
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
        if isinstance(spec, Mapping) and isinstance(spec.get(_RULE), str):
            return self._with_options(spec)
        if isinstance(spec, Mapping):
            return {str(key): number(value) for key, value in spec.items()}
        if isinstance(spec, (Tensor, np.ndarray)):
            spec = spec.tolist()
        if is_number(spec):
            return number(spec)
        if isinstance(spec, Sequence):
            if not len(spec):
                raise ValueError(
                    f"{self.owner}: `{self.name}` must have a number for each class, "
                    "got none"
                )
            return [number(value) for value in spec]
        raise TypeError(
            f"{self.owner}: `{self.name}` must be None, a number, a list, a dict by "
            f"class name{' or one of ' * bool(self.rules)}"
            f"{tuple(self.rules) or ''}, got {spec!r}"
        )

    def _with_options(self, spec: Mapping[str, Any]) -> Rule:
        """Return a rule with its options, checked."""
        name = self._read(spec[_RULE])
        options = {str(key): value for key, value in spec.items() if key != _RULE}
        function: Any = self.rules[name]
        if options and not hasattr(function, "with_options"):
            raise ValueError(
                f"{self.owner}: `{self.name}`: the rule {name!r} has no options, got "
                f"{sorted(options)}"
            )
        if options:
            try:
                function = function.with_options(**options)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{self.owner}: `{self.name}`: {error}") from error
        return Rule(dict(spec), function)

    def check(self, spec: Any, stats: ClassStats) -> None:
        """Check one spec against the classes.

        Raises:
            ValueError: Another number of them, or a name that is no class; the message
                lists the classes.
        """
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

    def numbers(
        self, spec: dict[str, float] | str | Rule, stats: ClassStats
    ) -> np.ndarray:
        """Return the numbers, float64 (C,), of a dict by class name or a rule.

        Raises:
            ValueError: A rule gives other numbers than one a class, or some that are
                out of range, as for a class without instances; they are listed.
        """
        classes = stats.classes
        if isinstance(spec, dict):
            return np.array([spec.get(name, self.default) for name in classes])
        function = spec.function if isinstance(spec, Rule) else self.rules[spec]
        numbers = np.asarray(function(stats), dtype=float)
        rule = f"{self.owner}: `{self.name}={spec!r}`"
        lengths = (len(classes), len(classes) + self.with_background)
        if numbers.shape not in {(n,) for n in lengths}:
            raise ValueError(
                f"{rule} gives numbers of shape {numbers.shape} for {len(classes)} "
                "classes"
            )
        self.check_numbers(rule, numbers, [*classes, "background"])
        return numbers

    def check_numbers(
        self, giver: str, numbers: np.ndarray, names: Sequence[object]
    ) -> None:
        """Check numbers that something else than the config gives.

        Args:
            giver: What does, for the message.
            numbers: One for each class, (C,), or for all, ().
            names: Of the classes.

        Raises:
            ValueError: Some are out of range or no numbers; they are listed.
        """
        numbers = np.atleast_1d(numbers)
        low, high = self.low, np.inf if self.high is None else self.high
        if self.open_ends:
            fits = (low < numbers) & (numbers < high)
        else:
            fits = (low <= numbers) & (numbers <= high)
        fits &= np.isfinite(numbers)
        if not fits.all():
            bad = [f"{numbers[i]:g} for {names[i]!r}" for i in np.flatnonzero(~fits)]
            raise ValueError(
                f"{giver} gives {and_more(bad, quoted=False)}, and numbers must be in "
                f"{low} to {high}"
            )
