"""What a sampler makes of the classes, as numbers and as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imb_det.core.shown_text import shown, write_text
from imb_det.core.text import and_more
from imb_det.statistics import ClassStats
from imb_det.statistics.label_table import LabelTable
from imb_det.statistics.target_level import balance_level

__all__ = ["SamplingReceipt", "make_receipt"]

_NAMED = 8  # classes that a line names


@dataclass(frozen=True)
class SamplingReceipt:
    """Images and boxes of each class in an epoch, without and with a sampler.

    Numbers of an epoch are means over many epochs. Without the sampler, an epoch shows
    each index of the data set once.

    Args:
        rule: What the sampler does.
        classes: Names, length C.
        images_before: Images with the class in an epoch without the sampler, (C,).
        images_after: The same with the sampler, float.
        instances_before: Boxes of the class in an epoch without the sampler, (C,).
        instances_after: The same with the sampler, float.
        groups: Indices of the rare, common and frequent classes, by training images.
        length_before: Images of an epoch without the sampler.
        length_after: Images of an epoch with it, over all ranks.
        most_shown: File and copies of the image that is shown most often.
        never_shown: Indices of the data set that are never shown.
        never_alone: Classes that become more frequent and have no image without a
            frequent class: these become more frequent along with them. Where no class
            is on more than 100 images, that on most images stands for the frequent
            ones.
        level: How balanced the boxes are, from 0 (as without the sampler) to 1.
        warnings: Where the sampler does nothing, or not what it seems to.
        partners: How transforms choose the other images of a picture; empty where none
            mixes any in.
    """

    rule: str
    classes: tuple[str, ...]
    images_before: np.ndarray
    images_after: np.ndarray
    instances_before: np.ndarray
    instances_after: np.ndarray
    groups: dict[str, np.ndarray]
    length_before: int
    length_after: int
    most_shown: tuple[str, float]
    never_shown: int
    never_alone: tuple[str, ...]
    level: float
    warnings: tuple[str, ...]
    partners: str = ""

    @property
    def length_factor(self) -> float:
        """How much longer an epoch is than without the sampler."""
        return self.length_after / self.length_before

    @property
    def factors(self) -> np.ndarray:
        """Boxes with over boxes without the sampler, (C,); NaN for a class without."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.instances_after / self.instances_before)

    def line(self) -> str:
        """Return the rule and the boxes of each group in one line."""
        parts = [
            f"{group} {self.instances_before[members].sum()} to "
            f"{self.instances_after[members].sum():.0f}"
            for group, members in self.groups.items()
        ]
        return f"{self.rule}; boxes an epoch: {', '.join(parts)}"

    def text(self) -> str:
        """Return the report as some lines of text."""
        name, copies = shown(self.most_shown[0], 300), self.most_shown[1]
        lines = [
            self.rule,
            f"  an epoch: {self.length_after} images in place of {self.length_before} "
            f"({self.length_factor:.3f} x); most shown: {name} ({copies:.2f} times)",
        ]
        for group, members in self.groups.items():
            counts = [
                f"{kind} {before[members].sum():.0f} to {after[members].sum():.0f}"
                for kind, before, after in (
                    ("images with them", self.images_before, self.images_after),
                    ("boxes", self.instances_before, self.instances_after),
                )
            ]
            plural = "class" if len(members) == 1 else "classes"
            lines.append(
                f"  {len(members)} {group} {plural}, an epoch: {', '.join(counts)}"
            )
        order = np.argsort(-np.nan_to_num(self.factors), kind="stable")
        raised = [
            f"{shown(self.classes[i])} {self.instances_before[i]} to "
            f"{self.instances_after[i]:.1f}"
            for i in order[:_NAMED]
            if self.factors[i] > 1
        ]
        if raised:
            lines.append(f"  boxes raised most: {', '.join(raised)}")
        lines.append(f"  level of balance reached: {self.level:.3f}")
        if self.partners:
            lines.append(f"  other images of a picture: {self.partners}")
        if self.never_shown:
            lines.append(f"  images never shown: {self.never_shown}")
        if self.never_alone:
            lines.append(
                f"  {len(self.never_alone)} of the classes cannot be raised without a "
                "frequent one, which is on all their images: "
                + and_more(map(shown, self.never_alone), _NAMED, quoted=False)
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers."""
        content = asdict(self)
        content["groups"] = {
            name: [self.classes[i] for i in members]
            for name, members in self.groups.items()
        }
        content["most_shown"] = dict(
            zip(("image", "copies"), self.most_shown, strict=True)
        )
        return {
            key: value.tolist() if isinstance(value, np.ndarray) else value
            for key, value in content.items()
        } | {"length_factor": self.length_factor}

    def to_json(self, path: str | Path) -> None:
        """Write to a JSON file, the parent folder included."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(self.to_dict(), indent=1) + "\n")


def make_receipt(
    rule: str,
    table: LabelTable,
    stats: ClassStats,
    image: np.ndarray,
    copies: np.ndarray,
    length: int,
    name_of: Callable[[int], str],
    warnings: Sequence[str] = (),
) -> SamplingReceipt:
    """Compute what an epoch holds.

    Args:
        rule: What the sampler does.
        table: Classes of each of n images.
        stats: Counts of the training set, which say what is rare and frequent.
        image: Image that each index of the data set stands for, (len(dataset),).
        copies: How often each index is drawn on average, (len(dataset),).
        length: Images of an epoch.
        name_of: Names an image.
        warnings: What else to say.
    """
    before = np.bincount(image, minlength=len(table))
    after = np.bincount(image, copies, minlength=len(table))
    instances_before = table.instances_of(before)
    instances_after = table.instances_of(after)
    images_before, images_after = table.images_with(before), table.images_with(after)
    groups = stats.groups()
    is_frequent = np.zeros(len(table.classes))
    is_frequent[groups.get("frequent", stats.image_count.argmax())] = 1
    without = table.images_with(before * (table.largest(is_frequent, 0.0) == 0))
    is_raised = instances_after > instances_before * (1 + 1e-9)
    bound = np.flatnonzero(is_raised & (without == 0) & (is_frequent == 0))
    most = int(after.argmax())
    return SamplingReceipt(
        rule=rule,
        classes=table.classes,
        images_before=images_before.astype(np.int64),
        images_after=images_after,
        instances_before=instances_before.astype(np.int64),
        instances_after=instances_after,
        groups=groups,
        length_before=len(image),
        length_after=length,
        most_shown=(name_of(most), float(after[most])),
        never_shown=int(np.count_nonzero(copies == 0)),
        never_alone=tuple(table.classes[i] for i in bound),
        level=balance_level(instances_after, instances_before),
        warnings=tuple(warnings),
    )
