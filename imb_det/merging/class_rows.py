"""Rows of the layers of a detector that belong to single classes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["ClassRows", "class_rows", "take_rows", "with_classes"]

#: Layers whose outputs are those of one class after the other, several each.
_CLASS_FIRST = re.compile(
    r"(^|\.)(fc_reg|conv_logits|fc_logits|fc_mask_iou|label_embedding)\.(weight|bias)$"
)
#: Layers whose outputs are those of all classes for one anchor after the other.
_ANCHOR_FIRST = re.compile(
    r"(^|\.)(\w*cls|cls_embed|cls_branches\.\d+|\w*cls\.\d+|reppoints_cls_out)"
    r"\.(weight|bias|scale)$"
)
#: What a classifier has for each class, and not for background.
_CLASSES_ALONE = re.compile(r"(^|\.)\w*cls\.align_(scale|bias)$")
_NEVER = re.compile(r"(^|\.)(rpn_head\.|semantic_head\.|\w*bbox_cls\.|\w*cls_convs)")
#: Parts with numbers of classes, in the order of those that they were told of; points
#: of PointRend have the masks of all classes among their features.
_NUMBERS = re.compile(r"(^|\.)(loss_\w+|class_thresholds|calibration|point_head)\.")
#: Least numbers of a box; fewer rows for each class are those of all of them.
_BOX = 4


@dataclass(frozen=True)
class ClassRows:
    """Which rows of a tensor belong to which class.

    Args:
        classes: C.
        repeats: Blocks of rows: anchors, or one.
        block: Rows of each block: C of the classes, one each, and others, such as
            background, behind them; or C times as many where a class has several.
        each: Rows of one class in a block, next to one another.
    """

    classes: int
    repeats: int
    block: int
    each: int = 1

    def index(self, label: int) -> Tensor:
        """Return the rows of a class, int (repeats * each,)."""
        starts = torch.arange(self.repeats) * self.block + label * self.each
        return (starts[:, None] + torch.arange(self.each)).flatten()

    def others(self) -> Tensor:
        """Return the rows of no class, such as background."""
        of_block = torch.arange(self.classes * self.each, self.block)
        starts = torch.arange(self.repeats) * self.block
        return (starts[:, None] + of_block).flatten()


def class_rows(name: str, rows: int, classes: int, extra: int = 0) -> ClassRows | None:
    """Return which rows of a parameter of a detector belong to which class.

    Args:
        name: Of the parameter in the checkpoint.
        rows: Length of its first dimension.
        classes: C of the detector.
        extra: Outputs of a classifier beyond one a class, such as 1 with a softmax.

    Returns:
        None where no row belongs to a single class: another layer, a head of proposals,
        or boxes and masks that all classes share.
    """
    if _NEVER.search(name):
        return None
    if _CLASS_FIRST.search(name):
        each, rest = divmod(rows, classes)
        layer = name.rsplit(".", 2)[-2]
        least = _BOX if layer == "fc_reg" else 1
        if layer == "fc_logits" and math.isqrt(each) ** 2 != each:
            return None  # each class has a square of its own
        return None if rest or each < least else ClassRows(classes, 1, rows, each)
    if _CLASSES_ALONE.search(name):
        return ClassRows(classes, 1, rows) if rows == classes else None
    if _ANCHOR_FIRST.search(name):
        repeats, rest = divmod(rows, classes + extra)
        return (
            None
            if rest or not repeats
            else ClassRows(classes, repeats, classes + extra)
        )
    return None


def take_rows(
    made: dict[str, Tensor],
    source: Mapping[str, Tensor],
    source_classes: Sequence[str],
    target_classes: Sequence[str],
    wanted: Sequence[str],
    extra: int = 0,
) -> list[str]:
    """Put the rows of some classes of a detector into those of another, in place.

    Nothing else is taken, background neither.

    Args:
        made: Parameters to change.
        source: Those to take rows of.
        source_classes: Names of its classes.
        target_classes: Of the first's.
        wanted: Names of the classes, which both know.
        extra: Outputs of the classifiers beyond one a class, of both.

    Returns:
        Names of the parameters that rows were put into.
    """
    taken: list[str] = []
    for name, own in made.items():
        given = source.get(name)
        if given is None or not own.dim() or given.shape[1:] != own.shape[1:]:
            continue
        if _NUMBERS.search(name):
            continue
        old = class_rows(name, len(given), len(source_classes), extra)
        new = class_rows(name, len(own), len(target_classes), extra)
        if old and new and _alike(old, new):
            taken.append(name)
            for label in wanted:
                rows = given[old.index(list(source_classes).index(label))]
                own[new.index(list(target_classes).index(label))] = rows.to(own)
    return taken


def with_classes(
    source: Mapping[str, Tensor],
    target: Mapping[str, Tensor],
    source_classes: Sequence[str],
    target_classes: Sequence[str],
    extra: int = 0,
    fill: str = "keep",
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the parameters of one detector for the classes of another.

    Rows of classes with the same name are taken over, those of background too; all
    other parameters of the same shape as well.

    Args:
        source: Parameters to take.
        target: Those of the detector that is to have them.
        source_classes: Names of the classes of the first.
        target_classes: Of the second.
        extra: Outputs of the classifiers beyond one a class, of both.
        fill: Rows of classes that the first does not know: ``'keep'`` those of the
            second, or the ``'mean'`` of all rows that it knows, which of a detector of
            one class are those of that class. Default ``'keep'``.

    Returns:
        Parameters by name, of the second's shapes, and the names of those that could
        not be taken over, as the second has them.
    """
    names = list(source_classes), list(target_classes)
    made: dict[str, Tensor] = {}
    kept: list[str] = []
    for name, own in target.items():
        given = source.get(name)
        rows = None if given is None else _mapped(name, given, own, names, extra, fill)
        made[name] = own.clone() if rows is None else rows
        kept += [name] if rows is None else []
    return made, kept


def _mapped(
    name: str,
    given: Tensor,
    own: Tensor,
    names: tuple[list[str], list[str]],
    extra: int,
    fill: str,
) -> Tensor | None:
    """Return a parameter for other classes; None where it does not fit."""
    old_names, new_names = names
    if given.dim() != own.dim() or given.shape[1:] != own.shape[1:]:
        return None
    if _NUMBERS.search(name) and old_names != new_names:
        return None
    if not own.dim():
        return given.clone()
    old = class_rows(name, len(given), len(old_names), extra)
    new = class_rows(name, len(own), len(new_names), extra)
    if old is None or new is None:
        of_one = old or new
        # What is of the only class is as of all of them.
        is_shared = of_one is None or of_one.classes == 1
        return given.clone() if given.shape == own.shape and is_shared else None
    if not _alike(old, new):
        return None
    rows = own.clone()
    rows[new.others()] = given[old.others()].to(rows)
    known = torch.stack([given[old.index(i)] for i in range(old.classes)])
    for label, of_name in enumerate(new_names):
        if of_name in old_names:
            place = old.index(old_names.index(of_name))
            rows[new.index(label)] = given[place].to(rows)
        elif fill == "mean":
            rows[new.index(label)] = known.mean(0).to(rows)
    return rows


def _alike(old: ClassRows, new: ClassRows) -> bool:
    return (old.repeats, old.each) == (new.repeats, new.each)
