"""Metrics that know the training images of the classes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from imb_det.core.text import and_more
from imb_det.statistics.class_stats import ClassStats
from imb_det.statistics.coco_classes import spellings
from imb_det.statistics.dataset_access import joint_metainfo
from imb_det.statistics.frequency_groups import DEFAULT_LIMITS, GroupLimits

__all__ = ["CountedMetric"]


class CountedMetric(BaseMetric):
    """Mixin for metrics that take counts of the training set, for groups of classes.

    Args:
        *args: Arguments of the metric.
        class_stats: As for :class:`GroupMetric`, like the limits of the groups.
        group_thresholds: Last number of training images of a rare and a common class.
        group_quantiles: Shares of the classes, in place of thresholds.
        **kwargs: Arguments of the metric.

    Raises:
        ValueError, TypeError, FileNotFoundError: See :class:`GroupMetric`.
    """

    #: What the counts are for, in messages.
    group_figures = (
        "AP of rare, common and frequent classes, their gap, AP_gmean and AP_worst"
    )

    def __init__(
        self,
        *args: Any,
        class_stats: ClassStats | str | Path | None = None,
        group_thresholds: Sequence[float] | None = None,
        group_quantiles: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.group_limits = GroupLimits.given(group_thresholds, group_quantiles)
        if not isinstance(class_stats, (ClassStats, str, Path, type(None))):
            raise TypeError(
                "`class_stats` must be ClassStats or the path of a file, got "
                f"{type(class_stats).__name__}"
            )
        if isinstance(class_stats, (str, Path)) and not Path(class_stats).is_file():
            raise FileNotFoundError(f"`class_stats`: there is no file '{class_stats}'")
        self._given_stats = class_stats
        self._class_stats = class_stats if isinstance(class_stats, ClassStats) else None
        self._told_missing_stats = False

    @BaseMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: Any) -> None:
        """Take the classes; a concatenation of unlike parts has a list of them."""
        self._dataset_meta = joint_metainfo(dataset_meta)

    @property
    def wants_stats(self) -> bool:
        """Whether counts of the training set are to be handed over."""
        return self._given_stats is None

    def set_class_stats(self, class_stats: ClassStats) -> None:
        """Take the counts of the training set, unless the config names others.

        Counts for other classes, as a checkpoint has them after a change of names,
        bring a warning, and the groups are left out.

        Args:
            class_stats: Counts for the classes of this metric's data set.

        Raises:
            TypeError: Not a ClassStats.
        """
        if not isinstance(class_stats, ClassStats):
            raise TypeError(
                f"`class_stats` must be ClassStats, got {type(class_stats).__name__}"
            )
        if self._given_stats is None:
            self._class_stats = class_stats
            if self.dataset_meta and self.dataset_meta.get("classes"):
                self._drop_foreign_stats()

    def _letters(self) -> Mapping[str, np.ndarray] | None:
        """Return the groups that the annotation file names, if it does."""
        return None

    def groups(self) -> Mapping[str, np.ndarray]:
        """Return class indices by the name of the group; empty if nothing is known."""
        letters = self._letters()
        stats = self._training_stats(told=letters is not None)
        if stats is None:
            return letters or {}
        limits = self.group_limits or stats.group_limits
        # Letters go before counts, unless counts or other limits are asked for.
        asked = self._given_stats is not None or self.group_limits is not None
        if letters is not None and not asked and limits == DEFAULT_LIMITS:
            return letters
        return limits.groups(stats.image_count)

    def _training_stats(self, told: bool = False) -> ClassStats | None:
        """Return the counts of the training set, None where nobody gave them."""
        classes = self.dataset_meta["classes"]
        if self._class_stats is None and self._given_stats is not None:
            self._class_stats = ClassStats.from_file(str(self._given_stats), classes)
        self._drop_foreign_stats()
        if self._class_stats is not None:
            self._class_stats.check_classes(classes)
        elif not self._told_missing_stats and not told:
            self._told_missing_stats = True
            print_log(
                f"{self.group_figures} are left out, as the training images of the "
                "classes are unknown: the keys are mmdet's alone. Add `custom_hooks = "
                "[dict(type='imb_det.ImbalanceHook')]` to the config, or "
                "`class_stats='annotation file of the training set'` to this metric.",
                logger="current",
                level=logging.WARNING,
            )
        return self._class_stats

    def _drop_foreign_stats(self) -> None:
        """Do without counts of the hook that are for other classes, and say so."""
        stats, classes = self._class_stats, tuple(self.dataset_meta["classes"])
        if stats is None or self._given_stats is not None:
            return
        if stats.classes == classes or spellings(classes, stats.classes):
            return
        self._class_stats = None
        self._told_missing_stats = True
        print_log(
            f"{self.group_figures} are left out: the training images are counted for "
            f"the classes {and_more(stats.classes)}, but evaluated are "
            f"{and_more(classes)}. Evaluate with the names of the training set, in its "
            "order, or give this metric `class_stats='annotation file of the training "
            "set'` with the names evaluated.",
            logger="current",
            level=logging.WARNING,
        )
