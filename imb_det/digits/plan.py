"""Plan the long-tailed digits: how frequent each class is, what an image shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .scenes import NUM_DIGITS, STYLE_HUES

CLASSES = tuple(
    f"{digit}_{style}" for digit in range(NUM_DIGITS) for style in STYLE_HUES
)
MAX_DIGITS = 4
MIN_IMAGES = 40
SPLITS = ("train", "val")

# Share of the training images that show the most frequent class: 800 of 1500.
_HEAD_IMAGES, _HEAD_OF = 800, 1500
_ZIPF_SHIFT, _ZIPF_EXPONENT = 2, 2
_VAL_CLASSES_PER_IMAGE = 2
_TWICE_PROBABILITY = 0.15
# One random stream for each purpose, and for each image of a split.
_RANK_STREAM, GLYPH_STREAM, _PLAN_STREAM, IMAGE_STREAM = range(4)


@dataclass(frozen=True)
class DigitsOptions:
    """What the files of the data set depend on.

    Args:
        seed: Seed of everything random, 0 or more.
        num_train: Training images, 40 or more. The images per class grow in
            proportion; all three frequency groups exist for 200 to 3500.
        num_val: Validation images, 40 or more.

    Raises:
        TypeError: If an option is not an int.
        ValueError: If an option is too small.
    """

    seed: int = 0
    num_train: int = 1500
    num_val: int = 800

    def __post_init__(self) -> None:
        limits = {"seed": 0, "num_train": MIN_IMAGES, "num_val": MIN_IMAGES}
        for name, low in limits.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} must be an int, got {value!r}")
            if value < low:
                raise ValueError(f"{name} must be {low} or more, got {value}")

    def num_images(self, split: str) -> int:
        """Return the number of images of ``"train"`` or ``"val"``."""
        return self.num_train if split == "train" else self.num_val


def generator(options: DigitsOptions, *key: int) -> np.random.Generator:
    """Return the random generator of one purpose.

    Args:
        options: Only the seed matters.
        *key: The stream, and where it has several, split and image.

    Returns:
        A generator that depends on nothing else, so an image can be drawn alone.
    """
    return np.random.default_rng(np.random.SeedSequence(options.seed, spawn_key=key))


def class_ranking(options: DigitsOptions) -> NDArray[np.int64]:
    """Choose which class is the most frequent, the second, ..., the rarest.

    Args:
        options: Only the seed matters.

    Returns:
        Class indices by falling frequency, shape (40,). Every run of 4 ranks
        (1-4, 5-8, ...) has all colours and every run of 10 all digits, so neither
        digit nor colour alone tells how frequent a class is.
    """
    rng = generator(options, _RANK_STREAM)
    digits, styles = rng.permutation(NUM_DIGITS), rng.permutation(len(STYLE_HUES))
    rank = np.arange(len(CLASSES))
    # A digit returns every 10 ranks with its colour 2 further; the extra step after
    # 20 ranks gives it the other two colours, so each pair occurs exactly once.
    style = (rank + rank // 20) % len(STYLE_HUES)
    digit = rank % NUM_DIGITS
    ranking: NDArray[np.int64] = digits[digit] * len(STYLE_HUES) + styles[style]
    return ranking


def planned_image_counts(options: DigitsOptions, split: str) -> NDArray[np.int64]:
    """Compute how many images show each class.

    Training follows a Zipf-Mandelbrot law over the rank k = 1..40,
    ``round(n_max * ((1 + q) / (k + q)) ** s)`` with q = s = 2 and n_max = 800 for
    1500 images, at least 1; validation is uniform.

    Args:
        options: Seed and sizes.
        split: ``"train"`` or ``"val"``.

    Returns:
        Images per class in the order of :data:`CLASSES`, shape (40,).
    """
    num_images, num_classes = options.num_images(split), len(CLASSES)
    if split == "val":
        per_class = round(_VAL_CLASSES_PER_IMAGE * num_images / num_classes)
        return np.full(num_classes, per_class, dtype=np.int64)
    head = num_images * _HEAD_IMAGES / _HEAD_OF
    rank = np.arange(1, num_classes + 1)
    law = head * ((1 + _ZIPF_SHIFT) / (rank + _ZIPF_SHIFT)) ** _ZIPF_EXPONENT
    counts = np.empty(num_classes, dtype=np.int64)
    counts[class_ranking(options)] = np.maximum(1, np.rint(law))
    return counts


def plan_images(options: DigitsOptions, split: str) -> list[list[int]]:
    """Choose the digits of every image.

    Args:
        options: Seed and sizes.
        split: ``"train"`` or ``"val"``.

    Returns:
        One to four class indices for each image. Exactly
        :func:`planned_image_counts` images hold a class; some hold it twice.
    """
    rng = generator(options, _PLAN_STREAM, SPLITS.index(split))
    num_images, num_classes = options.num_images(split), len(CLASSES)
    counts = planned_image_counts(options, split)
    # One class for each image first, so that no image stays empty.
    slots = rng.permutation(np.repeat(np.arange(num_classes), counts))
    first, others = np.split(slots, [num_images])
    holds = np.zeros((num_images, num_classes), dtype=np.bool_)
    holds[np.arange(num_images), first] = True
    missing = np.bincount(others, minlength=num_classes)
    for label in np.argsort(-missing, kind="stable"):
        free = np.flatnonzero((holds.sum(1) < MAX_DIGITS) & ~holds[:, label])
        holds[rng.choice(free, missing[label], replace=False), label] = True
    plan = []
    for row in holds:
        present = np.flatnonzero(row)
        twice = present[rng.random(present.size) < _TWICE_PROBABILITY]
        labels = np.concatenate([present, twice[: MAX_DIGITS - present.size]])
        plan.append(rng.permutation(labels).tolist())
    return plan
