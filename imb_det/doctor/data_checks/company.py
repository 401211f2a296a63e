"""Classes that never come alone, so that repeating their images repeats others too."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_matrix

from imb_det.core.finding import Finding, Severity
from imb_det.core.text import and_more
from imb_det.doctor.context import DoctorContext
from imb_det.statistics.frequency_groups import GROUP_NAMES

from .class_tables import table_of

__all__ = ["check_company"]


def check_company(context: DoctorContext) -> Iterator[Finding]:
    """Find classes none of whose images is without a class of a more frequent group.

    Args:
        context: With counts of the training set.
    """
    stats, table = context.class_stats, table_of(context, "train")
    if stats is None or table is None:
        return
    rank = np.zeros(stats.num_classes, np.int64)
    for name, labels in stats.groups().items():
        rank[labels] = GROUP_NAMES.index(name)
    shape = (len(table), stats.num_classes)
    pairs = np.unique(table.image * shape[1] + table.labels)
    image, label = np.divmod(pairs, shape[1])
    best = np.full(len(table), -1)
    np.maximum.at(best, image, rank[label])
    alone = np.bincount(label[best[image] == rank[label]], minlength=shape[1])
    images = np.bincount(label, minlength=shape[1])
    if not len(never := np.flatnonzero((images > 0) & (alone == 0))):
        return
    holds = csr_matrix((np.ones(len(label), np.int64), (image, label)), shape=shape)
    texts = []
    for one, met in zip(never.tolist(), holds[:, never].T @ holds, strict=True):
        others = np.where(rank > rank[one], met.toarray().ravel(), 0)
        with_it = int(others.argmax())
        texts.append(
            f"{stats.classes[one]!r} ({images[one]} images, {others[with_it]} of them "
            f"with {stats.classes[with_it]!r})"
        )
    example = ""
    if hasattr(context.model, "roi_head"):  # others have no softmax for it as a rule
        example = ", for example `loss_cls=dict(type='imb_det.SeesawLoss')`"
    yield Finding(
        "never_alone",
        Severity.INFO,
        "classes that never come without one of a more frequent group: to repeat "
        "their images repeats that one as well",
        context.files("train"),
        f"{len(never)} of {(images > 0).sum()} classes: "
        f"{and_more(texts, quoted=False)}",
        f"Weigh these classes in the loss{example}, rather than by a sampler alone",
    )
