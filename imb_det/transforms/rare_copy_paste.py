"""Copy-paste of rare classes."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.structures.bbox import autocast_box_type
from mmengine.logging import print_log

from imb_det.core.checks import check_number
from imb_det.registry import TRANSFORMS
from imb_det.statistics import ClassStats
from imb_det.statistics.dataset_access import image_of_index
from imb_det.statistics.label_cache import label_table
from imb_det.statistics.label_table import LabelTable
from imb_det.statistics.repeat_factors import RepeatRule

from .pasting import Cutout, cut_out
from .scene import Scene, corners_of, ignored_of
from .weighted_partners import mixed_in

__all__ = ["RareCopyPaste"]


@TRANSFORMS.register_module()
class RareCopyPaste(BaseTransform):
    r"""Paste objects of rare classes into images.

    With probability ``prob`` an image gets 1 to ``max_objects`` objects. For each, a
    class is drawn in proportion to its repeat factor above 1,

    .. math:: P_c \propto \max\left(1, (t / f_c)^p\right) - 1

    (so frequent classes are never pasted), then an image that holds it, then one object
    of that image whose class is rare, by the same chances. Objects are cut along
    their masks where there are masks, else with their boxes; they are resized, mirrored
    and pasted wholly inside the image, at a place where no object, pasted and ignored
    ones included, comes to be hidden by more than ``max_hidden`` in all. Where none is
    found in ``max_tries`` tries, the object is left out. Masks, bitmaps from then on,
    lose what is hidden, and their boxes shrink with them; boxes without masks stay.
    Pasted objects are not ignored.

    It stands in the pipeline of ``MultiImageMixDataset``. The classes of the images
    are those that a sampler of the library has read, else it reads them itself.

    Args:
        prob: Probability that an image gets objects, 0 to 1. Default: 0.5.
        max_objects: Most objects that an image gets, >= 1. Default: 3.
        repeat_thr: Threshold t on the image frequency of a class, a number or
            ``'auto'``, see :class:`imb_det.RepeatFactorSampler`. Default: ``'auto'``.
        power: Exponent p, >= 0. Default: 0.5.
        max_hidden: Largest share of an object that may be hidden, 0 to 1. Default: 0.3.
        scale_range: Smallest and largest factor of the size. Default: (0.8, 1.25).
        flip_prob: Probability that an object is mirrored, 0 to 1. Default: 0.5; use 0
            for classes that look different then, such as digits.
        max_tries: Places that are tried for an object, >= 1. Default: 10.

    Raises:
        ValueError, TypeError: Names the argument, what was given and what is valid; or
            a pipeline with semantic maps, which are not pasted, or no other images.

    Example:
        >>> paste = dict(type="imb_det.RareCopyPaste", repeat_thr=1e-3)

    Source: Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for
    Instance Segmentation", CVPR 2021, which pastes a random subset of all objects at
    the place that they have. Chances by rarity, places and their rejection are our own.
    """

    def __init__(
        self,
        prob: float = 0.5,
        max_objects: int = 3,
        repeat_thr: float | str = "auto",
        power: float = 0.5,
        max_hidden: float = 0.3,
        scale_range: tuple[float, float] = (0.8, 1.25),
        flip_prob: float = 0.5,
        max_tries: int = 10,
    ) -> None:
        name = type(self).__name__
        self.rule = RepeatRule(name, repeat_thr, power)
        for key, value in dict(
            prob=prob, max_hidden=max_hidden, flip_prob=flip_prob
        ).items():
            check_number(name, key, value, 0, 1)
        for key, number in dict(max_objects=max_objects, max_tries=max_tries).items():
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ValueError(
                    f"{name}: `{key}` must be a whole number >= 1, got {number!r}"
                )
        if not isinstance(scale_range, (tuple, list)) or len(scale_range) != 2:
            raise TypeError(
                f"{name}: `scale_range` must be two numbers, got {scale_range!r}"
            )
        for factor in scale_range:
            check_number(name, "scale_range", factor, 0, None, open_ends=True)
        if scale_range[0] > scale_range[1]:
            raise ValueError(f"{name}: `scale_range` must ascend, got {scale_range!r}")
        self.prob = prob
        self.max_objects = max_objects
        self.max_hidden = max_hidden
        self.scale_range = scale_range
        self.flip_prob = flip_prob
        self.max_tries = max_tries
        self._chances: np.ndarray | None = None  # of the classes, (C,)
        self._holders: dict[int, np.ndarray] = {}  # images by class

    def set_partners(self, table: LabelTable, weights: np.ndarray) -> None:
        """Take the classes of the images; the weights of a sampler do not matter.

        Args:
            table: Classes of each image of the wrapped data set.
            weights: Not used.
        """
        if self._chances is not None:  # of the same data set, at a later epoch
            return
        repeats = self.rule.of_classes(ClassStats.from_table(table))
        chances = repeats.factors - 1
        if chances.sum() == 0:
            print_log(
                "RareCopyPaste does nothing: no class is rarer than "
                f"{repeats.threshold:.4g} (repeat_thr={self.rule.repeat_thr!r})",
                logger="current",
                level=logging.WARNING,
            )
        else:
            chances /= chances.sum()
        self._chances = chances
        image, label = table.pairs
        rare = np.flatnonzero(chances)
        self._holders = {int(c): image[label == c] for c in rare}

    def in_effect(self) -> tuple[str, str]:
        """Return how many classes are rare, and how often objects are pasted."""
        if self._chances is None:
            return "nothing", "pastes nothing"
        number = int((self._chances > 0).sum())
        return (
            f"repeat_thr={self.rule.repeat_thr!r}: {number} classes",
            f"pastes up to {self.max_objects} objects into {self.prob:.0%} of pictures",
        )

    @cache_randomness
    def get_indexes(self, dataset: Any) -> list[int]:
        """Return the indices of the images to cut objects from, perhaps none.

        Args:
            dataset: The wrapped data set.
        """
        if self._chances is None:
            self.set_partners(_table_by_index(dataset), np.ones(0))
        if self._chances is None or not self._holders:
            return []
        if np.random.random_sample() >= self.prob:  # noqa: NPY002
            return []
        number = np.random.randint(1, self.max_objects + 1)  # noqa: NPY002
        labels = np.random.choice(  # noqa: NPY002
            len(self._chances), number, p=self._chances
        )
        return [
            int(np.random.choice(self._holders[c]))  # noqa: NPY002
            for c in labels.tolist()
        ]

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Paste objects of the other images.

        Args:
            results: Of the loading pipeline, with ``mix_results`` of the others.
        """
        if results.get("gt_seg_map") is not None:
            raise ValueError(
                "RareCopyPaste pastes boxes and masks, not semantic maps: use "
                "`with_seg=False` in `LoadAnnotations`"
            )
        scene = Scene(results)
        for source in mixed_in(self, results):
            cutout = self._choose(source)
            if cutout is not None:
                self._paste(scene, cutout)
        return scene.write(results)

    def __repr__(self) -> str:
        """Return the class with its arguments."""
        public = {k: v for k, v in vars(self).items() if not k.startswith("_")}
        arguments = ", ".join(f"{name}={value!r}" for name, value in public.items())
        return f"{type(self).__name__}({arguments})"

    def _choose(self, source: dict) -> Cutout | None:
        """Cut one object of a rare class out of an image, changed at random."""
        labels = np.asarray(source["gt_bboxes_labels"])
        chances = np.zeros(len(labels))
        if self._chances is not None and len(labels):
            chances = self._chances[labels] * ~ignored_of(source)
        if not chances.sum() > 0:
            return None
        i = np.random.choice(len(labels), p=chances / chances.sum())  # noqa: NPY002
        masks = source.get("gt_masks")
        mask = None if masks is None else masks[[i]].to_ndarray()[0].astype(bool)
        box = corners_of(source["gt_bboxes"])[i]
        found = cut_out(source["img"], box, mask, int(labels[i]))
        if found is None:
            return None
        scale = np.random.uniform(*self.scale_range)  # noqa: NPY002
        is_flipped = np.random.random_sample() < self.flip_prob  # noqa: NPY002
        return found.changed(scale, bool(is_flipped))

    def _paste(self, scene: Scene, cutout: Cutout) -> None:
        """Paste an object where it hides little, or nowhere."""
        height, width = cutout.mask.shape
        room = scene.image.shape[1] - width, scene.image.shape[0] - height
        if min(room) < 0 or not cutout.mask.any():
            return
        for _ in range(self.max_tries):
            x, y = (int(np.random.randint(0, r + 1)) for r in room)  # noqa: NPY002
            if not (scene.hidden_with(cutout, (x, y)) > self.max_hidden).any():
                scene.add(cutout, (x, y))
                return


def _table_by_index(dataset: Any) -> LabelTable:
    """Read the classes of each index of a data set."""
    return label_table(dataset).take(image_of_index(dataset))
