"""Cuts objects out of images and pastes them into others."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

__all__ = ["Cutout", "cut_out", "hidden_shares", "tight_boxes"]


@dataclass(frozen=True)
class Cutout:
    """An object without its surroundings.

    Args:
        pixels: Its box in the image, (h, w) or (h, w, channels).
        mask: Which of the pixels belong to it, bool (h, w).
        label: Class index.
    """

    pixels: np.ndarray
    mask: np.ndarray
    label: int

    def changed(self, scale: float, is_flipped: bool) -> Cutout:
        """Return it resized, and mirrored if wanted, at least one pixel large."""
        height, width = self.mask.shape
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = cv2.resize(self.pixels, size, interpolation=cv2.INTER_LINEAR)
        # OpenCV leaves out a dimension of one channel.
        pixels = pixels.reshape(*pixels.shape[:2], *self.pixels.shape[2:])
        mask = cv2.resize(
            self.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST
        ).astype(bool)
        if is_flipped:
            pixels, mask = pixels[:, ::-1], mask[:, ::-1]
        return Cutout(pixels, mask, self.label)


def cut_out(
    image: np.ndarray, box: np.ndarray, mask: np.ndarray | None, label: int
) -> Cutout | None:
    """Cut an object out.

    Args:
        image: (height, width) or (height, width, channels).
        box: Corners x1, y1, x2, y2 in pixels, (4,).
        mask: Which pixels of the image belong to it, bool (height, width); None for
            all of its box.
        label: Class index.

    Returns:
        The object, or None where nothing of it is inside the image.
    """
    height, width = image.shape[:2]
    if mask is not None:
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        if not len(rows):
            return None
        x1, y1, x2, y2 = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    else:
        x1, y1 = np.maximum(np.floor(box[:2] + 0.5), 0).astype(int)
        x2, y2 = np.minimum(np.floor(box[2:] + 0.5), (width, height)).astype(int)
        if x2 <= x1 or y2 <= y1:
            return None
    window = np.s_[y1:y2, x1:x2]
    inside = np.ones((y2 - y1, x2 - x1), bool) if mask is None else mask[window]
    return Cutout(image[window], inside, label)


def hidden_shares(
    pasted: np.ndarray,
    corner: tuple[int, int],
    boxes: np.ndarray,
    masks: np.ndarray,
    areas: np.ndarray,
) -> np.ndarray:
    """Return how much of each object a pasted one hides.

    Args:
        pasted: Which pixels of its box the pasted object fills, bool (h, w).
        corner: Left and upper edge of that box in the image.
        boxes: Corners of the objects, float (n, 4).
        masks: What is seen of them, bool (n, height, width); (0, ...) where there are
            only boxes.
        areas: Pixels of each object, seen or not, (n,); 0 where the box stands for it.

    Returns:
        Shares of their areas, float64 (n,), in [0, 1].
    """
    x, y = corner
    height, width = pasted.shape
    # The sum over any rectangle of pixels, from four entries of a table.
    table = np.pad(pasted.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    low = np.floor(boxes[:, :2] - (x, y) + 0.5).astype(int)
    high = np.floor(boxes[:, 2:] - (x, y) + 0.5).astype(int)
    x1, y1 = np.clip(low, 0, (width, height)).T
    x2, y2 = np.clip(high, 0, (width, height)).T
    covered = table[y2, x2] - table[y1, x2] - table[y2, x1] + table[y1, x1]
    sizes = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1)
    if len(masks):
        window = masks[:, y : y + height, x : x + width]
        covered = np.where(areas > 0, (window & pasted).sum((1, 2)), covered)
    return np.minimum(covered / np.where(areas > 0, areas, sizes), 1.0)


def tight_boxes(masks: np.ndarray) -> np.ndarray:
    """Return the boxes around masks.

    Args:
        masks: Bool (n, height, width), each with a pixel.

    Returns:
        Corners x1, y1, x2, y2, the last two outside, float32 (n, 4).
    """
    height, width = masks.shape[1:]
    columns, rows = np.asarray(masks.any(1)), np.asarray(masks.any(2))
    return np.stack(
        [
            columns.argmax(1),
            rows.argmax(1),
            width - columns[:, ::-1].argmax(1),
            height - rows[:, ::-1].argmax(1),
        ],
        1,
    ).astype(np.float32)
