"""Draw scenes of scikit-learn's handwritten digits, with boxes and masks."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

IMAGE_SIZE = 320
MAX_BOX_IOU = 0.1
NUM_DIGITS = 10
# Name and hue in degrees; at least 55 degrees apart, and jittered by 8 at most.
STYLE_HUES = {"red": 0, "yellow": 56, "green": 128, "blue": 216}

_HUE_JITTER = 8
_DRAWN_HEIGHT = (20, 56)
_MASK_LEVEL = 128
_TRAIN_SHARE = 0.7
_GLYPH_SCALE = 8

Box = tuple[int, int, int, int]
Glyphs = list[list[Image.Image]]


@dataclass(frozen=True)
class DrawnDigit:
    """One digit of a scene.

    Args:
        label: Class index, ``digit * len(STYLE_HUES) + style``.
        bbox: Tight pixel box ``(x, y, width, height)``, 0-based.
        mask: Boolean array over the whole scene; masks of a scene are disjoint.
    """

    label: int
    bbox: Box
    mask: NDArray[np.bool_]


def load_glyphs(rng: np.random.Generator) -> tuple[Glyphs, Glyphs]:
    """Load the handwritten digits, split into disjoint training and validation sets.

    Args:
        rng: Draws the split, digit by digit.

    Returns:
        Two lists with, for each digit 0 to 9, its glyphs as opacity images (70 %
        for training, the rest for validation).

    Raises:
        ImportError: If scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "the long-tailed digits are drawn from scikit-learn's handwritten "
            'digits: pip install "imb-det[demo]"'
        ) from error
    digits = load_digits()
    train: Glyphs = []
    val: Glyphs = []
    for digit in range(NUM_DIGITS):
        glyphs = [_smooth_glyph(g) for g in digits.images[digits.target == digit]]
        order = rng.permutation(len(glyphs))
        cut = round(_TRAIN_SHARE * len(glyphs))
        train.append([glyphs[i] for i in order[:cut]])
        val.append([glyphs[i] for i in order[cut:]])
    return train, val


def _smooth_glyph(levels: NDArray[np.float64]) -> Image.Image:
    """Turn an 8 x 8 glyph of 0..16 into a smooth opacity image, cut tight."""
    padded = np.pad(levels * 255 / 16, 1).astype(np.uint8)
    side = len(padded) * _GLYPH_SCALE
    smooth = Image.fromarray(padded).resize((side, side), Image.Resampling.BICUBIC)
    # Raise the contrast: strokes become solid, the small holes of 4, 6, 8, 9 open.
    solid = np.clip((np.asarray(smooth, dtype=np.int32) - 64) * 5 // 2, 0, 255)
    return Image.fromarray(_cut_tight(solid.astype(np.uint8)))


def _cut_tight(opacity: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut to the smallest box that holds all pixels of the mask."""
    mask = opacity >= _MASK_LEVEL
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return opacity[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _texture(
    rng: np.random.Generator, cells: int, channels: int, amplitude: int
) -> NDArray[np.int32]:
    """Draw smooth noise in ``-amplitude..amplitude``, shape (size, size, channels)."""
    grid = rng.integers(0, 256, (cells, cells, channels), dtype=np.uint8)
    mode_grid = grid if channels == 3 else grid[..., 0]
    smooth = Image.fromarray(mode_grid).resize(
        (IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC
    )
    values = np.asarray(smooth, dtype=np.int32).reshape(IMAGE_SIZE, IMAGE_SIZE, -1)
    return (values - 128) * amplitude // 128


def _background(rng: np.random.Generator) -> NDArray[np.int32]:
    """Draw a greyish background: light level, coloured clouds, grey blotches."""
    level = int(rng.integers(70, 150))
    return level + _texture(rng, 6, 3, 30) + _texture(rng, 40, 1, 28)


def _pixel_noise(rng: np.random.Generator) -> NDArray[np.int32]:
    """Draw grey pixel noise: the sum of two dice, -12..12, so no float rounding."""
    dice = rng.integers(-6, 7, (2, IMAGE_SIZE, IMAGE_SIZE, 1), dtype=np.int32)
    noise: NDArray[np.int32] = dice[0] + dice[1]
    return noise


def _style_colour(style: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Draw one RGB colour of a style."""
    hue = list(STYLE_HUES.values())[style] + rng.uniform(-_HUE_JITTER, _HUE_JITTER)
    saturation, value = rng.uniform(0.75, 1.0), rng.uniform(0.75, 1.0)
    rgb = colorsys.hsv_to_rgb(hue % 360 / 360, saturation, value)
    return np.array([round(255 * channel) for channel in rgb], dtype=np.int32)


def box_iou(first: Box, second: Box) -> float:
    """Return the intersection over union of two ``(x, y, width, height)`` boxes.

    Args:
        first: One box.
        second: The other box.

    Returns:
        A number in [0, 1].
    """
    (x1, y1, w1, h1), (x2, y2, w2, h2) = first, second
    width = max(0, min(x1 + w1, x2 + w2) - max(x1, x2))
    height = max(0, min(y1 + h1, y2 + h2) - max(y1, y2))
    return width * height / (w1 * h1 + w2 * h2 - width * height)


def draw_scene(
    labels: Sequence[int], glyphs: Glyphs, rng: np.random.Generator
) -> tuple[Image.Image, list[DrawnDigit]]:
    """Draw one scene.

    Args:
        labels: Class index of each digit to draw, at most four.
        glyphs: The glyphs of each digit, from :func:`load_glyphs`.
        rng: The generator of this scene alone.

    Returns:
        The RGB image and its digits, in the order of ``labels``.
    """
    canvas = _background(rng)
    taken = np.zeros((IMAGE_SIZE, IMAGE_SIZE), dtype=np.bool_)
    drawn: list[DrawnDigit] = []
    for label in labels:
        digit, style = divmod(label, len(STYLE_HUES))
        glyph = glyphs[digit][rng.integers(len(glyphs[digit]))]
        height = int(rng.integers(_DRAWN_HEIGHT[0], _DRAWN_HEIGHT[1] + 1))
        stretch = height / glyph.height * rng.uniform(0.85, 1.15)
        resized = glyph.resize(
            (max(1, round(glyph.width * stretch)), height), Image.Resampling.BICUBIC
        )
        opacity = _cut_tight(np.asarray(resized))
        shape = opacity >= _MASK_LEVEL
        height, width = shape.shape
        # Three boxes rule out about half of the positions at most: this ends soon.
        while True:
            # One free pixel on each side keeps the VOC corners inside the image.
            x = int(rng.integers(1, IMAGE_SIZE - width))
            y = int(rng.integers(1, IMAGE_SIZE - height))
            box = (x, y, width, height)
            window = (slice(y, y + height), slice(x, x + width))
            if not taken[window][shape].any() and all(
                box_iou(box, other.bbox) <= MAX_BOX_IOU for other in drawn
            ):
                break
        mask = np.zeros_like(taken)
        mask[window] = shape
        taken |= mask
        colour = _style_colour(style, rng)
        blend = (colour - canvas[window]) * opacity[..., None].astype(np.int32)
        canvas[window] += blend // 255
        drawn.append(DrawnDigit(label, box, mask))
    pixels = np.clip(canvas + _pixel_noise(rng), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels), drawn
