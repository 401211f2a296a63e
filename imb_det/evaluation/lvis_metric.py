"""LVIS metric: federated rules, fixed AP and pooled AP, for boxes, masks, proposals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from imb_det.registry import METRICS
from imb_det.statistics.coco_content import CocoContent
from imb_det.statistics.coco_federated import refuse_unfederated
from imb_det.statistics.dataset_access import joint_metainfo

from .coco_metric import CocoMetric
from .functional.federated import FederatedGroundTruth
from .functional.figures import is_budget
from .functional.ground_truth import GroundTruth
from .functional.lvis_eval import LvisRules

__all__ = ["LVISMetric"]


@METRICS.register_module()
class LVISMetric(CocoMetric):
    """mmdet's LVIS metric without its faults, for v0.5 and v1.

    Arguments and keys are mmdet's, so that a config changes only the ``type``. It
    needs no ``lvis`` package, does not round, scores subsets of the images and
    proposals as what they are, sizes masks by their own area, and gives 0 where nothing
    was detected.

    Groups come from the letters of the annotation file, unless ``class_stats``,
    ``group_thresholds`` or ``group_quantiles`` are given and counts are known; then
    ``bbox_APr`` and so on go by training images. More figures of groups, balance and
    tables are as in :class:`CocoMetric`.

    Args:
        ann_file: LVIS annotation file; it alone says which classes were looked for.
        metric: ``bbox``, ``segm``, ``proposal``, or a list. Default: ``bbox``.
        classwise: Whether to report each class. Default: False.
        proposal_nums: Numbers of proposals. Default: (100, 300, 1000).
        iou_thrs: Overlaps at which a detection is right; None for 0.5, 0.55, ...
            0.95. Default: None.
        metric_items: Figures to report; None for the usual ones. ``AR@n``,
            ``AP_pool`` and what :class:`CocoMetric` takes are among them. Default:
            None.
        format_only: Whether to write results only. Default: False.
        outfile_prefix: Start of the path of the result files. Default: None.
        collect_device: ``cpu`` or ``gpu``, for results of several ranks. Default:
            ``cpu``.
        prefix: Start of the keys. Default: None, for ``lvis``.
        max_dets: Detections of an image that count, of all classes together, >= 1;
            None or -1 for all. Default: 300.
        fixed_ap: Whether the 10,000 best detections of each class in the whole set
            count, in place of ``max_dets`` in each image. The detector must keep that
            many: ``max_per_img`` and ``score_thr`` of its ``test_cfg`` cap before.
            Default: False.
        **kwargs: ``backend_args`` as in mmdet; ``diagnostics`` as in
            :class:`CocoMetric`; ``class_stats``, ``group_thresholds``,
            ``group_quantiles`` and ``table_dir`` as in :class:`GroupMetric`.

    Raises:
        ValueError: No annotation file, one that is not federated, or one whose
            categories have no ``frequency`` where no ``class_stats`` are given;
            ``max_dets`` below 1; ``metric_items`` that do not exist.

    Source: Gupta et al., LVIS (CVPR 2019); Dave et al., "Evaluating Large-Vocabulary
    Object Detectors: The Devil is in the Details" (2021) for fixed and pooled AP.
    """

    default_prefix = "lvis"
    _by_place = True
    _precision_items = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AP_pool")

    def __init__(
        self,
        ann_file: str | None = None,
        metric: str | list[str] = "bbox",
        classwise: bool = False,
        proposal_nums: Sequence[int] = (100, 300, 1000),
        iou_thrs: float | Sequence[float] | None = None,
        metric_items: Sequence[str] | None = None,
        format_only: bool = False,
        outfile_prefix: str | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
        *,
        max_dets: int | None = 300,
        fixed_ap: bool = False,
        **kwargs: Any,
    ) -> None:
        if ann_file is None:
            raise ValueError(
                "LVISMetric needs `ann_file`: only the annotation file says which "
                "classes were looked for in an image"
            )
        self.max_dets = None if max_dets == -1 else max_dets
        if self.max_dets is not None and not is_budget(self.max_dets):
            raise ValueError(f"`max_dets` must be None, -1 or >= 1, got {max_dets!r}")
        self.fixed_ap = fixed_ap
        super().__init__(
            ann_file,
            metric,
            classwise,
            proposal_nums,
            iou_thrs,
            metric_items,
            format_only,
            outfile_prefix,
            collect_device=collect_device,
            prefix=prefix,
            **kwargs,
        )

    @property
    def _recall_items(self) -> list[str]:
        own = self.rules.budget
        nums = [own]
        if any("proposal" in metric for metric in self.metrics):
            nums = [*map(str, sorted(self.proposal_nums)), own]
        # Without repeats, in this order.
        return list(dict.fromkeys(f"AR{s}@{n}" for n in nums for s in ("", *"sml")))

    def _read_file(self, sort_categories: bool) -> None:
        super()._read_file(sort_categories)
        if self.file is not None:
            refuse_unfederated(self.file.content, self.ann_file)

    @CocoMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any]) -> None:
        """Take the classes, and check the file before the first iteration."""
        self._dataset_meta = dataset_meta = joint_metainfo(dataset_meta)
        if self.file is not None and dataset_meta and dataset_meta.get("classes"):
            self._everything = FederatedGroundTruth.from_lvis(
                self.file, dataset_meta["classes"]
            )
            self._check_masks(None)  # the file may spell names otherwise

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep what is needed of a batch; see :meth:`CocoMetric.process`."""
        has_groups = any("proposal" not in metric for metric in self.metrics)
        if has_groups and not (self.results or self.format_only):
            self._letters()  # an error now, not after the last image
        super().process(data_batch, data_samples)

    def _read(self, file: CocoContent, classes: Sequence[str]) -> GroundTruth:
        return self._everything

    @property
    def rules(self) -> LvisRules:
        """Rules that this metric judges by."""
        return LvisRules(tuple(self.iou_thrs), self.max_dets, self.fixed_ap)

    def _named_recall(
        self, recall: np.ndarray, nums: Sequence[int]
    ) -> dict[str, float]:
        return {
            f"AR{size}@{n}": float(recall[row, column])
            for column, n in enumerate(nums)
            for row, size in enumerate(("", *"sml"))
        }

    def _letters(self) -> dict[str, np.ndarray] | None:
        letters = self._everything.groups
        if letters is None and self._training_stats(told=True) is None:
            raise ValueError(
                f"category '{self._everything.classes[0]}' and all others have no "
                "`frequency` in the annotation file; give this metric `class_stats="
                "'annotation file of the training set'`"
            )
        return letters
