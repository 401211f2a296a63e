"""Pascal VOC metric with frequency groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from mmdet.evaluation import VOCMetric as _MMDetVOCMetric
from mmdet.evaluation.functional.bbox_overlaps import bbox_overlaps
from mmdet.evaluation.functional.recall import _recalls
from mmengine.logging import print_log

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.registry import METRICS
from imb_det.runner_parts import transforms_of
from imb_det.statistics.dataset_access import leaf_datasets
from imb_det.statistics.shown_labels import shows_labels

from .functional.prediction_arrays import checked_arrays
from .functional.tables import format_number
from .functional.voc_boxes import voc_detections, voc_ground_truth
from .functional.voc_eval import VocRules
from .group_metric import GroupMetric
from .sample_reading import array_of, read_sample

__all__ = ["VOCMetric"]

#: Packages whose transforms load no boxes but by steps that :func:`shows_labels` knows.
_KNOWN = ("imb_det", "mmcv", "mmdet", "mmengine")
_REMEDY = (
    "Add `dict(type='LoadAnnotations', with_bbox=True)` to the test pipeline, before "
    "`PackDetInputs`"
)


@METRICS.register_module()
class VOCMetric(GroupMetric, _MMDetVOCMetric):
    """mmdet's VOC metric, exact, and for rare, common and frequent classes apart.

    Arguments, keys and rules are mmdet's, so that a config changes only the ``type``:
    difficult boxes are neither to be found nor wrong, widths and heights count one
    pixel more than x2 - x1, as in VOC's own code. New are ``APr``, ``APc``, ``APf`` and
    the other figures of groups and balance of :class:`CocoMetric`, and the table of the
    classes in the log and the work dir.

    Where it deviates from mmdet: figures are not rounded; no process pool is started;
    equal scores keep their order; ``recall`` and ``scale_ranges``, with which mmdet
    fails, work, the latter as ``AP50_32_96`` and so on beside the figures of all boxes;
    NaN or infinite numbers are errors.

    Args:
        *args: Arguments of mmdet's ``VOCMetric``, in its order. ``eval_mode`` is
            ``11points`` by default, for VOC 2007; its figures are no AP under the
            curve (``area``) and must not be compared with one.
        **kwargs: Arguments of mmdet's ``VOCMetric``. ``class_stats``,
            ``group_thresholds``, ``group_quantiles`` and ``table_dir``: see
            :class:`GroupMetric`.

    Raises:
        ValueError: More in :class:`GroupMetric`.
    """

    def findings(self, context: CheckContext) -> Iterator[Finding]:
        """Yield that the pipeline loads no boxes to judge by: all figures would be 0.

        Args:
            context: With this metric and the data set that it judges.
        """
        for split, metrics in context.metrics.items():
            if self not in metrics or split not in context.datasets:
                continue
            for leaf in leaf_datasets(context.datasets[split]):
                if _loads_boxes(leaf):
                    continue
                yield Finding(
                    "no_ground_truth",
                    Severity.ERROR,
                    "the pipeline loads no boxes and labels, by which VOCMetric judges",
                    f"`{split}_dataloader`, {getattr(leaf, 'ann_file', '')}",
                    remedy=_REMEDY,
                )

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep what is needed of a batch, as arrays.

        Args:
            data_batch: Not used.
            data_samples: Data samples with predictions, and with ``gt_instances`` and
                ``ignored_instances``, or ``instances`` of the data set.
        """
        for sample in data_samples:
            record, prediction = read_sample(sample, with_masks=False)
            instances = record.pop("anns", None)
            packed = sample.get("gt_instances", {})
            if "bboxes" in packed and "labels" in packed:
                ignored = sample["ignored_instances"]
                truth = {
                    "bboxes": array_of(packed["bboxes"]),
                    "labels": array_of(packed["labels"]),
                    "bboxes_ignore": array_of(ignored["bboxes"]),
                    "labels_ignore": array_of(ignored["labels"]),
                }
            elif instances is not None:
                truth = _truth_of(instances)
            else:
                raise ValueError(
                    f"image {record['img_id']!r} has no ground truth: VOCMetric needs "
                    f"boxes and labels in `gt_instances`. {_REMEDY}"
                )
            self.results.append(({**record, **truth}, prediction))

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
        truths, predictions = self._parted(results)
        if self.metric == "recall":
            return self._recall(truths, predictions)
        classes = self.dataset_meta["classes"]
        truth = voc_ground_truth(classes, truths)
        detections = voc_detections(len(classes), predictions)
        found = self.rules.evaluate(truth, detections)
        figures = dict(found.summary)
        for low, high in self.scale_ranges or ():
            rules = replace(self.rules, scale_range=(low, high))
            of_range = rules.evaluate(truth, detections).summary
            figures.update({f"{k}_{low:g}_{high:g}": v for k, v in of_range.items()})
        figures.update(self._group_figures("bbox", found))
        text = "  ".join(f"{k} {format_number(v)}" for k, v in figures.items())
        print_log(f"{self.eval_mode}: {text}", logger="current")
        return figures

    @property
    def rules(self) -> VocRules:
        """Rules that this metric judges by."""
        return VocRules(tuple(self.iou_thrs), self.eval_mode)

    def _reports_groups(self, kind: str | None) -> bool:
        return kind is None and self.metric == "mAP"

    def _recall(
        self, truths: Sequence[Mapping[str, np.ndarray]], predictions: Sequence[Mapping]
    ) -> dict[str, float]:
        """Return the recall of the boxes of label 0 as proposals, as mmdet has it."""
        # mmdet's own driver of these functions fails with NumPy from 1.24 on.
        overlaps = np.empty(len(truths), object)
        for row, (truth, found) in enumerate(zip(truths, predictions, strict=True)):
            boxes, scores, labels = checked_arrays(found, int(1e9))
            order = np.argsort(-scores[labels == 0], kind="stable")
            best = boxes[labels == 0][order[: max(self.proposal_nums)]]
            overlaps[row] = bbox_overlaps(
                truth["bboxes"], best, use_legacy_coordinate=True
            )
        num_objects = sum(len(part) for part in overlaps)
        recalls = np.full((len(self.proposal_nums), len(self.iou_thrs)), np.nan)
        if num_objects:
            nums, thresholds = np.array(self.proposal_nums), np.array(self.iou_thrs)
            recalls = _recalls(overlaps, nums, thresholds)
        figures = {
            f"recall@{num}@{threshold}": float(recalls[i, j])
            for i, num in enumerate(self.proposal_nums)
            for j, threshold in enumerate(self.iou_thrs)
        }
        if recalls.shape[1] > 1:
            means = recalls.mean(axis=1).tolist()
            pairs = zip(self.proposal_nums, means, strict=True)
            figures.update({f"AR@{num}": value for num, value in pairs})
        return figures


def _loads_boxes(leaf: Any) -> bool:
    """Tell whether a pipeline brings ground truth, in doubt that it does."""
    shown = shows_labels(leaf)
    if shown is not None:
        return shown
    steps = transforms_of(leaf)
    is_known = all(type(step).__module__.split(".")[0] in _KNOWN for step in steps)
    packed = [step.meta_keys for step in steps if hasattr(step, "meta_keys")]
    return not (is_known and packed) or any("instances" in keys for keys in packed)


def _truth_of(instances: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Bring the records of a data set into arrays."""
    boxes = np.array([i["bbox"] for i in instances], np.float32).reshape(-1, 4)
    labels = np.array([i["bbox_label"] for i in instances], int)
    ignored = np.array([bool(i.get("ignore_flag", 0)) for i in instances], bool)
    return {
        "bboxes": boxes[~ignored],
        "labels": labels[~ignored],
        "bboxes_ignore": boxes[ignored],
        "labels_ignore": labels[ignored],
    }
