"""What the doctor looks at: parts of a config, as far as they could be built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from imb_det.core.check_context import CheckContext
from imb_det.prior.boxes import TrainingBoxes, annotated_boxes
from imb_det.statistics.dataset_access import leaf_datasets

__all__ = ["DoctorContext"]


@dataclass(frozen=True)
class DoctorContext(CheckContext):
    """A context with the config that its parts come from, and their boxes.

    Args:
        config: Config (:class:`mmengine.config.Config`). Default: none.
        config_file: Its path, for messages. Default: unknown.
        hash_distance: Bits of 256 in which the hashes of near copies of an image may
            differ. Default: None, near copies are not looked for.
    """

    config: Any = field(default_factory=dict)
    config_file: str = ""
    hash_distance: int | None = None

    @cached_property
    def boxes(self) -> Mapping[str, TrainingBoxes]:
        """Boxes as annotated, by split; of data sets whose records have boxes.

        Images are in the order of
        :func:`~imb_det.statistics.dataset_access.iter_data_infos`.
        """
        found: dict[str, TrainingBoxes] = {}
        for split, dataset in self.datasets.items():
            twins = [s for s in found if self.datasets[s] is dataset]
            try:
                found[split] = found[twins[0]] if twins else annotated_boxes(dataset)
            except (KeyError, TypeError, ValueError):  # records of another kind
                continue
        return found

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of the training set; none where they are not known."""
        return () if self.class_stats is None else self.class_stats.classes

    def counted(self, split: str) -> TrainingBoxes:
        """Return the boxes of a split that are not ignored."""
        table = self.boxes[split]
        taken = ~table.ignored
        return TrainingBoxes(
            table.img_shape,
            table.boxes[taken],
            table.labels[taken],
            table.ignored[taken],
            table.image[taken],
        )

    def files(self, split: str) -> str:
        """Return the annotation files of a split, for messages."""
        leaves = leaf_datasets(self.datasets[split])
        names = [getattr(x, "ann_file", "") or type(x).__name__ for x in leaves]
        return ", ".join(map(str, dict.fromkeys(names)))

    def per_class(self, split: str) -> np.ndarray:
        """Return the number of counted boxes of each class, int64 (C,)."""
        return np.bincount(self.counted(split).labels, minlength=len(self.classes))
