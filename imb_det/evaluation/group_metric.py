"""What all metrics share: groups of classes, tables, and results of several ranks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.logging import print_log

from imb_det.statistics.frequency_groups import GROUP_NAMES
from imb_det.statistics.imbalance_measures import gini, imbalance_ratio

from .class_table import write_class_table
from .functional.figures import check_budgets, check_overlaps
from .functional.results import EvalResults
from .functional.tables import CLASS_COLUMNS, class_rows, text_table
from .joined_metric import JoinedMetric

__all__ = ["GROUP_ITEMS", "GroupMetric"]

#: Figures of the groups and of the balance between classes, in the order of the log.
GROUP_ITEMS = (
    *(f"AP{name[0]}{end}" for end in ("", "_50") for name in GROUP_NAMES),
    *(f"AR{name[0]}" for name in GROUP_NAMES),
    *("AP_gap", "AP_gmean", "AP_worst"),
)


class GroupMetric(JoinedMetric):
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

    of_groups = re.compile(
        r"(?:(?P<kind>bbox|segm)_)?A(?:[PR](?P<group>[rcf])(?:_50)?|P_gap)"
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        check_overlaps(np.ravel(self.iou_thrs).tolist())
        check_budgets("proposal_nums", self.proposal_nums)

    def _parted(self, results: list) -> tuple[list, list]:
        """Return ground truths and predictions, of one image at least."""
        if not results:
            raise ValueError("no image was evaluated: the data set yields none")
        truths, predictions = zip(*results, strict=True)
        return list(truths), list(predictions)

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

    def _show(self, metric: str, rows: Sequence[Sequence[Any]]) -> None:
        """Log the table of the classes."""
        table = text_table(CLASS_COLUMNS, rows)
        print_log(f"{metric} by class:\n{table}", logger="current")
