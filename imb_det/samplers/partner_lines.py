"""What transforms that mix images make of the receipt of a sampler."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from mmdet.datasets.transforms import MixUp, Mosaic

from imb_det.statistics.label_table import LabelTable

from .mixing import Mixer, Mixing
from .receipt import SamplingReceipt

__all__ = ["with_partners"]

_WORDS = {
    "weights": "{} by the weights of the sampler",
    "shown": "{} from those that the sampler has drawn",
    "objects": "{} for objects of its own choice, which are not counted here",
}


def with_partners(
    receipt: SamplingReceipt, mixing: Mixing, table: LabelTable
) -> SamplingReceipt:
    """Say how other images of a picture are chosen, and what that makes of the classes.

    mmdet's ``Mosaic``, ``MixUp`` and ``CopyPaste`` draw them from the whole data set,
    whatever the sampler says; those of this library go by its weights. Those that keep
    images they have been given (``CachedMosaic``, ``CachedMixUp``) have such as the
    sampler has drawn, so their shares of classes are those of the sampler.

    Args:
        receipt: Of a sampler.
        mixing: Of the pictures of an epoch.
        table: Classes of the images.

    Returns:
        The same, with how partners are chosen; and a warning where some are taken
        evenly and the sampler raises anything, with the share of boxes that comes.
    """
    said = [
        words.format(_names(m for m in mixing.mixers if m.way == way))
        for way, words in _WORDS.items()
        if any(m.way == way for m in mixing.mixers)
    ]
    even, unknown = (
        [m for m in mixing.mixers if m.way == way] for way in ("evenly", "unknown")
    )
    if even:
        said.append(f"{_names(even)} evenly from the data set")
    receipt = replace(receipt, partners="; ".join(said))
    group, members = _raised(receipt)
    before = _share(receipt.instances_before, members)
    after = _share(receipt.instances_after, members)
    warnings = list(receipt.warnings)
    if unknown:
        warnings.append(
            f"{_names(unknown)} chooses other images in a way that is not known here "
            "(`get_indexes`): they are not by the weights of the sampler unless the "
            "transform has a method `set_partners(table, weights)`"
        )
    if even and abs(after - before) >= 1e-9:
        mixed = _share(table.instances_of(mixing.visits), members)
        remedy = ", ".join(dict.fromkeys(map(_of_ours, even)))
        total = mixing.of_sampler + mixing.of_set
        warnings.append(
            f"{_names(even)} of mmdet take{'s' * (len(even) == 1)} other images evenly "
            f"from the data set: of {total:.3g} images in a picture the sampler draws "
            f"{mixing.of_sampler:.3g}. Of all boxes {after:.3f} would be of {group} "
            f"classes by the sampler alone, and about {mixed:.3f} are, with "
            f"{before:.3f} in the data set; {remedy} draw"
            f"{'s' * (', ' not in remedy)} by its weights"
        )
    return replace(receipt, warnings=tuple(warnings))


def _names(mixers: Iterable[Mixer]) -> str:
    return ", ".join(dict.fromkeys(m.name for m in mixers))


def _of_ours(mixer: Mixer) -> str:
    """Return what to use in place of a transform of mmdet."""
    found = (k.__name__ for k in (Mosaic, MixUp) if isinstance(mixer.step, k))
    return f"imb_det.{next(found, 'RareCopyPaste')}"


def _raised(receipt: SamplingReceipt) -> tuple[str, np.ndarray]:
    """Return the rarest group; or what is raised, where all are of one group."""
    group, members = next(iter(receipt.groups.items()))
    if len(members) < len(receipt.classes):
        return group, members
    before, after = receipt.instances_before, receipt.instances_after
    shares = after / max(after.sum(), 1e-12), before / max(before.sum(), 1e-12)
    return "raised", np.flatnonzero(shares[0] > shares[1] * (1 + 1e-9))


def _share(instances: np.ndarray, members: np.ndarray) -> float:
    return float(instances[members].sum() / max(instances.sum(), 1e-12))
