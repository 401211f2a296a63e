"""Metrics whose figures are those of all ranks together, on one of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from mmengine.dist import collect_results, get_world_size

from imb_det.core.main_process import on_main_process
from imb_det.statistics.dataset_access import id_order

from .counted_metric import CountedMetric

__all__ = ["JoinedMetric"]


class JoinedMetric(CountedMetric):
    """Mixin for metrics with figures of groups, from one result for each image.

    Results are pairs of a record with ``img_id``, and what was predicted.

    Args:
        *args: Arguments of the metric.
        table_dir: As for :class:`GroupMetric`.
        **kwargs: Arguments of the metric.
    """

    #: Kind and group in the name of a figure of groups, named so; both may lack.
    of_groups: re.Pattern[str]

    def __init__(
        self, *args: Any, table_dir: str | Path | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
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
            found = self.of_groups.fullmatch(item)
            if (
                found is None
                or prefix != (self.prefix or "")
                or not self._reports_groups(found.groupdict().get("kind"))
            ):
                continue
            groups = self.groups()
            wanted = set(found["group"] or "rf")
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

    def _without_padding(self, results: list, size: int) -> list:
        """Keep the first result of each image, or, if ids repeat, the first ones."""
        first: dict[Any, tuple] = {}
        for record, prediction in results:
            first.setdefault(record["img_id"], (record, prediction))
        return list(first.values()) if len(first) == size else results[:size]

    def _stem(self, metric: str) -> Path | None:
        """Return the start of the path of files; None where there is no folder."""
        if self.table_dir is None:
            return None
        return self.table_dir / "_".join(filter(None, (self.prefix, metric)))
