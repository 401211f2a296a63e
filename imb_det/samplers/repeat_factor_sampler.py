"""Repeat factor sampling."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.logging import print_log

from imb_det.registry import DATA_SAMPLERS
from imb_det.statistics import ClassStats
from imb_det.statistics.repeat_factors import RepeatRule
from imb_det.statistics.systematic import epoch_length
from imb_det.statistics.target_level import balance_level

from .base import EpochSampler

__all__ = ["RepeatFactorSampler"]

_NO_CHANGE = 0.01  # level of balance that is as good as none


@DATA_SAMPLERS.register_module()
class RepeatFactorSampler(EpochSampler):
    r"""Show images with rare classes several times an epoch.

    .. math:: r_c = \max\left(1, (t / f_c)^p\right), \qquad r_i = \max_{c \in i} r_c

    An image is shown :math:`r_i` times an epoch on average, with whole numbers of
    copies drawn anew each epoch. (mmengine's ``ClassBalancedDataset`` rounds every
    factor up, once for all.) An epoch is as long as the sum of the factors, rounded,
    unless ``num_samples`` says how long it is.

    Args:
        dataset: Built mmengine data set, in any wrappers.
        repeat_thr: Threshold t on the frequency f of a class, 0 to 1 as frequencies
            are, or ``'auto'``: the frequency of the rarest class that is frequent (on
            more than 100 images, unless ``ImbalanceHook`` has other limits of groups),
            or the highest frequency if there is none. Default: 1e-3, as published for
            LVIS.
        power: Exponent p, >= 0. Default: 0.5.
        by: What the frequency is counted by: ``'image'`` (repeat factor sampling),
            ``'instance'``, or ``'geometric'``, the geometric mean of both
            (instance-aware repeat factor sampling). Default: ``'image'``.
        max_repeat: Largest factor, >= 1, or None. Default: None.
        seed: Seed that all ranks share. Default: None, drawn once for all ranks.
        shuffle: Whether to shuffle the epoch. Default: True.
        round_up: Whether to fill an epoch up until all ranks have equally many images.
            Default: True.
        num_samples: Images of an epoch, over all ranks, or ``'dataset'``: as many as
            the data set has. Default: None, the sum of the factors.

    Raises:
        ValueError, TypeError: Names the argument, what was given and what is valid.

    Example:
        >>> sampler = dict(type="imb_det.RepeatFactorSampler", repeat_thr="auto")

    Source: Gupta, Dollar, Girshick, "LVIS: A Dataset for Large Vocabulary Instance
    Segmentation", CVPR 2019, appendix B; Yaman et al., "Instance-Aware Repeat Factor
    Sampling for Long-Tailed Object Detection", 2023, arXiv 2305.08069. Exponent, limit
    and ``'auto'`` are our own; so is the systematic drawing, in place of independent
    random rounding, which makes epochs equally long.
    """

    def __init__(
        self,
        dataset: Any,
        repeat_thr: float | str = 1e-3,
        power: float = 0.5,
        by: str = "image",
        max_repeat: float | None = None,
        seed: int | None = None,
        shuffle: bool = True,
        round_up: bool = True,
        num_samples: int | str | None = None,
    ) -> None:
        self.rule = RepeatRule(type(self).__name__, repeat_thr, power, by, max_repeat)
        super().__init__(dataset, seed, shuffle, round_up, num_samples)

    def prepare(self) -> None:
        """Compute the factors of classes and images."""
        self.class_repeats = self.rule.of_classes(self.class_stats)
        self._factors = self.class_repeats.of_images(self.table)

    def set_class_stats(self, stats: ClassStats) -> None:
        """Take the limits of groups; ``'auto'`` goes by the classes called frequent.

        The length of an epoch stays, as schedules are made for it.
        """
        before = self.class_stats.group_limits
        super().set_class_stats(stats)
        if self.rule.repeat_thr != "auto" or stats.group_limits == before:
            return
        self.prepare()
        self.hand_over_weights(0)
        wanted = epoch_length(self._checked_weights(0)[self.image])
        if is_main_process():
            line = (
                f"{type(self).__name__}: {self.describe()}, by the limits of "
                f"ImbalanceHook; an epoch keeps its {self.length} images"
            )
            if wanted != self.length:
                line += f" (the factors sum to {wanted}: `num_samples={wanted}`)"
            print_log(line, logger="current")

    def image_weights(self, epoch: int) -> np.ndarray:
        """Return the repeat factors."""
        return self._factors

    def describe(self) -> str:
        """Return threshold and exponent."""
        rule, threshold = self.rule, self.class_repeats.threshold
        auto = " ('auto')" * (rule.repeat_thr == "auto")
        limit = "" if rule.max_repeat is None else f", at most {rule.max_repeat:g}"
        return (
            f"repeat_thr={threshold:.4g}{auto}, power={rule.power:g}, "
            f"by='{rule.by}'{limit}"
        )

    def notes(self) -> list[str]:
        """Say so where no class is below the threshold, or all classes come along."""
        name, rule = type(self).__name__, self.rule
        threshold = self.class_repeats.threshold
        frequency = self.class_repeats.frequency
        occurring = np.flatnonzero(frequency)
        if (self._factors[self.image] > 1).any() or not occurring.size:
            boxes = self.table.instances_of(self._factors * self.multiplicity)
            before = self.table.instances_of(self.multiplicity)
            if balance_level(boxes, before) > _NO_CHANGE:
                return []
            return [
                f"{name} hardly changes how balanced the classes are, only the length "
                "of the epoch: rare classes are on the same images as frequent ones"
            ]
        rarest = occurring[frequency[occurring].argmin()]
        if frequency[rarest] < threshold:
            return [
                f"{name} does nothing: power={rule.power:g} and max_repeat="
                f"{rule.max_repeat} make all repeat factors 1"
            ]
        what = f"'{self.class_stats.classes[rarest]}' ({frequency[rarest]:.4g})"
        return [
            f"{name} does nothing: no class is rarer than repeat_thr={threshold:.4g}, "
            f"the rarest is {what}, by '{rule.by}'. Raise `repeat_thr`, or use "
            "mmengine's DefaultSampler"
        ]
