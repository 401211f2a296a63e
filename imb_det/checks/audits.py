"""What data sets have found in their annotations."""

from __future__ import annotations

from collections.abc import Iterator

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding
from imb_det.datasets.audited_dataset import AuditedDataset
from imb_det.statistics import leaf_datasets

__all__ = ["check_audits"]


def check_audits(context: CheckContext) -> Iterator[Finding]:
    """Yield the findings of data sets of this library, which log them when they load.

    Args:
        context: With data sets.
    """
    for dataset in context.datasets.values():
        for leaf in leaf_datasets(dataset):
            if isinstance(leaf, AuditedDataset):
                yield from leaf.audit.everything()
