"""Of which image the rows are that a head passes to its loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from mmdet.models.dense_heads import (
    AnchorHead,
    ATSSHead,
    DDQDETRHead,
    DeformableDETRHead,
    DETRHead,
    DINOHead,
    FCOSHead,
)
from mmdet.models.roi_heads import BaseRoIHead, PISARoIHead
from torch import Tensor, nn

from imb_det.heads import DeformableDETRHead as OwnDeformableDETRHead
from imb_det.losses.image_rows import ImageRows

__all__ = ["KNOWN", "watcher_of"]

#: Adds to a list the handles of what it has registered.
Watcher = Callable[[ImageRows], list[Any]]

#: Heads whose rows are known, for messages.
KNOWN = (
    "box heads of RoI heads, RetinaHead, ATSSHead, FCOSHead, DETRHead and its like, "
    "DINOHead and DDQDETRHead"
)


def watcher_of(model: nn.Module, head: nn.Module) -> Watcher | None:
    """Return what tells the images of the rows of a head.

    RoI heads pool features of boxes, which name their image, before they call the loss.
    Dense heads that call it once a level, and heads of queries, pass as many rows of
    each image, one image after the other; FCOS passes level by level, and DDQ the
    queries of each image that are distinct.

    Args:
        model: The detector.
        head: A head in it.

    Returns:
        A function that registers what is needed and returns the handles; None for a
        head whose rows are not known.
    """
    extractors = list(_extractors(model, head))
    if extractors:
        return lambda rows: [
            extractor.register_forward_pre_hook(_Pooled(rows))
            for extractor in extractors
        ]
    if _has(head, FCOSHead, "loss_by_feat"):
        return lambda rows: [head.register_forward_hook(_Levels(rows))]
    if _has(head, DDQDETRHead, "loss_by_feat"):
        return lambda rows: [head.register_forward_hook(_Distinct(rows))]
    by_level = any(
        _has(head, kind, "loss_by_feat") and _has(head, kind, "loss_by_feat_single")
        for kind in (AnchorHead, ATSSHead)
    )
    return (lambda rows: []) if by_level or _of_queries(head) else None


def _has(head: nn.Module, kind: type, method: str) -> bool:
    """Tell whether a head computes its loss as a class of mmdet does."""
    return isinstance(head, kind) and (
        getattr(type(head), method) is getattr(kind, method)
    )


def _of_queries(head: nn.Module) -> bool:
    """Tell whether a head passes queries as DETR does.

    In two stages mmdet's Deformable DETR takes the first class for all objects.
    """
    if not _has(head, DETRHead, "loss_by_feat_single"):
        return False
    if _has(head, OwnDeformableDETRHead, "loss_by_feat"):
        return True  # whose encoder has another loss
    if _has(head, DeformableDETRHead, "loss_by_feat"):
        return not getattr(head, "as_two_stage", False)
    return any(_has(head, kind, "loss_by_feat") for kind in (DETRHead, DINOHead))


def _extractors(model: nn.Module, head: nn.Module) -> Iterator[nn.Module]:
    """Yield what pools the features of a box head."""
    for part in model.modules():
        if not isinstance(part, BaseRoIHead) or isinstance(part, PISARoIHead):
            continue
        pairs = [(getattr(part, n, None)) for n in ("bbox_head", "bbox_roi_extractor")]
        heads, extractors = (
            list(p) if isinstance(p, nn.ModuleList) else [p] for p in pairs
        )
        if len(heads) == len(extractors):
            for each, extractor in zip(heads, extractors, strict=True):
                if each is head and extractor is not None:
                    yield extractor


class _Pooled:
    """Notes the images of boxes before their features are pooled."""

    def __init__(self, rows: ImageRows) -> None:
        self.rows = rows

    def __call__(self, extractor: nn.Module, args: tuple[Any, ...]) -> None:
        if not self.rows.num_images:  # in a test
            return
        features, rois = args[:2]
        images = rois[:, 0].long()
        if len(features[0]) < self.rows.num_images:
            images = torch.full_like(images, _image_of(features[0]))
        self.rows.set_images(images)


def _image_of(feature: Tensor) -> int:
    """Return which image of a batch a map is of, (1, C, h, w), a part of (B, C, h, w).

    Samplers such as OHEM pool the boxes of one image from its part of the features.

    Raises:
        RuntimeError: It is no part of another tensor.
    """
    whole = feature._base
    if whole is None or whole.shape[1:] != feature.shape[1:]:
        raise RuntimeError(
            "FederatedLoss: `source='annotation'` does not know of which image the "
            "boxes of a sampler are; write `sampler=dict(type='RandomSampler', ...)`"
        )
    start = feature.storage_offset() - whole.storage_offset()
    return int(start // whole.stride(0))


class _Levels:
    """Notes the sizes of the levels of a head's outputs."""

    def __init__(self, rows: ImageRows) -> None:
        self.rows = rows

    def __call__(self, head: nn.Module, args: Any, outputs: Any) -> None:
        if self.rows.num_images:
            self.rows.set_levels([maps[0, 0].numel() for maps in outputs[0]])


class _Distinct:
    """Notes the images of the distinct queries of each layer of DDQ."""

    def __init__(self, rows: ImageRows) -> None:
        self.rows = rows

    def __call__(self, head: DDQDETRHead, args: Any, outputs: Any) -> None:
        if not (self.rows.num_images and head.training):
            return
        cache, scores = head.cache_dict, outputs[0]
        # Of each image one of its heads of attention, and of that the first row.
        first = slice(None, None, cache["num_heads"])
        masks = [mask[first, 0] for mask in cache["distinct_query_mask"]]
        everyone = torch.ones_like(masks[0])
        layers = [everyone, *masks][: len(scores)]
        self.rows.set_calls([mask.nonzero()[:, 0] for mask in layers])
