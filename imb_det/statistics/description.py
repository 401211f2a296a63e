"""Counts of classes in words."""

from __future__ import annotations

from imb_det.core.text import and_more

from .class_stats import ClassStats

__all__ = ["describe"]


def describe(stats: ClassStats) -> str:
    """Return the size and the imbalance of a set in one line.

    Example:
        >>> describe(ClassStats(("cat", "dog", "emu"), [3, 200, 0], [4, 400, 0], 201))
        "3 classes, 201 images, 404 boxes; rare (<= 10 images) 2, common (11 to 100) \
0, frequent (> 100) 1; imbalance ratio 100.0 ('dog' 400 boxes, 'cat' 4); without \
any box: ['emu']"
    """
    # Of a panoptic set boxes and stuff, of a semantic one classes of an image.
    one, objects = ("box", "boxes")
    if stats.pixel_count is not None or stats.thing_classes:
        one, objects = ("segment", "segments")
    counts = dict(zip(stats.classes, stats.instance_count.tolist(), strict=True))
    text = (
        f"{stats.num_classes} classes, {stats.num_images} images, "
        f"{sum(counts.values())} {objects}; {stats.describe_groups()}"
    )
    if seen := {name: count for name, count in counts.items() if count}:
        most, least = max(seen, key=seen.__getitem__), min(seen, key=seen.__getitem__)
        text += (
            f"; imbalance ratio {seen[most] / seen[least]:.1f} ({most!r} {seen[most]} "
            f"{objects}, {least!r} {seen[least]})"
        )
    if unseen := [name for name, count in counts.items() if not count]:
        text += f"; without any {one}: {and_more(unseen)}"
    return text
