"""Parameters of detectors that are to be merged, brought into one form."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from imb_det.checkpoint_files import read_weights
from imb_det.core import and_more

from .class_rows import with_classes

__all__ = ["Parents", "classes_of", "short_names"]

#: Cosine below which checkpoints are told of as unlike.
_ALIKE = 0.5


@dataclass
class Parents:
    """Checkpoints of detectors of one architecture; the first says the classes.

    Args:
        files: Their files.
        states: Parameters and buffers of each, with the rows of the first's classes.
        skipped: Names in some of them that are not merged, with the reason.
        partial: Places of those that are no whole detector as the first is.
    """

    files: list[Path]
    states: list[dict[str, Tensor]]
    skipped: dict[str, str]
    partial: set[int] = field(default_factory=set)

    @classmethod
    def read(
        cls, files: Sequence[str | Path], extra: int | Callable[[], int] = 0
    ) -> Parents:
        """Read checkpoints, and map the rows of classes by their names.

        Args:
            files: Two or more.
            extra: Outputs of the classifiers beyond one a class, or a function that
                tells them where classes differ. Default 0.

        Raises:
            FileNotFoundError: No such file.
            ValueError: Fewer than two, a file without weights, or no parameter in
                common.
        """
        paths = [Path(file) for file in files]
        if len(paths) < 2:
            raise ValueError(f"at least two checkpoints are needed, got {len(paths)}")
        contents, states = map(list, zip(*map(read_weights, paths), strict=True))
        classes = [classes_of(content) for content in contents]
        first = states[0]
        skipped: dict[str, str] = {}
        partial: set[int] = set()
        for place, state in enumerate(states[1:], 1):
            own_classes, classes_of_it = classes[0], classes[place]
            for name in sorted(first.keys() ^ state.keys()):
                skipped[name] = f"only in one of {paths[0].name}, {paths[place].name}"
            known = own_classes is not None and classes_of_it is not None
            if known and own_classes != classes_of_it:
                behind = extra() if callable(extra) else extra
                made, kept = with_classes(
                    state, first, classes_of_it or (), own_classes or (), behind
                )
                skipped.update(dict.fromkeys(kept, "of other classes or shape"))
                states[place] = made
            for name, own in first.items():
                other = states[place].get(name)
                if other is None or other.shape != own.shape:
                    partial.add(place)
                if other is not None and other.shape != own.shape:
                    skipped[name] = f"{tuple(own.shape)} and {tuple(other.shape)}"
        for name, own in first.items():
            if not own.is_floating_point():
                skipped[name] = "whole numbers are the first checkpoint's"
        if not first.keys() - skipped.keys():
            raise ValueError(
                f"{paths[0]} shares no parameter with the others: they are of other "
                "architectures"
            )
        return cls(paths, states, skipped, partial)

    @property
    def names(self) -> list[str]:
        """Paths of the files below the folder that they share, for tables."""
        return short_names(self.files)

    def merged(self, rule: Callable[[str, list[Tensor]], Tensor]) -> dict[str, Tensor]:
        """Return the merged parameters; what is skipped is the first's.

        Args:
            rule: Of the name and of the tensors, that of the first checkpoint first.
        """
        made: dict[str, Tensor] = {}
        for name, own in self.states[0].items():
            if name in self.skipped:
                made[name] = own.clone()
            else:
                made[name] = rule(name, [state[name] for state in self.states])
        return made

    def likeness(self) -> list[float]:
        """Return the cosine of each with the first, over all that they do not share.

        Detectors that were fine-tuned from one start are alike, near 1; of those that
        were not, near 0, an average is no detector.
        """
        found = []
        for state in self.states[1:]:
            product = first = other = 0.0
            for name, own in self.states[0].items():
                given = state[name] if name not in self.skipped else own
                if not torch.equal(own, given):
                    a, b = own.double().flatten(), given.double().flatten()
                    product += float(a @ b)
                    first += float(a @ a)
                    other += float(b @ b)
            found.append(product / max((first * other) ** 0.5, 1e-30) if first else 1.0)
        return found

    def text(self) -> str:
        """Write what is not merged, and how alike the checkpoints are."""
        merged = self.states[0].keys() - self.skipped.keys()
        lines = [f"{len(merged)} tensors are merged"]
        reasons: dict[str, list[str]] = {}
        for name, reason in self.skipped.items():
            reasons.setdefault(reason, []).append(name)
        lines += [
            f"not merged, {reason}: {and_more(names, quoted=False)}"
            for reason, names in reasons.items()
        ]
        for file, cosine in zip(self.files[1:], self.likeness(), strict=True):
            line = f"{file}: cosine {cosine:.3f} with {self.files[0]}"
            if cosine < _ALIKE:
                line += (
                    "; they were hardly fine-tuned from one start, and an average of "
                    "such is no detector"
                )
            lines.append(line)
        return "\n".join(lines)


def short_names(files: Sequence[Path]) -> list[str]:
    """Return the paths of files below the folder that they share.

    Args:
        files: One or more.
    """
    paths = [file.resolve() for file in files]
    root = os.path.commonpath([path.parent for path in paths])
    return [path.relative_to(root).as_posix() for path in paths]


def classes_of(content: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the names of the classes that a checkpoint tells.

    Args:
        content: Of the checkpoint.
    """
    meta = content.get("meta") or {}
    found = (meta.get("dataset_meta") or {}).get("classes")
    return None if found is None else tuple(found)
