"""What a stage of a training trains, as a config gives it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from imb_det.core.finding import Finding, Severity
from imb_det.core.text import look_alike

__all__ = ["StageParts", "is_in"]

_KEYS = ("train_only", "freeze", "reinit", "recount_norms")
_EXAMPLE = "dict(train_only=['roi_head.bbox_head.fc_cls'], reinit=True)"


@dataclass(frozen=True)
class StageParts:
    """Paths of modules and parameters that a stage trains, freezes or starts anew.

    Args:
        train_only: What alone is trained; None for everything but ``freeze``.
        freeze: What is not trained.
        reinit: Modules that start anew when the stage begins.
        recount_norms: Images over which statistics of normalisation are counted again
            when the stage begins, 0 for none.
    """

    train_only: tuple[str, ...] | None = None
    freeze: tuple[str, ...] = ()
    reinit: tuple[str, ...] = ()
    recount_norms: int = 0

    @classmethod
    def from_config(cls, owner: str, stages: Any) -> dict[str, StageParts]:
        """Read the argument ``stages`` of a hook.

        Raises:
            TypeError, ValueError: No such form, key or value; names the stage.
        """
        if not isinstance(stages, Mapping) or not stages:
            raise TypeError(
                f"{owner}: `stages` must be a dict by the name of the stage, such as "
                f"`dict(classifier={_EXAMPLE})`, got {stages!r}"
            )
        return {
            str(name): cls._read(f"{owner}: `stages[{name!r}]`", given)
            for name, given in stages.items()
        }

    @classmethod
    def _read(cls, where: str, given: Any) -> StageParts:
        if given is None:
            return cls()
        if not isinstance(given, Mapping):
            raise TypeError(
                f"{where} must be None or a dict such as `{_EXAMPLE}`, got {given!r}"
            )
        if unknown := sorted(set(given) - set(_KEYS), key=str):
            raise ValueError(f"{where} has the keys {unknown}, known are {_KEYS}")
        if "train_only" in given and "freeze" in given:
            raise ValueError(
                f"{where} has both `train_only` and `freeze`; give one of them"
            )
        train_only = None
        if "train_only" in given:
            train_only = _paths(f"{where}: `train_only`", given["train_only"])
        freeze: tuple[str, ...] = ()
        if "freeze" in given:
            freeze = _paths(f"{where}: `freeze`", given["freeze"])
        again = given.get("reinit", False)
        if isinstance(again, bool):
            if again and train_only is None:
                raise ValueError(
                    f"{where}: `reinit=True` starts what `train_only` names anew; "
                    "without it, give the paths, such as "
                    "`reinit=['roi_head.bbox_head.fc_cls']`"
                )
            reinit = (train_only or ()) if again else ()
        else:
            reinit = _paths(f"{where}: `reinit`", again)
        images = given.get("recount_norms", 0)
        if isinstance(images, bool) or not isinstance(images, int) or images < 0:
            raise TypeError(
                f"{where}: `recount_norms` must be a number of images >= 0, got "
                f"{images!r}"
            )
        return cls(train_only, freeze, reinit, images)

    @property
    def trains_all(self) -> bool:
        """Whether nothing is frozen."""
        return self.train_only is None and not self.freeze

    def trains(self, name: str) -> bool:
        """Tell whether a module or parameter of this path is to be trained."""
        if self.train_only is not None:
            return is_in(name, self.train_only)
        return not is_in(name, self.freeze)

    def findings(
        self, owner: str, stage: str, model: nn.Module, trainable: set[str]
    ) -> Iterator[Finding]:
        """Yield paths that are none of a model, and a stage that trains nothing.

        Args:
            owner: Name of the hook.
            stage: Name of the stage.
            model: The detector.
            trainable: Parameters that it trains by itself.
        """
        where = f"{owner}, stage {stage!r}"
        modules = {path for path, _ in model.named_modules() if path}
        known = modules | {name for name, _ in model.named_parameters()}
        for path in dict.fromkeys((*(self.train_only or ()), *self.freeze)):
            if path not in known:
                yield _no_path(where, path, known)
        for path in self.reinit:
            if path not in modules:
                yield _no_path(where, path, modules, " module")
            elif not any(True for _ in model.get_submodule(path).parameters()):
                yield Finding(
                    "freeze_reinit",
                    Severity.ERROR,
                    "a part that is to start anew has no parameter",
                    where,
                    f"`{path}`",
                    "Name another one, or leave it out of `reinit`",
                )
        if not any(self.trains(name) for name in trainable):
            yield Finding(
                "freeze_all",
                Severity.ERROR,
                "a stage trains nothing",
                where,
                "what it names has no parameter, or the model freezes it itself"
                if self.train_only is not None
                else "all parameters are frozen",
                "Name what is to be trained in `train_only`",
            )


def is_in(name: str, paths: Sequence[str]) -> bool:
    """Tell whether a path is one of some others, or below one of them."""
    return any(name == path or name.startswith(f"{path}.") for path in paths)


def _paths(where: str, given: Any) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        raise TypeError(
            f"{where} must be a list of paths such as ['roi_head.bbox_head.fc_cls'], "
            f"got {given!r}"
        )
    if bad := [path for path in given if not isinstance(path, str) or not path]:
        raise TypeError(f"{where} must have texts alone, got {bad}")
    return tuple(given)


def _no_path(where: str, path: str, known: set[str], kind: str = "") -> Finding:
    parent = path.rpartition(".")[0]
    while parent and parent not in known:
        parent = parent.rpartition(".")[0]
    start = f"{parent}." if parent else ""
    below = {n.removeprefix(start).split(".")[0] for n in known if n.startswith(start)}
    near = look_alike(path, known) or f"one of {sorted(below)}"
    return Finding(
        "freeze_path",
        Severity.ERROR,
        f"a path is no{kind or ' module or parameter'} of the model",
        where,
        f"`{path}`",
        f"In {f'`{parent}`' if parent else 'the model'} there is {near}",
    )
