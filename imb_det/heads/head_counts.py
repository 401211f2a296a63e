"""Which counts of the training set are those of a head."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from mmdet.models.seg_heads.base_semantic_head import BaseSemanticHead
from torch import nn

from imb_det.losses import ImbalanceLoss, OverlapLoss, PixelLoss
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

    Rules in losses of pixels (``ignore_index``) get the pixels as instances; those in
    losses of maps as wholes (:class:`~imb_det.losses.OverlapLoss`) do not.

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
        by_pixels = _is_of_pixels(loss)
        if not by_pixels and not _is_of_maps(loss):
            continue
        for vector in loss.modules():
            if isinstance(vector, ClassVector):
                made = found.get(id(vector), lambda: stats)
                head_of = foreign.get(id(vector))
                found[id(vector)] = partial(
                    _of_outputs, vector, made, head_of, by_pixels
                )
    return found


def _part_of(head: nn.Module, number: int, stats: ClassStats) -> Made | None:
    """Return what makes the counts of a head; None for one of other classes."""
    things = len(stats.thing_classes)
    stuff = getattr(head, "num_stuff_classes", None)
    # Of one thing, heads that join the things and those that do not have C outputs.
    joins = number != stats.num_classes or isinstance(head, BaseSemanticHead)
    if things and joins and number - 1 == stuff == stats.num_classes - things:
        return lambda: of_stuff(stats)
    if number == stats.num_classes:
        return lambda: stats
    return (lambda: of_things(stats)) if things == number else None


def _is_of_pixels(loss: nn.Module) -> bool:
    kinds = (ImbalanceLoss, PixelLoss)
    return isinstance(loss, kinds) and loss.ignore_index is not None


def _is_of_maps(loss: nn.Module) -> bool:
    return isinstance(loss, OverlapLoss) and not loss.use_sigmoid


def _of_outputs(
    vector: ClassVector, made: Made, foreign: nn.Module | None, by_pixels: bool
) -> ClassStats | None:
    """Return the counts for numbers of the classes in a loss of semantic heads.

    Args:
        vector: The numbers.
        made: Of its head.
        foreign: The head, where its classes are not those of the training set.
        by_pixels: Whether rules go by pixels.

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
        number = getattr(foreign, "num_classes", None)
        for spec in vector.specs.values():
            if isinstance(spec, list) and len(spec) != number:
                raise ValueError(
                    f"{vector.owner}: `{vector.name}` has {len(spec)} numbers, but "
                    f"{type(foreign).__name__} has {number} classes"
                )
        return None
    stats = made()
    by_pixels &= vector.has_rule
    return by_pixel(stats) if by_pixels and stats is not None else stats
