"""Which counts of the training set are those of a head."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from torch import nn

from imb_det.losses import ImbalanceLoss, PixelLoss
from imb_det.statistics import ClassStats
from imb_det.statistics.class_slices import by_pixel, of_stuff, of_things
from imb_det.statistics.class_vector import ClassVector

__all__ = ["counts_of_heads"]

#: Makes the counts of a module; None for nothing to tell.
Made = Callable[[], ClassStats | None]


def counts_of_heads(components: Iterable[Any], stats: ClassStats) -> dict[int, Made]:
    """Return what makes the counts of modules, for those with counts of their own.

    Of C classes, T of which are things and S stuff, a head gets by its numbers of
    classes

    - ``num_classes`` T: things, as boxes, masks and instances have them,
    - ``num_stuff_classes`` S and ``num_classes`` S + 1: stuff, and last all things as
      one class, as ``PanopticFPNHead`` has them,
    - T + S, as ``Mask2FormerHead``: all of them, like everything that is no head.

    Rules in losses of pixels (``ignore_index``) get the pixels as instances.

    Args:
        components: Modules, and others, which are passed over.
        stats: Of the training set.

    Returns:
        By ``id`` of the module; what is absent has the counts of all classes.
    """
    modules = [part for part in components if isinstance(part, nn.Module)]
    found: dict[int, Made] = {}
    foreign: dict[int, nn.Module] = {}
    # The outer ones first: the nearest head has the last word.
    for head in modules:
        number = getattr(head, "num_classes", None)
        if not isinstance(number, int) or isinstance(head, ImbalanceLoss):
            continue
        part = _part_of(head, number, stats)
        for module in head.modules():
            foreign.pop(id(module), None)
            if part is not None:
                found[id(module)] = part
            else:
                foreign[id(module)] = head
    for loss in modules:
        if getattr(loss, "ignore_index", None) is None:
            continue
        if not isinstance(loss, (ImbalanceLoss, PixelLoss)):
            continue
        for vector in loss.modules():
            if isinstance(vector, ClassVector):
                made = found.get(id(vector), lambda: stats)
                head_of = foreign.get(id(vector))
                found[id(vector)] = partial(_of_pixels, vector, made, head_of)
    return found


def _part_of(head: nn.Module, number: int, stats: ClassStats) -> Made | None:
    """Return what makes the counts of a head; None for one of other classes."""
    if number == stats.num_classes:
        return lambda: stats
    things = len(stats.thing_classes)
    stuff = getattr(head, "num_stuff_classes", None)
    if things and number - 1 == stuff == stats.num_classes - things:
        return lambda: of_stuff(stats)
    return (lambda: of_things(stats)) if things == number else None


def _of_pixels(
    vector: ClassVector, made: Made, foreign: nn.Module | None
) -> ClassStats | None:
    """Return the counts for numbers of the classes in a loss of pixels.

    Args:
        vector: The numbers.
        made: Of its head.
        foreign: The head, where its classes are not those of the training set.

    Raises:
        ValueError: Names or a rule where the classes or their pixels are not known.
    """
    if isinstance(made, partial):  # in a loss inside of another one
        return made()
    by_name = any(isinstance(spec, dict) for spec in vector.specs.values())
    if foreign is not None:
        if vector.has_rule or by_name:
            raise ValueError(
                f"{vector.owner}: `{vector.name}` goes by names or counts of classes, "
                f"but {type(foreign).__name__} has others than the training set: "
                f"num_classes={getattr(foreign, 'num_classes', None)}. Give one number "
                "for each of them"
            )
        return None
    stats = made()
    return by_pixel(stats) if vector.has_rule and stats is not None else stats
