"""Gives the weights of a sampler to what draws further images by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from imb_det.core.listener import PartnerListener
from imb_det.statistics.dataset_access import (
    dataset_nodes,
    image_of_index,
    leaf_datasets,
)
from imb_det.statistics.label_table import LabelTable
from imb_det.transforms.weighted_partners import WeightedPartners

__all__ = ["set_partner_weights"]


class _Redraw(WeightedPartners):
    """Draws an image in place of one that the pipeline of a data set has refused.

    mmengine draws it evenly, so that what ``RandomCrop`` or ``FilterAnnotations``
    refuse, having no box left, would come back without the sampler's weights.
    """

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self) -> int:
        drawn = self.draw_partners(1)
        return np.random.randint(self.number) if drawn is None else drawn[0]  # noqa: NPY002


def set_partner_weights(dataset: Any, table: LabelTable, weights: np.ndarray) -> None:
    """Give what draws further images of a data set the weights of the sampler.

    These are the transforms of wrappers, such as ``MultiImageMixDataset``, that are
    listeners (:class:`~imb_det.core.listener.PartnerListener`); and data sets with
    annotations, which draw another image where their pipeline gives None.

    Args:
        dataset: Built mmengine data set, wrapped in any way.
        table: Classes of each of its images.
        weights: Weight of each of these images, >= 0, (n,).
    """
    for node in dataset_nodes(dataset):
        inner = getattr(node, "dataset", None)
        pipeline = getattr(node, "pipeline", None)
        if inner is None or not isinstance(pipeline, (list, tuple)):
            continue
        takers = [step for step in pipeline if isinstance(step, PartnerListener)]
        if takers:
            rows = image_of_index(inner, root=dataset)
            for taker in takers:
                taker.set_partners(table.take(rows), weights[rows])
    for leaf in leaf_datasets(dataset):
        if callable(getattr(leaf, "_rand_another", None)):
            if not isinstance(leaf._rand_another, _Redraw):
                leaf._rand_another = _Redraw(len(leaf))
            rows = image_of_index(leaf, root=dataset)
            leaf._rand_another.set_partners(table.take(rows), weights[rows])
