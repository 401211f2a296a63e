"""Epochs without a batch, and such as are longer than anybody means."""

from __future__ import annotations

from collections.abc import Iterator

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.samplers.epoch_length import LONG_EPOCH
from imb_det.statistics.dataset_access import dataset_nodes

__all__ = ["check_epoch_length"]


def check_epoch_length(context: CheckContext) -> Iterator[Finding]:
    """Find a training without a batch, and wrappers that make an epoch very long.

    Samplers of this library judge their epochs themselves.

    Args:
        context: Of a training.
    """
    dataset = context.datasets.get("train")
    if dataset is None:
        return
    loader = context.train_dataloader
    if loader is not None and hasattr(type(loader), "__len__") and _length(loader) == 0:
        yield Finding(
            "no_batch",
            Severity.ERROR,
            "the training has no batch: an epoch would be over before it begins",
            "`train_dataloader`",
            f"{len(dataset)} images, batch_size={loader.batch_size}, "
            f"drop_last={loader.drop_last}",
            "Lower `batch_size`, set `drop_last=False`, or raise `num_samples` of the "
            "sampler",
        )
    for node in dataset_nodes(dataset):
        threshold = getattr(node, "oversample_thr", None)
        if threshold is None:
            continue
        factor = len(node) / max(len(node.dataset), 1)
        if threshold > 1 or factor > LONG_EPOCH:
            yield Finding(
                "long_epoch",
                Severity.WARNING,
                "a wrapper makes an epoch much longer",
                type(node).__name__,
                f"oversample_thr={threshold}, where no class is on more than all "
                f"images (1.0): {len(node)} images in place of {len(node.dataset)}",
                "Lower `oversample_thr`; 1e-3 is LVIS's",
            )


def _length(loader: object) -> int | None:
    try:
        return len(loader)  # type: ignore[arg-type]
    except TypeError:  # of data without an end
        return None
