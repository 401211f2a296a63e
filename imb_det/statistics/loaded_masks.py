"""Whether a data set hands out masks, and which objects it ignores for theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .coco_masks import is_ignored_mask
from .dataset_access import iter_data_infos, steps_of
from .shown_labels import hides_labels

__all__ = ["loaded_infos", "mask_use"]


def mask_use(dataset: Any) -> bool | None:
    """Tell how the pipeline of a data set loads masks.

    Args:
        dataset: Without wrappers.

    Returns:
        None where it loads none; else whether they stay polygons, as with
        ``LoadAnnotations(with_mask=True, poly2mask=False)``.
    """
    for step in steps_of(getattr(dataset, "pipeline", None)):
        as_bitmap = getattr(step, "poly2mask", None)
        if as_bitmap is not None and getattr(step, "with_mask", False):
            return not as_bitmap
    return None


def loaded_infos(dataset: Any) -> Iterator[dict[str, Any]]:
    """Yield the annotation record of every image as the pipeline will load it.

    Args:
        dataset: Without wrappers.

    Yields:
        The records; objects that ``LoadAnnotations`` ignores, as their mask shows
        nothing, have ``ignore_flag`` 1. Where the pipeline hides the labels
        (:func:`~.shown_labels.shows_labels`), there are no ``instances``.

    Raises:
        ValueError: A record without ``instances``, of a data set of another kind.
    """
    as_polygons = mask_use(dataset)
    is_hidden = hides_labels(dataset)
    for info in iter_data_infos(dataset):
        if is_hidden:
            yield {**info, "instances": ()}
            continue
        if "instances" not in info:
            source = getattr(dataset, "ann_file", "") or "its files"
            raise ValueError(
                f"{type(dataset).__name__} has no `instances` in its records, only "
                f"{sorted(info)}: there are no boxes of classes to count in {source}"
            )
        if as_polygons is not None:
            info = {**info, "instances": _marked(info["instances"], as_polygons)}
        yield info


def _marked(instances: Iterable[Any], as_polygons: bool) -> list[Any]:
    return [
        {**instance, "ignore_flag": 1}
        if "mask" in instance and is_ignored_mask(instance["mask"], as_polygons)
        else instance
        for instance in instances
    ]
