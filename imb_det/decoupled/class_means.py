"""Mean features of the true boxes of each class, as a box head sees them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

__all__ = ["class_means", "place_of"]


@torch.no_grad()
def class_means(
    model: Any, dataset: Any, layer: Any, num_classes: int
) -> tuple[Tensor, Tensor]:
    """Average what comes to a classifier of a box head over the true boxes.

    Args:
        model: Two-stage detector.
        dataset: Built, with boxes in the coordinates of the images that it gives, see
            :func:`imb_det.analysis.box_features.box_dataset`.
        layer: Its classifier.
        num_classes: C.

    Returns:
        Means, float64 (C, in_features), 0 for classes without a box, and the number of
        boxes, (C,).

    Raises:
        TypeError: The classifier is none of a box head on regions of images.
    """
    head, extractor = place_of(model, layer)
    inputs: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    total = torch.zeros(num_classes, layer.in_features, dtype=torch.float64)
    count = torch.zeros(num_classes, dtype=torch.int64)
    model.eval()
    try:
        for i in tqdm(range(len(dataset)), desc="features", leave=False, disable=None):
            data = dataset[i]
            found = data["data_samples"].gt_instances
            boxes = getattr(found.bboxes, "tensor", found.bboxes)
            if not len(boxes):
                continue
            batch = dict(inputs=[data["inputs"]], data_samples=[data["data_samples"]])
            image = model.data_preprocessor(batch)["inputs"]
            levels = model.extract_feat(image)[: extractor.num_inputs]
            rois = torch.cat([boxes.new_zeros(len(boxes), 1), boxes], 1).to(image)
            pooled = extractor(levels, rois)
            if model.roi_head.with_shared_head:
                pooled = model.roi_head.shared_head(pooled)
            head(pooled)
            labels = torch.as_tensor(found.labels).cpu()
            total.index_add_(0, labels, inputs.pop().double().cpu())
            count += torch.bincount(labels, minlength=num_classes)
    finally:
        handle.remove()
    return total / count.clamp(min=1)[:, None], count


def place_of(model: Any, layer: Any) -> tuple[Any, Any]:
    """Return the box head that a classifier is in, and what gives it regions.

    Args:
        model: The detector.
        layer: Its classifier.

    Raises:
        TypeError: The classifier is none of a box head on regions of images.
    """
    roi_head = getattr(model, "roi_head", None)
    heads = getattr(roi_head, "bbox_head", None)
    extractors = getattr(roi_head, "bbox_roi_extractor", None)
    if isinstance(heads, nn.ModuleList):
        pairs = list(zip(heads, extractors, strict=True))  # type: ignore[arg-type]
    else:
        pairs = [(heads, extractors)]  # type: ignore[list-item]
    for head, extractor in pairs:
        if getattr(head, "fc_cls", None) is layer and hasattr(extractor, "num_inputs"):
            return head, extractor
    raise TypeError(
        f"{type(model).__name__}: means of classes are those of regions, of a box head "
        "such as Shared2FCBBoxHead; this detector has none"
    )
