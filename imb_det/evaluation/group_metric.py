"""What all metrics share: groups of classes, tables, and results of several ranks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import collect_results, get_world_size
from mmengine.logging import print_log

from imb_det.core.main_process import on_main_process
from imb_det.statistics.dataset_access import id_order
from imb_det.statistics.frequency_groups import GROUP_NAMES
from imb_det.statistics.imbalance_measures import gini, imbalance_ratio

from .class_table import write_class_table
from .counted_metric import CountedMetric
from .functional.figures import check_budgets, check_overlaps
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


class GroupMetric(CountedMetric):
    """Mixin for metrics that tell rare, common and frequent classes apart.

    Args:
        *args: Arguments of the metric.
        class_stats: Training images of each class: an object, a JSON file that
            ``ClassStats.to_json`` wrote, or the COCO or LVIS annotation file of the
            training set. None takes what ``ImbalanceHook`` hands over. Default: None.
        group_thresholds: Last number of training images of a rare and of a common
            class, ``0 <= first < second``; None for the limits that come with the
            counts, which ``ImbalanceHook`` gives. Default: None.
        group_quantiles: Shares of the classes that are rare, and rare or common, in
            place of thresholds, ``0 < first < second < 1``. Default: None.
        table_dir: Folder for the tables of the classes; None for the work dir that
            ``ImbalanceHook`` hands over, without which none are written. Default: None.
        **kwargs: Arguments of the metric.

    Raises:
        ValueError: Thresholds or quantiles that do not exist, overlaps that are not in
            (0, 1], or ``proposal_nums`` below 1.
        TypeError: ``class_stats`` of another kind.
        FileNotFoundError: ``class_stats`` is the path of no file.
    """

    def __init__(
        self, *args: Any, table_dir: str | Path | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        check_overlaps(np.ravel(self.iou_thrs).tolist())
        check_budgets("proposal_nums", self.proposal_nums)
        self.table_dir = None if table_dir is None else Path(table_dir)

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
            groups = self.groups()
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
            results.sort(key=lambda result: id_order(result[0]["img_id"]))
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
        groups = self.groups()
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

    def _stem(self, metric: str) -> Path | None:
        """Return the start of the path of files; None where there is no folder."""
        if self.table_dir is None:
            return None
        return self.table_dir / "_".join(filter(None, (self.prefix, metric)))

    def _show(self, metric: str, rows: Sequence[Sequence[Any]]) -> None:
        """Log the table of the classes."""
        table = text_table(CLASS_COLUMNS, rows)
        print_log(f"{metric} by class:\n{table}", logger="current")
