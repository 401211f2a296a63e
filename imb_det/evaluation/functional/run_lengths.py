"""Run lengths of masks, read and checked many at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

from imb_det.statistics.run_length_code import pixels_of

__all__ = ["EncodedMasks", "MaskError", "checked_masks"]

_AT_ONCE = 2000  # masks that are read together, which bounds the memory


class MaskError(ValueError):
    """A mask that is none.

    Args:
        number: Its place among the masks.
        reason: What is wrong.
    """

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(reason)
        self.number = number


class EncodedMasks:
    """Masks of one image, checked, as run lengths.

    Args:
        size: Height and width.
        counts: Run lengths of each, compressed as COCO does, length n.
        area: Pixels of each, float64 (n,).
    """

    def __init__(
        self,
        size: tuple[int, int],
        counts: Sequence[bytes] | np.ndarray,
        area: np.ndarray,
    ) -> None:
        self.size = size
        self.counts = np.empty(len(counts), object)
        self.counts[:] = counts
        self.area = area

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def rles(self) -> list[dict[str, Any]]:
        """In COCO's form."""
        return [{"size": list(self.size), "counts": counts} for counts in self.counts]

    @classmethod
    def of_image(
        cls, image_id: Any, size: tuple[int, int], masks: Sequence[Any]
    ) -> EncodedMasks:
        """Check the masks of an image.

        Args:
            image_id: Of the image, for messages.
            size: Its height and width.
            masks: RLEs, see :func:`checked_masks`.

        Raises:
            ValueError: No RLE, or one of another size; names image and detection.
        """
        try:
            counts, area = checked_masks(masks)
        except MaskError as error:
            text = f"image {image_id!r}, detection {error.number}: {error}"
            raise ValueError(text) from error
        for mask in masks:
            if tuple(mask["size"]) != size:
                raise ValueError(
                    f"image {image_id!r} is {list(size)} (height, width), but a "
                    f"predicted mask is {list(mask['size'])}"
                )
        return cls(size, counts, area)


def checked_masks(masks: Sequence[Any]) -> tuple[list[bytes], np.ndarray]:
    """Check run lengths: the library in C would not come to an end with bad ones.

    Args:
        masks: RLEs, each a mapping with ``size`` (height and width) and ``counts``, a
            list of numbers, bytes or a string; n of them.

    Returns:
        Run lengths, compressed as COCO does, and the pixels of each mask, float64 (n,).

    Raises:
        MaskError: No RLE, or runs that do not fill the size; holds the number.
    """
    counts = [_compressed(number, mask) for number, mask in enumerate(masks)]
    areas = [np.zeros(0)]
    for start in range(0, len(counts), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        total, area, is_valid = pixels_of(counts[part])
        sides = np.array([mask["size"] for mask in masks[part]], float)
        wanted = sides.prod(1)
        if not is_valid.all():
            place = start + int(np.argmin(is_valid))
            raise MaskError(place, "the run lengths of a mask are malformed")
        if not (total == wanted).all():
            place = int(np.argmin(total == wanted))
            height, width = masks[start + place]["size"]
            raise MaskError(
                start + place,
                f"the run lengths of a mask are for {total[place]:.0f} pixels, but its "
                f"size is {height} x {width}",
            )
        areas.append(area)
    return counts, np.concatenate(areas)


def _compressed(number: int, mask: Any) -> bytes:
    """Return the compressed run lengths of what should be an RLE."""
    size: Any = None
    counts: Any = None
    if type(mask) is dict or isinstance(mask, Mapping):  # the first is faster
        size, counts = mask.get("size"), mask.get("counts")
    is_size = isinstance(size, (list, tuple)) and len(size) == 2
    if not is_size or not (_is_side(size[0]) and _is_side(size[1])):
        raise MaskError(
            number,
            "a mask must be run lengths, a mapping with `size`, two whole numbers > 0, "
            f"and `counts`, got {mask!r:.80}",
        )
    if isinstance(counts, bytes):
        return counts
    try:
        if isinstance(counts, str):
            return counts.encode("ascii")
        height, width = map(int, size)
        runs = np.asarray(counts)
        if runs.ndim != 1 or runs.dtype.kind not in "iu" or (runs < 0).any():
            raise ValueError("no list of whole numbers >= 0")
        whole = {"size": [height, width], "counts": runs.tolist()}
        return bytes(mask_utils.frPyObjects(whole, height, width)["counts"])
    except (OverflowError, TypeError, ValueError) as error:
        reason = f"the run lengths of a mask are malformed ({error})"
        raise MaskError(number, reason) from None


def _is_side(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and bool(value > 0)
