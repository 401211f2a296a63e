"""Features of true boxes, from the backbone of a detector."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from mmcv.ops import roi_align
from mmdet.models.detectors import BaseDetector
from mmengine.registry import DATASETS
from torch import Tensor
from tqdm import tqdm

__all__ = ["box_dataset", "box_features"]

_BINS = 7  # of a box, a side; their mean is its feature


def box_dataset(loader: Mapping[str, Any], pipeline: Iterable[Any]) -> Any:
    """Build the data set of a loader for :func:`box_features`, without its wrappers.

    Args:
        loader: Config of a dataloader.
        pipeline: Steps that a detector is tested with; boxes are loaded right after the
            image, so that they are resized with it.
    """
    config = loader["dataset"]
    while isinstance(config.get("dataset"), dict):
        config = config["dataset"]
    boxes = dict(type="LoadAnnotations", with_bbox=True)
    image, *others = [step for step in pipeline if step["type"] != boxes["type"]]
    return DATASETS.build(dict(config, pipeline=[image, boxes, *others]))


@torch.no_grad()
def box_features(
    model: BaseDetector, dataset: Any, flip: bool = False
) -> tuple[Tensor, Tensor]:
    """Average the backbone's outputs over true boxes.

    Args:
        model: Detector with ``data_preprocessor`` and ``backbone``.
        dataset: Built, with boxes in the coordinates of the images that it gives.
        flip: Whether mirrored images come too. Default: False.

    Returns:
        Features float32 (n, channels of all levels), labels int64 (n,).

    Raises:
        ValueError: There is no box.
    """
    model.eval()
    features, labels = [], []
    for index in tqdm(range(len(dataset)), desc="features", leave=False, disable=None):
        data = dataset[index]
        sample = data["data_samples"]
        found = sample.gt_instances
        boxes = torch.as_tensor(getattr(found.bboxes, "tensor", found.bboxes)).float()
        if len(boxes) == 0:
            continue
        batch = dict(inputs=[data["inputs"]], data_samples=[sample])
        image = model.data_preprocessor(batch)["inputs"]
        height, width = sample.metainfo["img_shape"][:2]
        for mirrored in [False, True][: 1 + flip]:
            x = image
            if mirrored:  # the image, not what it is padded with
                x = image.clone()
                x[..., :height, :width] = image[..., :height, :width].flip(-1)
                boxes = torch.stack(
                    [
                        width - boxes[:, 2],
                        boxes[:, 1],
                        width - boxes[:, 0],
                        boxes[:, 3],
                    ],
                    dim=1,
                )
            levels = model.backbone(x)
            rois = torch.cat([boxes.new_zeros(len(boxes), 1), boxes], dim=1).to(x)
            pooled = [
                roi_align(level, rois, _BINS, level.shape[-1] / x.shape[-1], 0)
                for level in levels
            ]
            features.append(torch.cat([p.mean((2, 3)) for p in pooled], dim=1).cpu())
            labels.append(torch.as_tensor(found.labels))
    if not features:
        raise ValueError("there is no box in the data set")
    return torch.cat(features), torch.cat(labels)
