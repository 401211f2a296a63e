"""Partners of multi-image transforms, drawn by the weights of the sampler."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from imb_det.statistics.label_table import LabelTable

__all__ = ["WeightedPartners", "mixed_in"]


class WeightedPartners:
    """Mixin before a transform of mmdet that has ``get_indexes``.

    A sampler of the library hands its weights over when it is built, and new ones at
    the start of an epoch. They stand in shared memory, so that data workers that live
    on see the new ones too.
    """

    #: Whether images without a box are no partners.
    needs_boxes = False
    _cumulative: Tensor | None = None

    def set_partners(self, table: LabelTable, weights: np.ndarray) -> None:
        """Take the weights of the images from now on.

        Args:
            table: Classes of each image of the wrapped data set, n images.
            weights: Weight of each image, >= 0, (n,).
        """
        if self.needs_boxes:
            filled = weights * (np.diff(table.offsets) > 0)
            weights = filled if filled.any() else weights
        sums = torch.from_numpy(np.cumsum(weights, dtype=np.float64))
        if self._cumulative is None or len(self._cumulative) != len(sums):
            sums.share_memory_()  # type: ignore[no-untyped-call]
            self._cumulative = sums
        else:
            self._cumulative.copy_(sums)

    def in_effect(self) -> tuple[str, str]:
        """Return where the weights come from, and how unlike they are."""
        if self._cumulative is None or not self._cumulative[-1] > 0:
            return "nothing", "draws partners evenly"
        weights = np.diff(self._cumulative.numpy(), prepend=0.0)
        most = weights.max() / weights.mean()
        return "weights of the sampler", f"draws some images {most:.3g} times as often"

    def draw_partners(self, number: int) -> list[int] | None:
        """Draw images, with replacement.

        Args:
            number: How many.

        Returns:
            Their indices, or None where no sampler has handed weights over, or none
            but zeros (to a part of the data set that it never shows).
        """
        if self._cumulative is None or not self._cumulative[-1] > 0:
            return None
        sums = self._cumulative.numpy()
        # NumPy's global generator, which mmengine seeds in every data worker.
        points = np.random.random_sample(number) * sums[-1]  # noqa: NPY002
        found = np.searchsorted(sums, points, "right")
        return np.minimum(found, len(sums) - 1).tolist()


def mixed_in(owner: object, results: dict) -> list[dict[str, Any]]:
    """Return the other images that a wrapper has loaded for a transform, perhaps none.

    Args:
        owner: The transform.
        results: What it is called with.

    Raises:
        ValueError: Nobody has loaded any: it is in no multi-image wrapper.
    """
    if "mix_results" not in results:
        raise ValueError(
            f"imb_det.{type(owner).__name__} is given one image alone (no "
            "`mix_results`). It must be a step of the outer pipeline of "
            "`dict(type='MultiImageMixDataset', dataset=dict(...), pipeline=[...])`, "
            "not of the data set's own, and not inside `RandomApply`"
        )
    return list(results["mix_results"])
