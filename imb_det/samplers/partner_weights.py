"""Gives the weights of a sampler to transforms that mix several images."""

from __future__ import annotations

from typing import Any

import numpy as np

from imb_det.core.listener import PartnerListener
from imb_det.statistics.dataset_access import dataset_nodes, image_of_index
from imb_det.statistics.label_table import LabelTable

__all__ = ["set_partner_weights"]


def set_partner_weights(dataset: Any, table: LabelTable, weights: np.ndarray) -> None:
    """Give every multi-image transform of a data set the weights of its partners.

    These are the transforms of wrappers, such as ``MultiImageMixDataset``, that are
    listeners (:class:`~imb_det.core.listener.PartnerListener`).

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
