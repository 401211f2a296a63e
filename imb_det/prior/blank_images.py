"""Sizes and boxes after any transforms, which run on blank images."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from imb_det.statistics.dataset_access import image_of_index, leaf_datasets
from imb_det.statistics.shown_labels import hides_labels

from .boxes import TrainingBoxes

__all__ = ["MAX_BLANK_IMAGES", "labelled_indices", "run_blank_images"]

#: Images that go through transforms, where sizes and boxes need that: more than enough
#: for a share of positives to a percent or two, and a matter of minutes at most.
MAX_BLANK_IMAGES = 5000


class _BlankImage:
    """Stands in for ``LoadImageFromFile``: a black image of the annotated size."""

    def __call__(self, results: dict) -> dict:
        shape = (results["height"], results["width"])
        results["img"] = np.zeros((*shape, 3), np.uint8)
        results["img_shape"] = results["ori_shape"] = shape
        return results


def labelled_indices(dataset: Any) -> np.ndarray:
    """Return the indices of a data set whose labels the training sees, int64.

    The targets of an unlabelled image of a semi-supervised training are predictions.

    Args:
        dataset: Built mmengine data set, wrapped in any way.
    """
    leaves = leaf_datasets(dataset)
    hidden = [hides_labels(leaf) for leaf in leaves]
    if any(hidden) and not all(hidden):
        of_images = np.repeat(hidden, [len(leaf) for leaf in leaves])
        return np.flatnonzero(~of_images[image_of_index(dataset)])
    return np.arange(len(dataset))


def run_blank_images(
    dataset: Any, advance: Callable[[], None], most: int | None = None
) -> TrainingBoxes:
    """Send blank images through the data set's own transforms, wrappers included.

    Images are those of :func:`labelled_indices`.

    Args:
        dataset: Built mmengine data set, wrapped in any way.
        advance: Called after each image.
        most: Images that are sent; of a larger data set, a random part. Default:
            None, 5000.
    """
    limit = MAX_BLANK_IMAGES if most is None else most
    order = np.random.default_rng(0).permutation(labelled_indices(dataset))[:limit]
    dataset = copy.deepcopy(dataset)
    for leaf in leaf_datasets(dataset):
        steps = leaf.pipeline.transforms
        loaders = [i for i, t in enumerate(steps) if "LoadImage" in type(t).__name__]
        if not loaders:
            raise ValueError(
                f"the pipeline of {type(leaf).__name__} has no LoadImageFromFile, so "
                "image sizes cannot be had without reading pixels; it has "
                f"{[type(t).__name__ for t in steps]}"
            )
        for index in loaders:
            steps[index] = _BlankImage()

    def rows() -> Iterator[tuple]:
        # The random transforms draw from numpy's global generator: seed it for a
        # repeatable count and give the caller its state back.
        state = np.random.get_state()  # noqa: NPY002
        np.random.seed(0)  # noqa: NPY002
        try:
            for index in sorted(order.tolist()):
                inputs, sample = _packed(dataset[index])
                row: tuple[list, list, list] = ([], [], [])
                for flag, instances in (
                    (False, sample.gt_instances),
                    (True, sample.ignored_instances),
                ):
                    boxes = getattr(instances.bboxes, "tensor", instances.bboxes)
                    row[0].extend(boxes.tolist())
                    row[1].extend(instances.labels.tolist())
                    row[2].extend([flag] * len(boxes))
                advance()
                yield (tuple(inputs.shape[-2:]), *row)
        finally:
            np.random.set_state(state)  # noqa: NPY002

    return TrainingBoxes.from_rows(rows())


def _packed(results: dict) -> tuple[Any, Any]:
    """Return image and sample of what a pipeline ends with, of the first branch."""
    inputs, sample = results["inputs"], results["data_samples"]
    if isinstance(sample, dict):  # of `MultiBranch`: None where a branch has none
        branch = next(name for name, of in sample.items() if of is not None)
        return inputs[branch], sample[branch]
    return inputs, sample
