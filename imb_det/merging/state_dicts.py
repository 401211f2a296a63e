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
from imb_det.core.text import look_alike

from .class_rows import with_classes
from .positioning import PARTS, part_of

__all__ = ["Parents", "classes_of", "other_spellings", "short_names"]

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
        notes: What is to be known of their classes.
    """

    files: list[Path]
    states: list[dict[str, Tensor]]
    skipped: dict[str, str]
    partial: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

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
            ValueError: Fewer than two, a file without weights, no parameter in common,
                or numbers that are not finite.
        """
        paths = [Path(file) for file in files]
        if len(paths) < 2:
            raise ValueError(f"at least two checkpoints are needed, got {len(paths)}")
        contents, states = map(list, zip(*map(read_weights, paths), strict=True))
        classes = [classes_of(content) for content in contents]
        first = states[0]
        skipped: dict[str, str] = {}
        partial: set[int] = set()
        notes: list[str] = []
        for place, state in enumerate(states[1:], 1):
            own_classes, classes_of_it = classes[0], classes[place]
            notes += _class_notes(paths[0], own_classes, paths[place], classes_of_it)
            for name in sorted(first.keys() ^ state.keys()):
                skipped[name] = f"only in one of {paths[0].name}, {paths[place].name}"
            known = own_classes is not None and classes_of_it is not None
            if known and own_classes != classes_of_it:
                behind = extra() if callable(extra) else extra
                made, kept = with_classes(
                    state, first, classes_of_it or (), own_classes or (), behind
                )
                skipped = dict.fromkeys(kept, "of other classes or shape") | skipped
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
        _refuse_not_finite(paths, states, skipped)
        return cls(paths, states, skipped, partial, notes)

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

    def likeness(self) -> list[dict[str, float]]:
        """Return the cosine of each with the first, of backbone, neck and head.

        It is that of all matrices of a part that they do not share. Detectors that were
        fine-tuned from one start are alike, near 1; of those that were not, near 0, an
        average is no detector. A backbone of one start says nothing of a head. Factors
        and statistics of normalisation are alike in any two detectors.
        """
        found = []
        for state in self.states[1:]:
            sums: dict[str, list[float]] = {}
            for name, own in self.states[0].items():
                of_part = sums.setdefault(part_of(name), [0.0, 0.0, 0.0])
                given = state[name] if name not in self.skipped else own
                if own.dim() > 1 and not torch.equal(own, given):
                    a, b = own.double().flatten(), given.double().flatten()
                    for place, (x, y) in enumerate(((a, b), (a, a), (b, b))):
                        of_part[place] += float(x @ y)
            found.append({p: _cosine(*sums[p]) for p in PARTS if p in sums})
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
        lines += self.notes
        for file, alike in zip(self.files[1:], self.likeness(), strict=True):
            told = ", ".join(f"{part} {cosine:.3f}" for part, cosine in alike.items())
            line = f"{file}: cosine with {self.files[0]}: {told}"
            if far := [part for part, cosine in alike.items() if cosine < _ALIKE]:
                line += (
                    f"; the {' and the '.join(far)} were hardly fine-tuned from one "
                    "start, and an average of such is no detector"
                )
            lines.append(line)
        for place, file in enumerate(self.files):
            same = self.place_of(self.states[place])
            if same is not None and same != place:
                lines.append(f"{file} has the numbers of {self.files[same]}")
        return "\n".join(lines)

    def place_of(self, state: Mapping[str, Tensor]) -> int | None:
        """Return the place of the first with these numbers in all that is merged.

        Args:
            state: Parameters and buffers of a detector.
        """
        merged = self.states[0].keys() - self.skipped.keys()
        places = (
            place
            for place, own in enumerate(self.states)
            if all(torch.equal(own[name], state[name]) for name in merged)
        )
        return next(places, None)


def _cosine(product: float, first: float, other: float) -> float:
    return product / max((first * other) ** 0.5, 1e-30) if first or other else 1.0


def _class_notes(
    first: Path,
    own: tuple[str, ...] | None,
    file: Path,
    given: tuple[str, ...] | None,
) -> list[str]:
    """Return what is to be known of the classes of a checkpoint beside the first."""
    if own is None or given is None:
        silent = " and ".join(str(f) for f, c in ((first, own), (file, given)) if not c)
        return [] if own == given else [f"{silent} tells no classes: taken as the same"]
    if not (lost := [name for name in own if name not in given]):
        return []
    note = f"{file} does not know {and_more(lost)}, whose rows stay as in {first}"
    return [note + other_spellings(lost, given)]


def other_spellings(lost: Sequence[str], given: Sequence[str]) -> str:
    """Return a hint at classes that are perhaps the same, written in another way.

    Args:
        lost: Names of classes that are none of the others.
        given: The others.
    """
    pairs = ((name, look_alike(name, given)) for name in lost)
    found = [f"{name!r} and {other!r}" for name, other in pairs if other]
    return f"; perhaps the same: {and_more(found, quoted=False)}" if found else ""


def _refuse_not_finite(
    paths: Sequence[Path],
    states: Sequence[Mapping[str, Tensor]],
    skipped: Mapping[str, str],
) -> None:
    """Raise where a checkpoint is of a training that has failed."""
    for path, state in zip(paths, states, strict=True):
        bad = [
            name
            for name, own in states[0].items()
            if name not in skipped
            and not state[name].isfinite().all()
            and not all(torch.equal(own, s[name]) for s in states)  # as masks are
        ]
        if bad:
            raise ValueError(
                f"{path} has numbers that are not finite in {and_more(bad)}: its "
                "training has failed"
            )


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
    # mmdet before 3.0, as of many published weights, writes them in capital letters.
    for place in (meta.get("dataset_meta") or {}, meta):
        for name in ("classes", "CLASSES"):
            if (found := place.get(name)) is not None:
                return (found,) if isinstance(found, str) else tuple(found)
    return None
