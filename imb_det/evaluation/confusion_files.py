"""Which classes are taken for which, as files that stay small with many classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from scipy.sparse import csr_matrix

from .csv_tables import write_table

__all__ = ["write_confusion"]

#: Classes up to which the whole matrix is written: some 8 MB.
_MOST_CLASSES = 2000
#: Pairs that are written, those that are confused most often.
_MOST_PAIRS = 1000


def write_confusion(stem: Path, names: Sequence[str], matrix: csr_matrix) -> None:
    """Write the pairs of classes that are confused most, and the matrix if it is small.

    Args:
        stem: Start of the paths. ``_confused_pairs.csv`` has the 1,000 most frequent
            pairs, each with the share of the true class' objects; ``_confusion.csv``
            the whole matrix of up to 2,000 classes, and is removed for more.
        names: Of the classes, and of the background.
        matrix: Of :func:`~.functional.confusion.confusion_matrix`.
    """
    pairs = matrix.tocoo()
    wrong = np.flatnonzero(pairs.row != pairs.col)
    order = np.lexsort((pairs.col[wrong], pairs.row[wrong], -pairs.data[wrong]))
    chosen = wrong[order[:_MOST_PAIRS]]
    objects = np.asarray(matrix.sum(axis=1)).ravel()
    rows: list[Sequence[str | int | float]] = [
        (
            names[true],
            names[predicted],
            count,
            "" if true == len(names) - 1 else round(count / int(objects[true]), 4),
        )
        for true, predicted, count in zip(
            pairs.row[chosen].tolist(),
            pairs.col[chosen].tolist(),
            pairs.data[chosen].tolist(),
            strict=True,
        )
    ]
    header = ("true", "predicted", "count", "share of the true class")
    path = stem.with_name(f"{stem.name}_confused_pairs.csv")
    write_table(path, [header, *rows])
    whole = stem.with_name(f"{stem.name}_confusion.csv")
    if len(names) - 1 <= _MOST_CLASSES:
        table = zip(names, matrix.toarray().tolist(), strict=True)
        lines = ([name, *counts] for name, counts in table)
        write_table(whole, [["true \\ predicted", *names], *lines])
        return
    whole.unlink(missing_ok=True)  # of another evaluation
    print_log(
        f"Confusion of {len(names) - 1} classes: {path} has the {len(rows)} most "
        f"frequent of {len(wrong)} pairs; the matrix is written up to {_MOST_CLASSES} "
        "classes",
        logger="current",
    )
