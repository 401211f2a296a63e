"""Which images come into the pictures of a training, where transforms mix several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmdet.datasets.transforms import (
    CachedMixUp,
    CachedMosaic,
    CopyPaste,
    MixUp,
    Mosaic,
)

from imb_det.core.listener import PartnerListener
from imb_det.statistics.dataset_access import dataset_nodes, image_of_index, steps_of
from imb_det.statistics.label_table import LabelTable
from imb_det.transforms.weighted_partners import WeightedPartners

__all__ = ["Mixer", "Mixing", "mixing_of"]

_CACHED = (CachedMosaic, CachedMixUp)


@dataclass(frozen=True)
class Mixer:
    """A transform that brings other images into a picture, and how it chooses them.

    Args:
        step: The transform.
        way: ``'evenly'`` from the data set, by the ``'weights'`` of the sampler, from
            those that it has been ``'shown'``; ``'objects'`` of its own choice, or
            ``'unknown'``, where it is no transform of mmdet's or of this library.
    """

    step: Any
    way: str

    @property
    def name(self) -> str:
        """The type, as a config has it."""
        kind = type(self.step)
        return f"imb_det.{kind.__name__}" if _is_ours(kind) else kind.__name__

    @property
    def partners(self) -> float:
        """Other images of a picture, on average."""
        number = 3 if isinstance(self.step, Mosaic) else 1
        return number * float(getattr(self.step, "prob", 1.0))


@dataclass(frozen=True)
class Mixing:
    """Images of the pictures of an epoch.

    Args:
        mixers: Transforms, in the order of wrappers and pipelines.
        visits: How often each image comes into a picture, (n,). Where a transform
            pastes a share of the objects, that share of a visit.
        of_sampler: Images of a picture, on average, that the sampler draws or has
            drawn.
        of_set: Images of a picture that are taken evenly from the data set.
    """

    mixers: tuple[Mixer, ...]
    visits: np.ndarray
    of_sampler: float
    of_set: float


def mixing_of(
    dataset: Any, table: LabelTable, copies: np.ndarray, weights: np.ndarray
) -> Mixing:
    """Compute which images come into pictures, and how often.

    What is cut off, and images that a pipeline refuses, are not known here.

    Args:
        dataset: Built mmengine data set, wrapped in any way.
        table: Classes of each of its n images.
        copies: How often the sampler draws each image in an epoch, (n,).
        weights: Weights that it hands to partners, (n,).
    """
    found: list[Mixer] = []
    visits = np.array(copies, float)
    of_set = np.zeros(len(table))  # the part of `visits` that is taken evenly
    for node in dataset_nodes(dataset):
        mixers = list(_mixers(node))
        if not mixers:
            continue
        found += mixers
        inside = getattr(node, "dataset", node)
        rows = image_of_index(inside, root=dataset)
        members = np.bincount(rows, minlength=len(table))
        pictures = visits[members > 0].sum()
        for mixer in mixers:
            if mixer.way == "shown":
                # Pictures such as this one, with all that has come into them before.
                factor = np.where(members, 1 + mixer.partners, 1.0)
                visits, of_set = visits * factor, of_set * factor
            elif mixer.way in ("evenly", "weights"):
                chances = members * (weights if mixer.way == "weights" else 1.0)
                if not chances.sum() > 0:
                    chances = members * 1.0
                if isinstance(mixer.step, MixUp):
                    chances = _with_boxes(chances, table)
                many = pictures * mixer.partners / max(chances.sum(), 1e-12)
                more = many * chances * _share_taken(mixer, table)
                visits = visits + more
                if mixer.way == "evenly":
                    of_set = of_set + more
    shown = max(float(np.sum(copies)), 1e-12)
    of_sampler = float((visits - of_set).sum()) / shown
    return Mixing(tuple(found), visits, of_sampler, float(of_set.sum()) / shown)


def _mixers(node: Any) -> Iterator[Mixer]:
    """Yield the transforms of one pipeline that are at work."""
    pipeline = getattr(node, "pipeline", None)
    if not hasattr(node, "dataset"):
        # Nobody gives a data set's own transforms other images.
        for step in steps_of(pipeline):
            if isinstance(step, _CACHED) and step.prob > 0:
                yield Mixer(step, "shown")
        return
    skipped = getattr(node, "_skip_type_keys", None) or ()
    kinds = getattr(node, "pipeline_types", None)
    steps = list(pipeline or ())
    for step, kind in zip(steps, kinds or [None] * len(steps), strict=False):
        if kind not in skipped and getattr(step, "prob", 1.0) > 0:
            way = _way(step)
            if way is not None:
                yield Mixer(step, way)


def _way(step: Any) -> str | None:
    if isinstance(step, _CACHED):
        return "shown"
    if isinstance(step, PartnerListener):
        return "weights" if isinstance(step, WeightedPartners) else "objects"
    if isinstance(step, (Mosaic, MixUp, CopyPaste)):
        return "evenly"
    return "unknown" if hasattr(step, "get_indexes") else None


def _share_taken(mixer: Mixer, table: LabelTable) -> np.ndarray:
    """Return the share of the objects of each image that is taken, (n,)."""
    step, boxes = mixer.step, np.diff(table.offsets)
    if isinstance(step, CopyPaste) and step.selected:
        # `CopyPaste` pastes 0 to n of n objects, or below its limit, all as likely.
        most = np.minimum(boxes, step.max_num_pasted - 1)
        return most / 2 / np.maximum(boxes, 1)
    return np.ones(len(table))


def _with_boxes(chances: np.ndarray, table: LabelTable) -> np.ndarray:
    """Leave out images without a box, where others are left."""
    filled = chances * (np.diff(table.offsets) > 0)
    return filled if filled.any() else chances


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "imb_det"
