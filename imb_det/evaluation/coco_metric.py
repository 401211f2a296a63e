"""COCO metric with frequency groups."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmdet.evaluation import CocoMetric as _MMDetCocoMetric
from mmengine.fileio import get_local_path
from mmengine.logging import print_log

from imb_det.core.finding import FindingsError
from imb_det.datasets.coco_index import index_of
from imb_det.registry import METRICS
from imb_det.statistics.coco_classes import category_ids
from imb_det.statistics.coco_content import CocoContent
from imb_det.statistics.coco_masks import judge_masks
from imb_det.statistics.dataset_access import joint_metainfo

from .diagnostics import diagnose
from .functional.coco_eval import CocoRules
from .functional.detections import Detections
from .functional.ground_truth import GroundTruth
from .functional.proposals import proposal_recall
from .functional.tables import format_number
from .group_metric import GROUP_ITEMS, GroupMetric
from .sample_reading import read_sample

__all__ = ["CocoMetric"]

_SHOWN = 100  # classes up to which the log has their table without being asked


@METRICS.register_module()
class CocoMetric(GroupMetric, _MMDetCocoMetric):
    """mmdet's COCO metric, exact, and for rare, common and frequent classes apart.

    Arguments, keys and rules are mmdet's, so that a config changes only the ``type``.
    New are ``bbox_APr``, ``bbox_APc``, ``bbox_APf``, the mean over the classes with
    few, some and many training images; ``bbox_APr_50``, ... at IoU 0.5;
    ``bbox_ARr``, ... for recall (``segm_...`` for masks). A group in which no class has
    an object to find is absent. ``bbox_AP_gap`` is APf less APr, ``bbox_AP_gmean`` the
    geometric mean over the classes, ``bbox_AP_worst`` the AP of the worst class. Where
    the training images of the classes are unknown, keys are mmdet's alone.

    The table of the classes goes to the work dir, ``coco_bbox_classes.csv`` and
    ``.json``, and up to 100 classes, or with ``classwise``, to the log.

    Where it deviates from mmdet: figures are not rounded; a set without any detection
    has AP 0 in place of no result; images that were not evaluated (``indices`` of the
    data set) do not count as missed; ``proposal_nums`` name the ``AR@n`` they belong
    to; ``classwise`` figures count detections as the ``mAP`` they are a part of; boxes
    without area are no objects to find where there is no annotation file;
    ``proposal_fast`` is computed as ``proposal``; ``use_mp_eval`` has no effect; an
    object whose annotation has the id 0 can be found, which pycocotools takes for "no
    match".

    Args:
        *args: Arguments of mmdet's ``CocoMetric``, in its order.
        diagnostics: Whether to write, to the folder of the tables, a confusion matrix
            with one detection for one object, ``coco_bbox_confusion.csv`` (of up to
            2,000 classes), the pairs of classes that are confused most,
            ``coco_bbox_confused_pairs.csv``, and confusion and calibration of the
            groups, ``coco_bbox_diagnostics.json``, and to report
            ``bbox_calibration_error``; of detections with a score from 0.3. Default:
            False.
        **kwargs: Arguments of mmdet's ``CocoMetric``; ``metric_items`` also takes
            ``APr``, ``APr_50`` and so on, and leaves out what it does not name.
            ``class_stats``, ``group_thresholds``, ``group_quantiles`` and
            ``table_dir``: see :class:`GroupMetric`.

    Raises:
        ValueError: ``metric_items`` that do not exist, ``class_stats`` for other
            classes; more in :class:`GroupMetric`.
    """

    _by_place = False  # whether mmdet numbers the labels by place, not by name
    _precision_items: tuple[str, ...] = (
        "mAP",
        "mAP_50",
        "mAP_75",
        "mAP_s",
        "mAP_m",
        "mAP_l",
    )

    def __init__(self, *args: Any, diagnostics: bool = False, **kwargs: Any) -> None:
        given = inspect.signature(_MMDetCocoMetric).bind_partial(*args).arguments
        if args:  # in mmdet's order
            given["ann_file"], self.ann_file = None, args[0]
        else:
            self.ann_file = kwargs.pop("ann_file", None)
        super().__init__(**given, **kwargs)
        #: Annotation file, read; None where the data set yields the ground truth.
        self.file: CocoContent | None = None
        if self.ann_file is not None:
            self._read_file({**given, **kwargs}.get("sort_categories", False))
        self.diagnostics = diagnostics
        self.iou_thrs: list[float] = np.ravel(self.iou_thrs).tolist()
        valid = (*self._precision_items, *self._recall_items, *GROUP_ITEMS)
        if unknown := [i for i in self.metric_items or () if i not in valid]:
            raise ValueError(f"`metric_items` {unknown} do not exist; valid: {valid}")

    def _read_file(self, sort_categories: bool) -> None:
        """Read the annotation file, and refuse what is malformed in it."""
        with get_local_path(self.ann_file, backend_args=self.backend_args) as path:
            needs_annotations = not self.format_only
            self.file = CocoContent.read(path, self.ann_file, needs_annotations)
        if sort_categories:  # as mmdet does for Objects365
            self.file.categories.sort(key=lambda category: category["id"])
        self._coco_api = index_of(self.file)

    @property
    def _recall_items(self) -> list[str]:
        """Names of recalls, those of proposals."""
        nums = sorted(self.proposal_nums)
        items = [f"AR@{n}" for n in nums]
        return items + [f"AR_{size}@{nums[-1]}" for size in "sml"]

    @_MMDetCocoMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any]) -> None:
        """Take the classes, and check them before the first iteration."""
        self._dataset_meta = dataset_meta = joint_metainfo(dataset_meta)
        if self.file is not None and dataset_meta and dataset_meta.get("classes"):
            category_ids(self.file.content, dataset_meta["classes"], self.ann_file)
            self._check_masks(dataset_meta["classes"])

    def _check_masks(self, classes: Sequence[str] | None) -> None:
        """Refuse objects of these classes without a mask, where masks are judged."""
        if self.file is None or "segm" not in self.metrics or self.format_only:
            return
        masks = judge_masks(self.file, classes, "is_judged")
        if masks.faults:
            raise FindingsError(masks.faults, f"{self.ann_file}, for metric='segm'")

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep what is needed of a batch, as arrays.

        Args:
            data_batch: Not used.
            data_samples: Data samples with predictions.

        Raises:
            ValueError: A sample without ground truth, where there is no annotation
                file; a mask of the wrong size.
        """
        for sample in data_samples:
            # Result files have the masks too, as mmdet writes them.
            wants = "segm" in self.metrics or self.outfile_prefix is not None
            record, prediction = read_sample(sample, with_masks=wants)
            if self.file is not None:
                record.pop("anns", None)
            elif lacking := [key for key in ("anns", "width") if key not in record]:
                named = {"anns": "`instances`", "width": "`ori_shape`"}
                raise ValueError(
                    f"image {record['img_id']!r} has no "
                    f"{' and '.join(named[key] for key in lacking)}; without "
                    "`ann_file` the data set must yield them"
                )
            self.results.append((record, prediction))

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
        records, predictions = self._parted(results)
        ground_truth = self._ground_truth(records)
        if self.outfile_prefix is not None:
            self._write_results(records, predictions)
        if self.format_only:
            return {}
        figures: dict[str, float] = {}
        for metric in self.metrics:
            is_proposal = metric in ("proposal", "proposal_fast")
            iou_type = "segm" if metric == "segm" else "bbox"
            truth = ground_truth.judged_by(iou_type)
            detections = Detections.from_predictions(truth, predictions, iou_type)
            if is_proposal:
                nums = sorted(self.proposal_nums)
                recall = proposal_recall(truth, detections, nums, self.iou_thrs)
                known = self._named_recall(recall, nums)
            else:
                found = self.rules.evaluate(truth, detections)
                known = dict(found.summary)
                known.update(self._group_figures(metric, found))
            chosen = self._chosen(known, is_proposal)
            if self.diagnostics and not is_proposal:
                chosen.update(
                    diagnose(
                        truth,
                        detections,
                        found.judged,
                        self.groups(),
                        self._stem(metric),
                    )
                )
            text = "  ".join(f"{k} {format_number(v)}" for k, v in chosen.items())
            print_log(f"{metric}: {text}", logger="current")
            start = "" if is_proposal else f"{metric}_"
            figures.update({f"{start}{key}": v for key, v in chosen.items()})
            if self.classwise and not is_proposal:
                names = (f"{name}_precision" for name in found.classes)
                figures.update(zip(names, found.ap.tolist(), strict=True))
        # mmdet writes -1 where there is no object; for classes it writes NaN.
        return {
            k: -1.0 if np.isnan(v) and not k.endswith("_precision") else v
            for k, v in figures.items()
        }

    def _reports_groups(self, kind: str | None) -> bool:
        return kind in self.metrics and not self.format_only

    @property
    def rules(self) -> Any:
        """Rules that this metric judges by."""
        return CocoRules(tuple(self.iou_thrs), tuple(self.proposal_nums))

    def _named_recall(
        self, recall: np.ndarray, nums: Sequence[int]
    ) -> dict[str, float]:
        """Name the recalls of proposals, (4, M), as mmdet does."""
        named = {f"AR@{n}": float(v) for n, v in zip(nums, recall[0], strict=True)}
        for size, value in zip("sml", recall[1:, -1], strict=True):
            named[f"AR_{size}@{nums[-1]}"] = float(value)
        return named

    def _show(self, metric: str, rows: Sequence[Sequence[Any]]) -> None:
        if self.classwise or len(rows) <= _SHOWN:
            super()._show(metric, rows)

    def _chosen(self, known: Mapping[str, float], is_proposal: bool) -> dict:
        """Select the figures that the config asks for, else mmdet's and the groups'."""
        usual = (*self._precision_items, *GROUP_ITEMS)
        items = self.metric_items or (self._recall_items if is_proposal else usual)
        return {item: known[item] for item in items if item in known}

    def _ground_truth(self, records: list[dict[str, Any]]) -> GroundTruth:
        classes = self.dataset_meta["classes"]
        if self.file is None:
            named = [{**record, "instances": record["anns"]} for record in records]
            return GroundTruth.from_records(classes, named)
        everything = self._read(self.file, classes)
        part = everything.subset([record["img_id"] for record in records])
        if len(part.images) < len(everything.images):
            print_log(
                f"{len(part.images)} of the {len(everything.images)} images of the "
                "annotation file were evaluated; the figures are for those.",
                logger="current",
                level=logging.WARNING,
            )
        return part.with_sizes(records)

    def _read(self, file: CocoContent, classes: Sequence[str]) -> GroundTruth:
        return GroundTruth.from_coco(file, classes)

    def _write_results(self, records: list, predictions: list) -> None:
        """Write the result files that mmdet would write."""
        classes = self.dataset_meta["classes"]
        if self.file is None:
            self.gt_to_coco_json(gt_dicts=records, outfile_prefix=self.outfile_prefix)
            self.cat_ids = list(range(len(classes)))
        else:
            self.cat_ids = category_ids(
                self.file.content, classes, self.ann_file, self._by_place
            )
        complete = []
        for prediction in predictions:
            masks = prediction.get("masks")
            extra = {} if masks is None else {"masks": masks.rles}
            complete.append({**prediction, **extra})
        self.results2json(complete, self.outfile_prefix)
        print_log(f"Results are written to {self.outfile_prefix}.*", logger="current")
