"""The share of positive candidates of a dense head, counted from annotations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .blank_images import labelled_indices
from .boxes import TrainingBoxes
from .resizing import is_arithmetic
from .target_counts import count_targets
from .training_boxes import epoch_weights, training_boxes

__all__ = ["ForegroundPrior", "foreground_prior"]

_IMAGES_PER_STEP = 512


@dataclass(frozen=True)
class ForegroundPrior:
    r"""Counts of candidates, and the bias that starts training at their optimum.

    With N candidates of which N_f are positive, C independent sigmoids, and one
    probability pi predicted everywhere, the classification loss per positive

    .. math:: L(\pi) = -\log \pi - (N C / N_f - 1) \log(1 - \pi)

    is least at ``prior`` = N_f / (N C), that is at ``bias`` = -log(N C / N_f - 1).

    Args:
        num_candidates: N, positive and negative candidates; ignored ones left out.
        num_foreground: N_f, positive candidates.
        num_classes: C.
        num_images: Images counted.
        relative_error: Standard error of N_f / N relative to it; 0 if every image
            was counted, at one draw of its size where sizes are random.

    Raises:
        ValueError: No candidate is positive, or all are: no finite bias exists.

    Source: Chen et al., "Is Heuristic Sampling Necessary in Training Deep Object
    Detectors?", IEEE TIP 2021, optimal bias initialisation. Counted as in the
    authors' first public code; unlike it, anchors that the assigner ignores count
    neither as positive nor as negative.
    """

    num_candidates: int
    num_foreground: int
    num_classes: int
    num_images: int
    relative_error: float = 0.0

    def __post_init__(self) -> None:
        if self.num_classes < 1:
            raise ValueError(
                f"`num_classes` must be at least 1, got {self.num_classes}"
            )
        if not 0 < self.num_foreground < self.num_candidates * self.num_classes:
            raise ValueError(
                f"{self.num_foreground} of {self.num_candidates} candidates in "
                f"{self.num_images} images are positive: no finite bias follows. Do "
                "the images hold boxes, and do the anchors fit their sizes?"
            )

    @property
    def prior(self) -> float:
        """Probability pi* = N_f / (N C)."""
        return self.num_foreground / (self.num_candidates * self.num_classes)

    @property
    def bias(self) -> float:
        """Bias b = -log((1 - pi*) / pi*)."""
        return -math.log(1 / self.prior - 1)

    def to_dict(self) -> dict:
        """Return the counts as plain numbers."""
        return asdict(self)

    def __str__(self) -> str:
        """Return one line with all that a log needs."""
        how = f"+-{self.relative_error:.1%}" if self.relative_error else "all"
        return (
            f"N = {self.num_candidates:,} candidates, N_f = {self.num_foreground:,} "
            f"positive (N / N_f = {self.num_candidates / self.num_foreground:.0f}), "
            f"C = {self.num_classes}, over {self.num_images:,} images ({how}): "
            f"prior {self.prior:.3e}, bias {self.bias:.4f}"
        )


def _relative_error(positive: np.ndarray, total: np.ndarray, of_images: int) -> float:
    """Standard error of sum(positive) / sum(total) over the ratio, by linearisation."""
    n = len(positive)
    if n == of_images:
        return 0.0
    if n < 2 or not positive.any():
        return math.inf
    ratio = positive.sum() / total.sum()
    residual = positive - ratio * total
    variance = residual.var(ddof=1) / n * (1 - n / of_images)
    return float(math.sqrt(variance) / (ratio * total.mean()))


def foreground_prior(
    dataset: Any,
    head: Any,
    pad_size_divisor: int = 32,
    max_relative_error: float | None = None,
    boxes: TrainingBoxes | None = None,
    weights: np.ndarray | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ForegroundPrior:
    """Count positive and all candidates of a dense head over a training set.

    Image sizes and boxes follow from the annotations and the data set's transforms;
    no pixel is read. Each image is padded to a multiple of ``pad_size_divisor`` as in
    a batch, the head's anchor generator covers it, and the head's assigner decides.
    A plain max-IoU assignment is counted for many images at once, any other through
    the head's ``get_targets``, image by image; both give the same numbers. Images that
    a wrapper repeats count as often as an epoch shows them, up to a common factor. A
    random flip is left out, other random sizes and boxes are drawn once, and where the
    transforms must be run for them (crops, mosaics), for 5,000 images at most.
    Where points count on all of a batch's padding, as in FCOS, those that a larger
    image in the batch adds to a smaller one are not known, and N is a little low.

    Args:
        dataset: Built mmengine data set, wrapped in any way.
        head: Dense head of mmdet with anchors or points whose ``get_targets`` needs no
            predictions, such as RetinaHead, RPNHead, ATSSHead, GFLHead and FCOSHead;
            on any device.
        pad_size_divisor: That of the model's data preprocessor, pixels, at least 1.
        max_relative_error: Stop when the standard error of N_f / N, relative to it,
            falls below this; images are visited in a fixed random order. None, the
            default, counts every image.
        boxes: :func:`training_boxes` of the data set, if already at hand.
        weights: How often each image of ``boxes`` counts, int (n,). None, the default:
            as often as an epoch of ``dataset`` shows it, or once with ``boxes`` given.
        progress: Called with (images done, images in all).

    Returns:
        Counts, prior and bias.

    Raises:
        ValueError: No positive candidate at all, or a bad argument.
    """
    if pad_size_divisor < 1:
        raise ValueError(f"`pad_size_divisor` must be >= 1, got {pad_size_divisor}")
    if max_relative_error is not None and not 0 < max_relative_error < 1:
        raise ValueError(
            f"`max_relative_error` must be None or in (0, 1), got {max_relative_error}"
        )
    table = training_boxes(dataset) if boxes is None else boxes
    if weights is None and boxes is None and is_arithmetic(dataset):
        weights = epoch_weights(dataset)
    is_whole = dataset is None or is_arithmetic(dataset)
    of_images = len(table) if is_whole else len(labelled_indices(dataset))
    order: np.ndarray = np.arange(len(table))
    if max_relative_error is not None:
        order = np.random.default_rng(0).permutation(order)
    counts = np.zeros((2, len(order)), np.int64)
    done, error = 0, 0.0
    for start in range(0, len(order), _IMAGES_PER_STEP):
        part = table.select(order[start : start + _IMAGES_PER_STEP])
        pad_shape = -(-part.img_shape // pad_size_divisor) * pad_size_divisor
        done += len(part)
        counts[:, start:done] = count_targets(head, part, pad_shape)
        if weights is not None:
            counts[:, start:done] *= weights[order[start:done]]
        if progress is not None:
            progress(done, len(order))
        error = _relative_error(counts[0, :done], counts[1, :done], of_images)
        if max_relative_error is not None and error < max_relative_error:
            break
    positive, total = counts.sum(1).tolist()
    return ForegroundPrior(total, positive, int(head.num_classes), done, error)
