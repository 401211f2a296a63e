"""Losses of mmdet that train another activation than their head predicts with."""

from __future__ import annotations

from collections.abc import Iterator

from imb_det.core.finding import Finding, Severity
from imb_det.doctor.context import DoctorContext
from imb_det.losses import ImbalanceLoss

from .heads import ClassifyingHead, classifying_heads

__all__ = ["check_plain_activations"]


def check_plain_activations(context: DoctorContext) -> Iterator[Finding]:
    """Find losses with a sigmoid in heads with a softmax, and the other way round.

    Box heads predict with a softmax of C + 1 outputs unless their loss brings an
    activation of its own. Dense heads go by ``use_sigmoid`` in the config of the loss,
    which may be absent there, and not by the loss. Losses of this library are looked
    at by :func:`imb_det.checks.check_activations`.

    Args:
        context: With a model.
    """
    for found in classifying_heads(context.model):
        loss = found.loss
        uses = getattr(loss, "use_sigmoid", None)
        if isinstance(loss, ImbalanceLoss) or not isinstance(uses, bool):
            continue
        own = getattr(loss, "custom_activation", False)
        outputs = found.outputs
        if outputs == found.num_classes + 1 and uses and not own:
            yield _finding(
                found,
                f"has {outputs} outputs and predicts with a softmax, whatever its "
                f"loss: {type(loss).__name__} trains {outputs} sigmoids",
                f"Write `{found.in_config}=dict(type='CrossEntropyLoss', "
                "use_sigmoid=False)`, or a loss that brings its activation, such as "
                "`dict(type='imb_det.FocalLoss', use_sigmoid=True)`",
            )
        predicts = getattr(found.head, "use_sigmoid_cls", None)
        if isinstance(predicts, bool) and predicts is not uses and not own:
            names = {True: "sigmoid", False: "softmax"}
            yield _finding(
                found,
                "reads `use_sigmoid` from the config of its loss and predicts with a "
                f"{names[predicts]}; {type(loss).__name__} trains a {names[uses]}",
                f"Write `use_sigmoid={uses}` into `{found.in_config}`",
            )


def _finding(found: ClassifyingHead, evidence: str, remedy: str) -> Finding:
    return Finding(
        "activation",
        Severity.ERROR,
        "a head predicts with another activation than its loss trains",
        found.where,
        evidence,
        remedy,
    )
