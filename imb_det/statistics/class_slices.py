"""The counts of some heads: things, stuff, and pixels in place of instances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from imb_det.core.text import and_more

from .class_stats import ClassStats

__all__ = ["by_pixel", "of_stuff", "of_things"]

#: Name of the class that all things are for a head of stuff.
THINGS = "things"


def of_things(stats: ClassStats) -> ClassStats:
    """Return the counts of things alone, as heads of boxes have them.

    Args:
        stats: Of a panoptic set.

    Raises:
        ValueError: Things are not the first classes, as mmdet's heads need them.
    """
    number = _number_of_things(stats)
    pixels = stats.pixel_count
    return replace(
        stats,
        classes=stats.classes[:number],
        image_count=stats.image_count[:number],
        instance_count=stats.instance_count[:number],
        pixel_count=None if pixels is None else pixels[:number],
        thing_classes=(),
        thing_images=None,
    )


def of_stuff(stats: ClassStats) -> ClassStats:
    """Return the counts of stuff, and last of all things as one class.

    These are the outputs of mmdet's ``PanopticFPNHead``.

    Args:
        stats: Of a panoptic set.

    Raises:
        ValueError: As for :func:`of_things`.
    """
    number = _number_of_things(stats)

    def joined(counts: np.ndarray) -> np.ndarray:
        return np.append(counts[number:], counts[:number].sum())

    stuff = stats.classes[number:]
    images = stats.thing_images
    if images is None:
        images = int(stats.image_count[:number].max(initial=0))
    return replace(
        stats,
        classes=(*stuff, THINGS if THINGS not in stuff else f"all {THINGS}"),
        image_count=np.append(stats.image_count[number:], images),
        instance_count=joined(stats.instance_count),
        pixel_count=None if stats.pixel_count is None else joined(stats.pixel_count),
        thing_classes=(),
        thing_images=None,
    )


def by_pixel(stats: ClassStats) -> ClassStats:
    """Return counts in which a pixel is an instance, for losses of pixels.

    What a loss learns from is a pixel there, so that rules and priors on instances go
    by pixels, and those on images by images.

    Raises:
        ValueError: The pixels are not known.
    """
    if stats.pixel_count is None:
        raise ValueError(
            "the pixels of the classes are not known, by which a loss of pixels goes: "
            "the training set, or a part of it, has neither `segments_info` nor "
            f"semantic maps of its classes {and_more(stats.classes, 10)}. Give the "
            "loss numbers in place of a rule"
        )
    # A segment may be hidden under others: none of its pixels is left.
    pixels = np.maximum(stats.pixel_count, 1) * (stats.instance_count > 0)
    pixels = np.maximum(pixels, stats.image_count)
    return replace(stats, instance_count=pixels)


def _number_of_things(stats: ClassStats) -> int:
    things = stats.thing_classes
    if stats.classes[: len(things)] != things:
        raise ValueError(
            "the heads of mmdet need things first among the classes, and stuff after "
            f"them; the things are {and_more(things, 10)}, and the classes begin with "
            f"{and_more(stats.classes[: len(things)], 10)}. Change "
            "`metainfo['classes']` of the data sets"
        )
    return len(things)
