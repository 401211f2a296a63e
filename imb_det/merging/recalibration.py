"""Running statistics of normalisation layers, counted again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from tqdm import tqdm

from imb_det.core import check_number

__all__ = ["recount_norms"]


@torch.no_grad()
def recount_norms(
    model: Any, batches: Iterable[Any], most: int = 200, skip: Iterable[str] = ()
) -> int:
    """Count mean and variance of batch normalisation again, over training images.

    The mean of two running means is none of what the merged layers see.

    Args:
        model: Detector; its weights stay.
        batches: Of a training loader.
        most: Images that suffice, >= 1. Default 200.
        skip: Paths of layers that keep theirs, or of parts that hold some, such as
            frozen stages.

    Returns:
        Number of layers that were counted; 0 leaves the images unread.
    """
    check_number("recount_norms", "most", most, 1, None)
    kept_paths = set(skip)
    layers = [
        layer
        for name, layer in model.named_modules()
        if isinstance(layer, _BatchNorm)
        and layer.running_mean is not None
        and not any(f"{name}.".startswith(f"{path}.") for path in kept_paths)
    ]
    if not layers:
        return 0
    kept = [layer.momentum for layer in layers]
    model.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all batches
        layer.train()
    with tqdm(total=most, desc="normalisation", unit="img") as bar:
        for batch in batches:
            data = model.data_preprocessor(batch, training=True)
            model(**data, mode="tensor")
            bar.update(len(data["inputs"]))
            if bar.n >= most:
                break
    for layer, momentum in zip(layers, kept, strict=True):
        layer.momentum = momentum
    model.eval()
    return len(layers)
