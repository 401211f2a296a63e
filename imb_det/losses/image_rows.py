"""Which image each row of a call is of, and what is known of that image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .terms import Gathered

__all__ = ["ImageRows"]


class ImageRows:
    """The verified classes of the images of a step, and the images of the next rows.

    ``imb_det.FederatedHook`` fills it while the detector runs, and empties it after.

    Args:
        owner: Name of the loss, for messages.
    """

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.end()

    def begin(self, verified: Tensor) -> None:
        """Enter a step.

        Args:
            verified: 1 for classes that are verified in an image, float32 (B, C).
        """
        self._verified: Tensor | None = verified

    def set_images(self, images: Tensor) -> None:
        """Say of which image each row of the calls to come is, int (N,)."""
        self._images: Tensor | None = images

    def set_levels(self, sizes: Sequence[int]) -> None:
        """Say that rows are level by level, images within, with these sizes."""
        self._sizes: tuple[int, ...] | None = tuple(sizes)

    def set_calls(self, images: Sequence[Tensor]) -> None:
        """Say of which image each row of each of the next calls is, int (N,).

        Calls that come after them have as many rows of each image.
        """
        self._calls: list[Tensor] = list(images)

    def end(self) -> None:
        """Leave the step."""
        self._verified = self._images = self._sizes = None
        self._calls = []

    @property
    def num_images(self) -> int:
        """Images of the step, B."""
        return 0 if self._verified is None else len(self._verified)

    def verified(self, rows: int, classes: int) -> Gathered:
        """Return 1 for the classes that are verified in the image of each row.

        Args:
            rows: N of the call.
            classes: C of the call.

        Raises:
            RuntimeError: Nobody has said so; names the line that is missing.
            ValueError: Another number of rows or classes.
        """
        if self._verified is None:
            raise RuntimeError(
                f"{self.owner}: `source='annotation'` needs to know of which image a "
                "row is; add `dict(type='imb_det.FederatedHook')` to `custom_hooks` "
                "(the loss is computed in `detector(..., mode='loss')` alone)"
            )
        if self._verified.size(1) != classes:
            raise ValueError(
                f"{self.owner}: the annotation file has {self._verified.size(1)} "
                f"classes for the data set, but the head has {classes}"
            )
        return Gathered(self._verified, self._image_of(rows))

    def _image_of(self, rows: int) -> Tensor:
        """Return the image of each row, int64 (N,)."""
        images = torch.arange(self.num_images, device=self._verified.device)  # type: ignore[union-attr]
        if self._calls:
            found = self._calls.pop(0)
        elif self._images is not None:
            found = self._images
        elif self._sizes is not None:
            parts = [images.repeat_interleave(size) for size in self._sizes]
            found = torch.cat(parts)
        else:
            found = images.repeat_interleave(rows // max(self.num_images, 1))
        if len(found) != rows:
            raise ValueError(
                f"{self.owner}: `source='annotation'` knows the images of "
                f"{len(found)} rows, but the head passes {rows}"
            )
        return found
