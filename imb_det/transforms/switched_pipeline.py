"""Puts another pipeline into a training set, wherever its own is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmdet.registry import TRANSFORMS
from mmengine.dataset import Compose

from imb_det.statistics.dataset_access import dataset_nodes

__all__ = ["nodes_to_switch", "switch_pipeline"]


def nodes_to_switch(dataset: Any) -> list[Any]:
    """Return the outermost data sets that have a pipeline.

    Args:
        dataset: Built mmengine data set, wrapped in any way.
    """
    found: list[Any] = []
    inside: set[int] = set()
    for node in dataset_nodes(dataset):
        if id(node) not in inside and hasattr(node, "pipeline"):
            found.append(node)
            inside |= {id(part) for part in dataset_nodes(node)}
    return found


def switch_pipeline(dataset: Any, steps: Sequence[Mapping[str, Any]]) -> None:
    """Give the outermost data sets that have a pipeline another one, each its own.

    Args:
        dataset: Built mmengine data set, wrapped in any way.
        steps: Configs of transforms.
    """
    for node in nodes_to_switch(dataset):
        built = [TRANSFORMS.build(dict(step)) for step in steps]
        if hasattr(node, "pipeline_types"):  # `MultiImageMixDataset`
            kinds = [step["type"] for step in steps]
            node.pipeline = built
            node.pipeline_types = [getattr(k, "__name__", k) for k in kinds]
        else:
            node.pipeline = Compose(built)
