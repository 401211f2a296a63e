"""What all metrics share: groups of classes, tables, and results of several ranks."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import collect_results, get_world_size
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from imb_det.core.main_process import on_main_process

from ..statistics.class_stats import ClassStats
from ..statistics.coco_files import spellings
from ..statistics.frequency_groups import GROUP_NAMES, frequency_groups
from ..statistics.imbalance_measures import gini, imbalance_ratio
from .class_table import write_class_table
from .functional.results import EvalResults
from .functional.tables import CLASS_COLUMNS, class_rows, text_table

__all__ = ["GROUP_ITEMS", "GroupMetric"]

#: Figures of the groups and of the balance between classes, in the order of the log.
GROUP_ITEMS = (
    *(f"AP{name[0]}{end}" for end in ("", "_50") for name in GROUP_NAMES),
    *(f"AR{name[0]}" for name in GROUP_NAMES),
    *("AP_gap", "AP_gmean", "AP_worst"),
)
#: Kind and group in the name of such a figure.
_OF_GROUPS = re.compile(r"(?:(bbox|segm)_)?A(?:[PR]([rcf])(?:_50)?|P_gap)")
_NAMED = 5  # classes that a message names


class GroupMetric(BaseMetric):
    """Mixin for metrics that tell rare, common and frequent classes apart.

    Args:
        *args: Arguments of the metric.
        class_stats: Training images of each class: an object, a JSON file that
            ``ClassStats.to_json`` wrote, or the COCO or LVIS annotation file of the
            training set. None takes what ``ImbalanceHook`` hands over. Default: None.
        group_thresholds: Last number of training images of a rare and of a common
            class, ``0 <= first < second``. Default: (10, 100).
        group_quantiles: Shares of the classes that are rare, and rare or common, in
            place of thresholds, ``0 < first < second < 1``. Default: None.
        table_dir: Folder for the tables of the classes; None for the work dir that
            ``ImbalanceHook`` hands over, without which none are written. Default: None.
        **kwargs: Arguments of the metric.

    Raises:
        ValueError: Thresholds or quantiles that do not exist.
        TypeError: ``class_stats`` of another kind.
        FileNotFoundError: ``class_stats`` is the path of no file.
    """

    def __init__(
        self,
        *args: Any,
        class_stats: ClassStats | str | Path | None = None,
        group_thresholds: Sequence[float] = (10, 100),
        group_quantiles: Sequence[float] | None = None,
        table_dir: str | Path | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        frequency_groups([], group_thresholds, group_quantiles)  # checks them
        self.group_thresholds = tuple(group_thresholds)
        self._has_limits = group_quantiles is not None or (
            self.group_thresholds != (10, 100)
        )
        self.group_quantiles = group_quantiles
        self.table_dir = None if table_dir is None else Path(table_dir)
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

    def set_work_dir(self, work_dir: str | Path) -> None:
        """Take the folder for the tables, unless the config names one."""
        if self.table_dir is None:
            self.table_dir = Path(work_dir)

    def check_watched(self, keys: Sequence[str]) -> None:
        """Refuse a figure to watch that no validation will bring.

        Args:
            keys: What ``save_best`` and early stopping go by, with their prefix; those
                of other metrics are passed over.

        Raises:
            ValueError: A figure of a group to which no class belongs.
        """
        if not (self.dataset_meta or {}).get("classes"):
            return  # mmengine has its own words for that
        for key in keys:
            prefix, _, item = key.rpartition("/")
            found = _OF_GROUPS.fullmatch(item)
            if (
                found is None
                or prefix != (self.prefix or "")
                or not self._reports_groups(found[1])
            ):
                continue
            groups = self._groups()
            wanted = set(found[2] or "rf")
            if groups and wanted - {group[0] for group in groups}:
                sizes = ", ".join(f"{len(ids)} {name}" for name, ids in groups.items())
                raise ValueError(
                    f"`{key}` is to be watched (`save_best`, `monitor`), but "
                    f"{type(self).__name__} will not report it, for want of a group; "
                    f"the classes are {sizes}. Watch another figure, or set "
                    "`group_thresholds` or `group_quantiles`"
                )

    def _reports_groups(self, kind: str | None) -> bool:
        """Tell whether there will be figures of groups, of ``bbox``, ``segm`` or None.

        Args:
            kind: With which the key starts, if with any.
        """
        raise NotImplementedError

    def evaluate(self, size: int) -> dict[str, float]:
        """Join the results of all ranks and compute the figures on rank 0.

        Args:
            size: Number of images of the data set. Where there are more results, the
                sampler has given some images to two ranks, which count once.

        Returns:
            Figures by name, the same on every rank.

        Raises:
            ValueError: What :meth:`compute_metrics` raises, on every rank.
        """
        parts = collect_results([self.results], get_world_size(), self.collect_device)

        def judge() -> dict[str, float]:
            # In the order of the data set, of which ranks take turns.
            turns = zip_longest(*parts)
            results = [r for turn in turns for r in turn if r is not None]
            if len(results) > size:
                results = self._without_padding(results, size)
            # Equal scores rank in the order of the images, so that must not depend on
            # how ranks have shared them.
            results.sort(key=lambda result: result[0]["img_id"])
            figures = self.compute_metrics(results)
            return {
                f"{self.prefix}/{key}" if self.prefix else key: value
                for key, value in figures.items()
            }

        try:
            return on_main_process(judge)
        finally:
            self.results.clear()

    def _parted(self, results: list) -> tuple[list, list]:
        """Return ground truths and predictions, of one image at least."""
        if not results:
            raise ValueError("no image was evaluated: the data set yields none")
        truths, predictions = zip(*results, strict=True)
        return list(truths), list(predictions)

    def _without_padding(self, results: list, size: int) -> list:
        """Keep the first result of each image, or, if ids repeat, the first ones."""
        first: dict[Any, tuple] = {}
        for record, prediction in results:
            first.setdefault(record["img_id"], (record, prediction))
        return list(first.values()) if len(first) == size else results[:size]

    def _group_figures(self, metric: str, found: EvalResults) -> dict[str, float]:
        """Return figures of groups and balance, and write the table of the classes.

        Args:
            metric: ``bbox`` or ``segm``.
            found: What was evaluated.
        """
        groups = self._groups()
        stats = self._class_stats
        figures = found.group_summary(groups)
        if groups:
            figures.update(found.balance_summary(groups))
        counts = None if stats is None else stats.image_count
        rows = class_rows(found, counts, groups)
        self._show(metric, rows)
        training_set = {}
        if stats is not None:
            boxes = stats.instance_count
            training_set = {
                "imbalance_ratio": imbalance_ratio(boxes),
                "gini": gini(boxes),
            }
            text = "imbalance ratio {imbalance_ratio:.1f}, Gini {gini:.3f}"
            print_log("Training set: " + text.format(**training_set), logger="current")
        if (stem := self._stem(metric)) is not None:
            every = {**found.summary, **figures}
            write_class_table(stem, rows, every, training_set)
        return {item: figures[item] for item in GROUP_ITEMS if item in figures}

    def _letters(self) -> Mapping[str, np.ndarray] | None:
        """Return the groups that the annotation file names, if it does."""
        return None

    def _groups(self) -> Mapping[str, np.ndarray]:
        """Return class indices by the name of the group; empty if nothing is known."""
        letters = self._letters()
        stats = self._training_stats(told=letters is not None)
        # Letters go before counts, unless the config asks for counts or other limits.
        asked = self._given_stats is not None or self._has_limits
        if letters is not None and (stats is None or not asked):
            return letters
        if stats is None:
            return {}
        return frequency_groups(
            stats.image_count, self.group_thresholds, self.group_quantiles
        )

    def _stem(self, metric: str) -> Path | None:
        """Return the start of the path of files; None where there is no folder."""
        if self.table_dir is None:
            return None
        return self.table_dir / "_".join(filter(None, (self.prefix, metric)))

    def _show(self, metric: str, rows: Sequence[Sequence[Any]]) -> None:
        """Log the table of the classes."""
        table = text_table(CLASS_COLUMNS, rows)
        print_log(f"{metric} by class:\n{table}", logger="current")

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
                "AP of rare, common and frequent classes, their gap, AP_gmean and "
                "AP_worst are left out, as the training images of the classes are "
                "unknown: the keys are mmdet's alone. Add `custom_hooks = "
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
            "AP of rare, common and frequent classes is left out: the training images "
            f"are counted for the classes {_shorten(stats.classes)}, but evaluated are "
            f"{_shorten(classes)}. Evaluate with the names of the training set, in its "
            "order, or give this metric `class_stats='annotation file of the training "
            "set'` with the names evaluated.",
            logger="current",
            level=logging.WARNING,
        )


def _shorten(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" * (len(names) > _NAMED)
    return f"{list(names[:_NAMED])}{more}"
