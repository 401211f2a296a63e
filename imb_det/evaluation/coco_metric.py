"""COCO metric with frequency groups."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.evaluation import CocoMetric as _MMDetCocoMetric
from mmengine.logging import print_log

from ..registry import METRICS
from ..statistics.class_stats import ClassStats
from ..statistics.coco_files import category_ids
from ..statistics.frequency_groups import GROUP_NAMES, frequency_groups
from .functional.coco_eval import evaluate_coco
from .functional.ground_truth import GroundTruth
from .functional.results import EvalResults
from .functional.tables import CLASS_COLUMNS, class_rows, format_number, text_table

__all__ = ["CocoMetric"]

_PRECISION = ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l")
_GROUPS = tuple(f"AP{name[0]}{end}" for name in GROUP_NAMES for end in ("", "_50"))
_NAMED = 5  # classes that a message names
_OWN_KEYS = r'\s*\{\s*"(classes|image_count|instance_count|num_images)"\s*:'


@METRICS.register_module()
class CocoMetric(_MMDetCocoMetric):
    """mmdet's COCO metric, exact, and for rare, common and frequent classes apart.

    Arguments, keys and rules are mmdet's, so that a config changes only the ``type``.
    New are ``bbox_APr``, ``bbox_APc``, ``bbox_APf`` (and ``bbox_APr_50``, ... at IoU
    0.5; ``segm_...`` for masks): the mean over the classes with few, some and many
    training images. A group in which no class has an object to find is absent.

    Where it deviates from mmdet: figures are not rounded; a set without any detection
    has AP 0 in place of no result; images that were not evaluated (``indices`` of the
    data set) do not count as missed; ``proposal_nums`` name the ``AR@n`` they belong
    to; ``classwise`` figures count detections as the ``mAP`` they are a part of;
    ``proposal_fast`` is computed as ``proposal``; ``use_mp_eval`` has no effect.

    Args:
        *args: Arguments of mmdet's ``CocoMetric``, in its order.
        class_stats: Training images of each class: an object, a JSON file that
            ``ClassStats.to_json`` wrote, or the COCO or LVIS annotation file of the
            training set. None takes what ``ImbalanceHook`` hands over; without either,
            or with counts of the hook for other classes, the groups are left out, with
            a warning. Default: None.
        group_thresholds: Last number of training images of a rare and of a common
            class, ``0 <= first < second``. Default: (10, 100).
        **kwargs: Arguments of mmdet's ``CocoMetric``; ``metric_items`` also takes
            ``APr``, ``APr_50`` and so on, and leaves out what it does not name.

    Raises:
        ValueError: Thresholds or ``metric_items`` that do not exist; ``class_stats``
            for other classes.
        TypeError: ``class_stats`` of another kind.
        FileNotFoundError: ``class_stats`` is the path of no file.
    """

    def __init__(
        self,
        *args: Any,
        class_stats: ClassStats | str | Path | None = None,
        group_thresholds: Sequence[float] = (10, 100),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.iou_thrs: list[float] = np.ravel(self.iou_thrs).tolist()
        frequency_groups([], group_thresholds)  # checks the thresholds
        self.group_thresholds = tuple(group_thresholds)
        nums = sorted(self.proposal_nums)
        self._recall_items = [f"AR@{n}" for n in nums]
        self._recall_items += [f"AR_{size}@{nums[-1]}" for size in "sml"]
        valid = (*_PRECISION, *self._recall_items, *_GROUPS)
        if unknown := [i for i in self.metric_items or () if i not in valid]:
            raise ValueError(f"`metric_items` {unknown} do not exist; valid: {valid}")
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

    @_MMDetCocoMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any]) -> None:
        """Take the classes, and check them before the first iteration."""
        self._dataset_meta = dataset_meta
        if self._coco_api is not None and dataset_meta and dataset_meta.get("classes"):
            category_ids(self._coco_api.dataset, dataset_meta["classes"])

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

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute all figures from the processed results of all images.

        Args:
            results: Pairs of ground truth and prediction, from ``process``.

        Returns:
            Figures by name, without the prefix.

        Raises:
            ValueError: No image at all, or predictions that cannot be judged; the
                message names the image.
        """
        if not results:
            raise ValueError("no image was evaluated: the data set yields none")
        records, predictions = map(list, zip(*results, strict=True))
        ground_truth = self._ground_truth(records)
        if self.outfile_prefix is not None:
            self._write_results(records, predictions)
        if self.format_only:
            return {}
        figures: dict[str, float] = {}
        for metric in self.metrics:
            proposals = metric in ("proposal", "proposal_fast")
            found = evaluate_coco(
                ground_truth,
                predictions,
                "segm" if metric == "segm" else "bbox",
                iou_thrs=self.iou_thrs,
                max_dets=self.proposal_nums,
                class_agnostic=proposals,
            )
            if proposals:
                items = self.metric_items or self._recall_items
                chosen = {i: found.summary[i] for i in items if i in found.summary}
                figures.update(chosen)
            else:
                chosen = self._chosen(metric, found)
                figures.update({f"{metric}_{k}": v for k, v in chosen.items()})
            text = "  ".join(f"{k} {format_number(v)}" for k, v in chosen.items())
            print_log(f"{metric}: {text}", logger="current")
            if self.classwise and not proposals:
                names = (f"{name}_precision" for name in found.classes)
                figures.update(zip(names, found.ap.tolist(), strict=True))
        # mmdet writes -1 where there is no object; for classes it writes NaN.
        return {
            k: -1.0 if np.isnan(v) and not k.endswith("_precision") else v
            for k, v in figures.items()
        }

    def _chosen(self, metric: str, found: EvalResults) -> dict[str, float]:
        """Select the figures to return, and log the table of the classes."""
        counts = self._image_count()
        groups = None
        figures = dict(found.summary)
        if counts is not None:
            groups = frequency_groups(counts, self.group_thresholds)
            figures.update(found.group_summary(groups))
        if self.classwise:
            table = text_table(CLASS_COLUMNS, class_rows(found, counts, groups))
            print_log(f"{metric} by class:\n{table}", logger="current")
        items = self.metric_items or (*_PRECISION, *_GROUPS)
        return {item: figures[item] for item in items if item in figures}

    def _ground_truth(self, records: list[dict[str, Any]]) -> GroundTruth:
        classes = self.dataset_meta["classes"]
        if self._coco_api is None:
            named = [{**record, "instances": record["anns"]} for record in records]
            return GroundTruth.from_records(classes, named)
        everything = GroundTruth.from_coco(self._coco_api.dataset, classes)
        part = everything.subset([record["img_id"] for record in records])
        if len(part.images) < len(everything.images):
            print_log(
                f"{len(part.images)} of the {len(everything.images)} images of the "
                "annotation file were evaluated; the figures are for those.",
                logger="current",
                level=logging.WARNING,
            )
        return part

    def _image_count(self) -> np.ndarray | None:
        """Return the training images of each class, None where nobody gave them."""
        classes = self.dataset_meta["classes"]
        if self._class_stats is None and self._given_stats is not None:
            self._class_stats = _read_stats(Path(str(self._given_stats)), classes)
        self._drop_foreign_stats()
        if self._class_stats is not None:
            self._class_stats.check_classes(classes)
            return self._class_stats.image_count
        if not self._told_missing_stats:
            self._told_missing_stats = True
            print_log(
                "AP of rare, common and frequent classes is left out: the training "
                "images of the classes are unknown. Add `custom_hooks = "
                "[dict(type='imb_det.ImbalanceHook')]` to the config, or "
                "`class_stats='annotation file of the training set'` to this metric.",
                logger="current",
                level=logging.WARNING,
            )
        return None

    def _drop_foreign_stats(self) -> None:
        """Do without counts of the hook that are for other classes, and say so."""
        stats, classes = self._class_stats, tuple(self.dataset_meta["classes"])
        if stats is None or self._given_stats is not None or stats.classes == classes:
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

    def _write_results(self, records: list, predictions: list) -> None:
        """Write the result files that mmdet would write."""
        classes = self.dataset_meta["classes"]
        if self._coco_api is None:
            self.gt_to_coco_json(gt_dicts=records, outfile_prefix=self.outfile_prefix)
            self.cat_ids = list(range(len(classes)))
        else:
            self.cat_ids = category_ids(self._coco_api.dataset, classes)
        self.results2json(predictions, self.outfile_prefix)
        print_log(f"Results are written to {self.outfile_prefix}.*", logger="current")


def _shorten(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" * (len(names) > _NAMED)
    return f"{list(names[:_NAMED])}{more}"


def _read_stats(path: Path, classes: Sequence[str]) -> ClassStats:
    """Read our own JSON or an annotation file, told apart by their first key."""
    with path.open() as file:
        is_own = re.match(_OWN_KEYS, file.read(200))
    return ClassStats.from_json(path) if is_own else ClassStats.from_coco(path, classes)
