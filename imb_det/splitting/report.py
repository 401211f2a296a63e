"""What a split has reached, and what no split could reach."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from imb_det.core.finding import Finding, render
from imb_det.core.shown_text import shown
from imb_det.evaluation.functional.tables import plain, text_table

from .impossible import split_findings
from .problem import SplitProblem

__all__ = ["SplitReport", "least_error"]

_ROWS = 40  # classes that the text shows


def least_error(number: int, shares: tuple[float, ...]) -> float:
    """Return the least error of a share of some images, which are whole.

    Args:
        number: Images, at least 1.
        shares: Of the parts, P of them.

    Returns:
        The largest relative error of the best split; every part has one image where
        there are enough.

    Example:
        >>> round(least_error(3, (0.8, 0.2)), 3)
        0.667
    """
    least = int(number >= len(shares))
    low, high = 0.0, float(number) / min(shares)
    for _ in range(60):
        error = (low + high) / 2
        wanted = [number * share for share in shares]
        fewest = [max(least, math.ceil(w * (1 - error) - 1e-9)) for w in wanted]
        most = [math.floor(w * (1 + error) + 1e-9) for w in wanted]
        fits = all(a <= b for a, b in zip(fewest, most, strict=True))
        if fits and sum(fewest) <= number <= sum(most):
            high = error
        else:
            low = error
    return high


@dataclass(frozen=True, eq=False)
class SplitReport:
    """Numbers and words on a split.

    Args:
        problem: What was shared.
        part_of: Part of each group, int (G,).
        notes: Further findings, such as on the groups.
    """

    problem: SplitProblem
    part_of: np.ndarray
    notes: tuple[Finding, ...] = field(default=())

    @cached_property
    def part_of_image(self) -> np.ndarray:
        """Part of each image, int64 (N,)."""
        return np.asarray(self.part_of[self.problem.group_of])

    @cached_property
    def counts(self) -> np.ndarray:
        """Images, images without an object, images and boxes of classes; int64."""
        return self.problem.sums(self.part_of).round().astype(np.int64)

    @cached_property
    def class_errors(self) -> np.ndarray:
        """Worst relative error of the shares of each class, (C,); NaN without boxes.

        Over its parts, images and boxes alike.
        """
        errors = np.abs(self.problem.errors(self.part_of))
        images = errors[:, self.problem.class_images]
        boxes = errors[:, self.problem.class_boxes]
        return np.asarray(np.maximum(images, boxes).max(0))

    @property
    def worst_error(self) -> float:
        """Worst of the classes that can be shared; NaN where none can."""
        errors = self.class_errors[self.problem.groups_with >= 2]
        return float(errors.max()) if errors.size else math.nan

    @cached_property
    def least_errors(self) -> np.ndarray:
        """Error that each class has at least as its images are whole, (C,)."""
        number = self.problem.totals[self.problem.class_images].astype(int)
        shares = self.problem.parts.shares
        known = {n: least_error(n, shares) if n else math.nan for n in set(number)}
        return np.array([known[n] for n in number])

    def findings(self) -> list[Finding]:
        """Return what was impossible, or otherwise to be known."""
        return [*self.notes, *split_findings(self.problem, self.part_of)]

    def text(self) -> str:
        """Return the report as some lines of text."""
        problem, names = self.problem, self.problem.parts.names
        size = np.bincount(problem.group_of)
        lines = [
            f"{len(problem.group_of)} images in {len(size)} groups, the largest of "
            f"{size.max()}"
        ]
        lines += [
            f"{name}: {row[0]} images ({row[0] / problem.totals[0]:.2%}), "
            f"{row[problem.class_boxes].sum()} boxes; {row[1]} images without an object"
            for name, row in zip(names, self.counts, strict=True)
        ]
        order = np.argsort(-np.nan_to_num(self.class_errors, nan=-1), kind="stable")
        rows = [self._row(label) for label in order[:_ROWS].tolist()]
        head = [
            "class",
            *(f"{n} images" for n in names),
            *(f"{n} boxes" for n in names),
        ]
        head += ["worst error", "at least"]
        more = len(order) - len(rows)
        lines += ["", text_table(head, rows)] + [f"and {more} classes more"] * (
            more > 0
        )
        if not math.isnan(self.worst_error):
            can_share = problem.groups_with >= 2
            errors = np.where(can_share, self.class_errors, -1)
            worst = shown(problem.table.classes[int(errors.argmax())])
            lines += [
                "",
                f"worst relative error of a share: {self.worst_error:.1%} ({worst}); "
                f"mean of the classes: {self.class_errors[can_share].mean():.1%}",
            ]
        if found := self.findings():
            lines += ["", render(found, "what could not be, and what to know")]
        return "\n".join(lines)

    def _row(self, label: int) -> list[Any]:
        images = self.counts[:, self.problem.class_images][:, label].tolist()
        boxes = self.counts[:, self.problem.class_boxes][:, label].tolist()
        errors = float(self.class_errors[label]), float(self.least_errors[label])
        return [self.problem.table.classes[label], *images, *boxes, *errors]

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers, ready for JSON."""
        problem, names = self.problem, self.problem.parts.names
        number = problem.groups_with
        classes = [
            {
                "name": row[0],
                "groups": int(number[label]),
                "images": dict(zip(names, row[1:], strict=False)),
                "boxes": dict(zip(names, row[1 + len(names) :], strict=False)),
                "worst_error": plain(row[-2]),
                "least_error": plain(row[-1]),
            }
            for label, row in enumerate(map(self._row, range(problem.num_classes)))
        ]
        return {
            "parts": {
                name: {
                    "share": share,
                    "images": int(row[0]),
                    "images_without_object": int(row[1]),
                    "boxes": int(row[problem.class_boxes].sum()),
                }
                for name, share, row in zip(
                    names, problem.parts.shares, self.counts, strict=True
                )
            },
            "groups": len(self.part_of),
            "worst_error": plain(self.worst_error),
            "classes": classes,
            "findings": [found.to_dict() for found in self.findings()],
        }
