"""Transforms that take other images of the data set, and what switches them off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mmdet.datasets.transforms import (
    CachedMixUp,
    CachedMosaic,
    CopyPaste,
    MixUp,
    Mosaic,
)
from mmdet.registry import TRANSFORMS

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.runner_parts import transforms_of
from imb_det.statistics.dataset_access import dataset_nodes
from imb_det.transforms.skipped_types import skippers_of
from imb_det.transforms.switched_pipeline import nodes_to_switch

__all__ = [
    "check_multi_image",
    "check_skipped_types",
    "configured_types",
    "wants_images",
]

_REMEDY = (
    "Write `dataset=dict(type='MultiImageMixDataset', dataset=dict(..., pipeline=["
    "<loading>]), pipeline=[dict(type=...), <the other steps>])`, with this transform "
    "directly in the outer pipeline"
)


def check_multi_image(context: CheckContext) -> Iterator[Finding]:
    """Find transforms that nobody gives the other images that they need.

    ``MultiImageMixDataset`` asks the steps of its own pipeline which images they want;
    not those inside ``RandomApply``, nor those in the pipeline of a data set. Pipelines
    that hooks switch to (``switch_pipeline``) count for that of the training.

    Args:
        context: With data sets and hooks.
    """
    for split, dataset in context.datasets.items():
        served = [
            step
            for node in dataset_nodes(dataset)
            if hasattr(node, "dataset")
            for step in _steps_of_wrapper(node)
        ]
        yield from _loaded_in_vain(served, f"`{split}_dataloader`")
        for step in transforms_of(dataset):
            if wants_images(type(step)) and all(step is not s for s in served):
                yield _finding(type(step).__name__, f"`{split}_dataloader`")
    train = context.datasets.get("train")
    if train is None or all(
        hasattr(node, "pipeline_types") for node in nodes_to_switch(train)
    ):
        return
    for hook in context.hooks:
        for kind in configured_types(getattr(hook, "switch_pipeline", None)):
            if isinstance(kind, type) and wants_images(kind):
                yield _finding(kind.__name__, f"`{type(hook).__name__}`")


def _loaded_in_vain(steps: Iterable[Any], where: str) -> Iterator[Finding]:
    """Yield transforms with a cache, for which a wrapper loads others all the same."""
    for step in steps:
        if isinstance(step, (CachedMosaic, CachedMixUp)):
            yield Finding(
                "loaded_in_vain",
                Severity.WARNING,
                "a transform takes images from its cache, and `MultiImageMixDataset` "
                "loads others for it that are not used",
                where,
                type(step).__name__,
                "Move it into the pipeline of the data set inside, or use "
                "`imb_det.Mosaic` and `imb_det.MixUp`",
            )


def check_skipped_types(context: CheckContext) -> Iterator[Finding]:
    """Find switches that no transform of the training answers to.

    Args:
        context: Of a training, with hooks.
    """
    dataset = context.datasets.get("train")
    if dataset is None:
        return
    types = {
        kind
        for node in dataset_nodes(dataset)
        for kind in getattr(node, "pipeline_types", ())
    }
    for owner, name in skippers_of(context.hooks, dataset):
        keys = list(getattr(owner, name))
        where = f"`skip_type_keys` of {type(owner).__name__}"
        if owner in context.hooks and not hasattr(dataset, "update_skip_type_keys"):
            yield Finding(
                "no_switch",
                Severity.ERROR,
                "a hook switches transforms off that the data set cannot switch off",
                where,
                f"`train_dataloader.dataset` is {type(dataset).__name__}",
                "Make `MultiImageMixDataset` the outermost data set",
            )
        elif keys and not types & set(keys):
            yield Finding(
                "skips_nothing",
                Severity.WARNING,
                "no transform is of a type that is to be switched off",
                where,
                f"it is {keys}, the pipeline has {sorted(types)}",
                "Write the types as in the pipeline",
            )


def _steps_of_wrapper(node: Any) -> list[Any]:
    """Return the steps whose wish for images is heard."""
    pipeline = getattr(node, "pipeline", None)
    return list(pipeline) if isinstance(pipeline, (list, tuple)) else []


def wants_images(kind: type) -> bool:
    """Tell what takes images of the data set, and not such as it has kept itself."""
    if issubclass(kind, CachedMosaic):
        return False
    is_ours = callable(getattr(kind, "set_partners", None))
    return is_ours or issubclass(kind, (Mosaic, MixUp, CopyPaste))


def configured_types(pipeline: Any) -> Iterable[Any]:
    """Return the classes of a pipeline that is not built yet."""
    if not isinstance(pipeline, (list, tuple)):
        return []
    kinds = [step.get("type") for step in pipeline if isinstance(step, Mapping)]
    return [TRANSFORMS.get(k) if isinstance(k, str) else k for k in kinds]


def _finding(kind: str, where: str) -> Finding:
    return Finding(
        "multi_image",
        Severity.ERROR,
        "a transform gets no other images of the data set to mix in",
        where,
        f"{kind} is not a step of the pipeline of a `MultiImageMixDataset`",
        _REMEDY,
    )
