"""What a split could not reach, as findings."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from imb_det.core.finding import Finding, Severity
from imb_det.core.shown_text import shown

from .problem import SplitProblem

__all__ = ["split_findings"]

_FAR = 0.02  # relative error of the number of images that is told


def split_findings(problem: SplitProblem, part_of: np.ndarray) -> Iterator[Finding]:
    """Tell which classes parts are without, and which parts are of another size.

    Args:
        problem: What was shared.
        part_of: Part of each group, int (G,).
    """
    images = problem.sums(part_of)[:, problem.class_images]
    yield from _few(problem, images)
    yield from _left_out(problem, images)
    yield from _sizes(problem, part_of)


def _few(problem: SplitProblem, images: np.ndarray) -> Iterator[Finding]:
    """Find classes in fewer groups than parts."""
    names, groups = problem.parts.names, problem.groups_with
    number = problem.totals[problem.class_images]
    told = (
        ("class_without_image", "classes without an object", number == 0),
        (
            "class_in_one_image",
            "classes in one image, which only one part can have",
            number == 1,
        ),
        (
            "class_in_one_group",
            "classes whose images all stay together, in one part",
            (number > 1) & (groups == 1),
        ),
        (
            "class_in_few_groups",
            "classes with fewer groups of images than there are parts",
            (groups > 1) & (groups < len(names)),
        ),
    )
    for code, what, chosen in told:
        is_lost = code in ("class_in_one_image", "class_in_one_group")
        severity = Severity.WARNING if is_lost else Severity.INFO
        for label in np.flatnonzero(chosen).tolist():
            parts = [n for n, k in zip(names, images[:, label], strict=True) if k]
            evidence = f"in {', '.join(parts)}" * bool(parts)
            name = shown(problem.table.classes[label])
            yield Finding(code, severity, what, name, evidence)


def _left_out(problem: SplitProblem, images: np.ndarray) -> Iterator[Finding]:
    """Find classes that training or validation, or a fold, need not have lacked."""
    parts, groups = problem.parts, problem.groups_with
    enough = len(parts.names) if parts.are_folds else 2
    needed = slice(None) if parts.are_folds else slice(2)
    lacks = (images[needed] == 0) & (groups >= enough)
    for part, label in np.argwhere(lacks).tolist():
        yield Finding(
            "class_left_out",
            Severity.WARNING,
            "classes that a part is without, as groups of images hold several rare "
            "classes and no way was found to have them all",
            shown(problem.table.classes[label]),
            f"not in {parts.names[part]}, but {groups[label]} groups have it",
            "Add images of the class, or let fewer images stay together",
        )


def _sizes(problem: SplitProblem, part_of: np.ndarray) -> Iterator[Finding]:
    """Find parts of another size."""
    images, wanted = problem.sums(part_of)[:, 0], problem.targets[:, 0]
    for part in np.flatnonzero(images == 0).tolist():
        yield Finding(
            "part_empty",
            Severity.WARNING,
            "parts without any image",
            problem.parts.names[part],
            f"wanted {wanted[part]:.1f} images",
            "Give the part a larger share, or let fewer images stay together",
        )
    is_far = np.abs(images - wanted) > np.maximum(0.5, _FAR * wanted)
    for part in np.flatnonzero(is_far).tolist():
        yield Finding(
            "part_size",
            Severity.INFO,
            "parts of another size than wanted, as shares of classes come first",
            problem.parts.names[part],
            f"{images[part]:.0f} images, wanted {wanted[part]:.1f}",
        )
