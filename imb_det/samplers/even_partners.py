"""Multi-image transforms whose partners no sampler draws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from mmdet.datasets.transforms import CachedMosaic, CopyPaste, MixUp, Mosaic

from imb_det.core.listener import PartnerListener
from imb_det.statistics.dataset_access import dataset_nodes, steps_of

from .receipt import SamplingReceipt

__all__ = ["with_even_partners"]

# Images that come to one, and what draws them by the weights of the sampler.
_PARTNERS = {Mosaic: (3, "imb_det.Mosaic"), MixUp: (1, "imb_det.MixUp")}
_COPY_PASTE = (1, "imb_det.RareCopyPaste")


def with_even_partners(receipt: SamplingReceipt, dataset: Any) -> SamplingReceipt:
    """Say what transforms make of a receipt that take partners evenly.

    mmdet's ``Mosaic``, ``MixUp`` and ``CopyPaste`` draw the other images of a picture
    from the whole data set, whatever the sampler says. Those that keep images they have
    been given (``CachedMosaic``, ``CachedMixUp``) have such as the sampler has drawn.

    Args:
        receipt: Of a sampler.
        dataset: The data set of the training, wrapped in any way.

    Returns:
        The same, with a warning where there are such transforms and the sampler raises
        anything.
    """
    steps = [
        step
        for node in dataset_nodes(dataset)
        for step in steps_of(getattr(node, "pipeline", None))
        if _is_even(step)
    ]
    group, members = next(iter(receipt.groups.items()))
    before = _share(receipt.instances_before, members)
    after = _share(receipt.instances_after, members)
    if not steps or abs(after - before) < 1e-9:
        return receipt
    partners = sum(_of(step)[0] * getattr(step, "prob", 1.0) for step in steps)
    of_sampler = receipt.instances_after.sum() / max(receipt.length_after, 1)
    of_set = partners * receipt.instances_before.sum() / max(receipt.length_before, 1)
    mixed = (of_sampler * after + of_set * before) / max(of_sampler + of_set, 1e-12)
    names = ", ".join(type(step).__name__ for step in steps)
    others = ", ".join(dict.fromkeys(_of(step)[1] for step in steps))
    warning = (
        f"{names} of mmdet take{'s' * (len(steps) == 1)} other images evenly from the "
        f"data set: of {partners + 1:g} images in a picture the sampler draws 1. Of "
        f"all boxes {after:.3f} would be of {group} classes by the sampler alone, and "
        f"about {mixed:.3f} are, with {before:.3f} in the data set; {others} draw by "
        "its weights"
    )
    return replace(receipt, warnings=(*receipt.warnings, warning))


def _is_even(step: Any) -> bool:
    if isinstance(step, (PartnerListener, CachedMosaic)):
        return False
    is_mixer = isinstance(step, (Mosaic, MixUp, CopyPaste))
    return is_mixer and getattr(step, "prob", 1.0) > 0


def _of(step: Any) -> tuple[int, str]:
    found = (value for kind, value in _PARTNERS.items() if isinstance(step, kind))
    return next(found, _COPY_PASTE)


def _share(instances: np.ndarray, members: np.ndarray) -> float:
    return float(instances[members].sum() / max(instances.sum(), 1e-12))
