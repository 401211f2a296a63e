"""Losses that the benchmark measures, and what each is held to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import mmdet.models.losses as peers
import numpy as np
import torch

from imb_det import losses
from imb_det.core import ClassStatsListener
from imb_det.statistics import ClassStats

__all__ = [
    "CASES",
    "LONG_TAIL",
    "Case",
    "Contestant",
    "contestants",
    "told",
]

_PLAIN_LOSS = {"type": "imb_det.CrossEntropyLoss", "use_sigmoid": False}

# Losses that are only made for a sigmoid or a softmax of their own, with arguments, and
# losses around plain cross entropy.
LONG_TAIL: dict[str, dict[str, Any]] = {
    "VSLoss": {},
    "LDAMLoss": {},
    "IIFLoss": {},
    "AlphaLoss": {},
    "SeesawLoss": {},
    "BalancedGroupSoftmaxLoss": {},
    "EBLLoss": {},
    "EQLLoss": {},
    "DropLoss": {},
    "EQLv2Loss": {},
    "ECMLoss": {},
    "FederatedLoss": {},
    "ACSLLoss": {},
    "AsymmetricLoss": {},
    "GumbelLoss": {},
    "GumbelLoss, drop": {"drop": True},
    "LogitClipLoss": {"loss": _PLAIN_LOSS},
    "ABSGDLoss": {"loss": _PLAIN_LOSS},
    "CALSLoss": {"loss": _PLAIN_LOSS},
    "LabelAwareSmoothingLoss": {"loss": _PLAIN_LOSS},
}


# Losses of qualities, and the targets that heads pass to them.
QUALITY = {"QualityFocalLoss": "pair", "VarifocalLoss": "matrix"}


class Case(NamedTuple):
    """A size of the logits: rows, and classes, to which heads of RoIs add channels."""

    name: str
    rows: int
    classes: int

    @property
    def is_dense(self) -> bool:
        """Whether every channel is a class."""
        return self.name.startswith("dense")


CASES = (
    Case("dense 60,000 x 80", 60_000, 80),
    Case("dense 8,000 x 1203", 8_000, 1203),
    Case("RoI 2,048 x 1203 classes", 2_048, 1203),
)


class Contestant(NamedTuple):
    """A loss, its channels beyond one a class, and the name of what it is held to.

    Its targets are classes, pairs of classes and qualities, or a matrix of qualities.
    """

    loss: Any
    extra: int
    peer: str | None = None
    cosines: bool = False
    form: str = "classes"


def contestants(case: Case, how: Sequence[str]) -> dict[str, Contestant]:
    """Return losses by name.

    Args:
        case: Size.
        how: Ways to run ours, ``'eager'``, ``'compiled'`` or both.
    """
    found = {
        "mmdet CrossEntropyLoss": Contestant(
            peers.CrossEntropyLoss(use_sigmoid=case.is_dense), not case.is_dense
        )
    }
    if case.is_dense:
        found["mmdet FocalLoss"] = Contestant(peers.FocalLoss(), 0)
        found["mmdet GHMC"] = Contestant(peers.GHMC(bins=30, momentum=0.75), 0)
        for name, form in QUALITY.items():
            kind = getattr(peers, name)
            found[f"mmdet {name}"] = Contestant(kind(), 0, form=form)
    else:
        seesaw = peers.SeesawLoss(num_classes=case.classes)
        found["mmdet SeesawLoss"] = Contestant(seesaw, 2)
        eqlv2 = peers.EQLV2Loss(num_classes=case.classes)
        found["mmdet EQLV2Loss"] = Contestant(eqlv2, 1)
    for way in how:
        for name, (loss, peer) in _ours(case, way == "compiled").items():
            own_peer = peer if peer is None or peer in found else f"{peer}, {way}"
            cosines = getattr(loss, "needs_cosines", False)
            extra = loss.link.extra_channels
            form = QUALITY.get(name, "classes")
            found[f"{name}, {way}"] = Contestant(loss, extra, own_peer, cosines, form)
    return found


def _ours(case: Case, compiled: bool) -> dict[str, tuple[Any, str | None]]:
    """Return our losses by name, with the names of their peers."""
    weights = torch.linspace(0.5, 1.5, case.classes)
    args: dict[str, Any] = dict(use_sigmoid=case.is_dense, compiled=compiled)
    plain = "mmdet CrossEntropyLoss"
    cdb = losses.CDBLoss(gamma=2.0, **args)
    cdb.set_class_difficulty_weights(weights)
    found: dict[str, tuple[Any, str | None]] = {
        "CrossEntropyLoss": (losses.CrossEntropyLoss(**args), plain),
        "CrossEntropyLoss, weighted": (
            losses.CrossEntropyLoss(class_weight=weights.tolist(), **args),
            plain,
        ),
        "CDBLoss, focal": (cdb, "mmdet FocalLoss" if case.is_dense else plain),
    }
    focal = losses.FocalLoss(compiled=compiled)
    efl = losses.EqualizedFocalLoss(compiled=compiled)
    if case.is_dense:
        found["FocalLoss"] = (focal, "mmdet FocalLoss")
        found["GHMCLoss"] = (losses.GHMCLoss(**args), "mmdet GHMC")
        found["EqualizedFocalLoss"] = (efl, "FocalLoss")
        for name in QUALITY:
            kind = getattr(losses, name)
            found[name] = (kind(compiled=compiled), f"mmdet {name}")
        return found
    found["FocalLoss"] = (focal, None)
    found["CrossEntropyLoss, sigmoid"] = (
        losses.CrossEntropyLoss(use_sigmoid=True, compiled=compiled),
        None,
    )
    found["EqualizedFocalLoss"] = (efl, None)
    own_peers = {"SeesawLoss": "mmdet SeesawLoss", "EQLv2Loss": "mmdet EQLV2Loss"}
    for name, options in LONG_TAIL.items():
        kind = getattr(losses, name.partition(",")[0])
        of_peer = "CrossEntropyLoss" if "loss" in options else own_peers.get(name)
        found[name] = (kind(compiled=compiled, **options), of_peer)
    return found


def told(loss: Any, classes: int) -> Any:
    """Return the loss, told of a long tail of classes, as a hook would do it."""
    if not isinstance(loss, losses.ImbalanceLoss):
        return loss
    counts = np.random.default_rng(0).pareto(0.5, classes) * 5
    counts = np.clip(counts, 1, 50_000).astype(int)
    stats = ClassStats(tuple(map(str, range(classes))), counts, counts, 100_000)
    for part in loss.modules():
        if isinstance(part, ClassStatsListener):
            part.set_class_stats(stats)
        if isinstance(part, losses.CALSLoss):
            part.set_multipliers(torch.tensor(0.1), torch.tensor(1.0))
    losses.manage_statistics(loss)
    return loss
