"""Several detectors of the same classes, which predict as one."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from mmdet.models.detectors import BaseDetector
from mmdet.structures import SampleList
from mmengine.logging import print_log
from torch import Tensor, nn

from imb_det.calibration.classifier_outputs import class_numbers
from imb_det.core import check_choice, check_number, is_number, refuse_idle
from imb_det.registry import MODELS

from .box_fusion import fuse_boxes
from .shared_proposals import check_two_stage, predict_together

__all__ = ["BackdoorEnsemble"]

FUSES = ("logits", "probabilities", "boxes")


@MODELS.register_module()
class BackdoorEnsemble(BaseDetector):
    r"""Detectors that were pretrained in different ways, and predict as one.

    .. math:: P(Y \mid do(X)) = \sum_b P(Y \mid X, b)\, P(b) \approx
              \mathrm{softmax}\Big(\sum_k w_k z_k\Big)

    What a pretraining has not seen, no loss on the data set that follows can mend;
    others have not seen other things. ``'logits'`` and ``'probabilities'`` are means of
    the box heads of two-stage detectors, on the proposals of the first member; boxes,
    and logits of masks, are means too, and the thresholds of the test are the first
    member's. ``'boxes'`` fuses the finished detections of any detectors, see
    :func:`.fuse_boxes`. K times the same detector predicts as that one.

    It predicts alone; ``tools/ensemble_checkpoints.py`` writes config and checkpoint.
    In a config it stands for the first member, so that all paths stay as they are.

    Args:
        member: Type of the first member, such as ``'FasterRCNN'``.
        others: How many more there are with the same config, >= 1, or their configs.
        fuse: ``'logits'``, ``'probabilities'`` or ``'boxes'``. Default ``'logits'``.
        weights: w of the members, numbers >= 0 that are divided by their sum. Default
            None, all the same.
        iou_thr: Overlap from which on boxes are one object, in (0, 1), of ``'boxes'``
            alone. Default None, 0.55.
        **config: All else that the first member has in the config.

    Raises:
        TypeError, ValueError: An argument out of range, members with other numbers of
            classes, or of a form that cannot be fused so.

    Example:
        >>> _base_ = "./faster-rcnn_r50_fpn_1x_coco.py"
        >>> model = dict(
        ...     type="imb_det.BackdoorEnsemble", member="FasterRCNN", others=2
        ... )

    Source: Chen et al., "Rethinking the Bias of Foundation Model under Long-tailed
    Distribution", ICML 2025, for images; their code takes the sum of the logits, with
    which K equal models would be surer than one. Boxes are our own.
    """

    def __init__(
        self,
        member: str,
        others: int | Sequence[Mapping[str, Any]],
        fuse: str = "logits",
        weights: Sequence[float] | None = None,
        iou_thr: float | None = None,
        **config: Any,
    ) -> None:
        # Members bring preprocessors of their own: this one only moves images.
        super().__init__(data_preprocessor=None)
        name = type(self).__name__
        check_choice(name, "fuse", fuse, FUSES)
        if fuse != "boxes":
            refuse_idle(name, f"with `fuse={fuse!r}`", iou_thr=(iou_thr, None))
        self.iou_thr = 0.55 if iou_thr is None else iou_thr
        check_number(name, "iou_thr", self.iou_thr, 0, 1, open_ends=True)
        configs = [dict(config, type=member), *_others(name, others, config, member)]
        self.shares = _shares(name, weights, len(configs))
        self.fuse = fuse
        self.members = nn.ModuleList(MODELS.build(own) for own in configs)
        self._check_classes(name)
        if fuse == "boxes":
            self._check_boxes(name)
        else:
            check_two_stage(name, list(self.members), fuse)

    def _check_classes(self, name: str) -> None:
        numbers = [class_numbers(member) for member in self.members]
        for place, own in enumerate(numbers):
            if own != numbers[0]:
                raise ValueError(
                    f"{name}: member {place} has {own} classes, member 0 {numbers[0]}; "
                    "all must have the same ones"
                )

    def _check_boxes(self, name: str) -> None:
        own = _limits(self.members)
        #: Detections of an image that are left, those of the most generous member.
        most = [number or -1 for number in own["max_per_img"]]
        self.most = max(most) if min(most) > 0 else None  # mmdet's -1 keeps all
        for place, member in enumerate(self.members):
            if getattr(member, "with_mask", False):
                raise TypeError(
                    f"{name}: member {place}, {type(member).__name__}, makes masks, "
                    "which `fuse='boxes'` would drop; fuse 'logits'"
                )
        above = [iou for iou in own["iou_threshold"] if iou and iou > self.iou_thr]
        if above:
            print_log(
                f"{name}: members keep boxes of a class that overlap by up to "
                f"{max(above):g}; those above `iou_thr={self.iou_thr:g}` are fused "
                "with one another",
                "current",
                logging.WARNING,
            )

    def predict(self, batch_inputs: Any, batch_data_samples: SampleList) -> SampleList:
        """Return the samples with the detections of all members in one.

        Args:
            batch_inputs: Images as they are loaded, B of (3, H, W).
            batch_data_samples: Their samples.
        """
        batches = []
        for member in self.members:
            samples = [sample.new() for sample in batch_data_samples]
            data = dict(inputs=batch_inputs, data_samples=samples)
            own = member.data_preprocessor(data, False)  # type: ignore[operator]
            batches.append((own["inputs"], own["data_samples"]))
        if self.fuse == "boxes":
            each = [
                member(*batch, mode="predict")
                for member, batch in zip(self.members, batches, strict=True)
            ]
            results = [
                fuse_boxes(
                    [sample.pred_instances for sample in of_image],
                    self.shares,
                    self.iou_thr,
                    self.most,
                )
                for of_image in zip(*each, strict=True)
            ]
        else:
            results = predict_together(
                list(self.members), batches, self.shares, self.fuse
            )
        return self.add_pred_to_datasample(batch_data_samples, results)

    def loss(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse training."""
        raise TypeError(
            "BackdoorEnsemble predicts alone: train its members one by one, and put "
            "their checkpoints together with `tools/ensemble_checkpoints.py`"
        )

    def _forward(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("BackdoorEnsemble predicts alone: `mode='predict'`")

    def extract_feat(self, batch_inputs: Tensor) -> NoReturn:
        """Refuse features, of which there are those of each member."""
        raise TypeError("BackdoorEnsemble has no features of its own")


def _others(
    name: str, others: Any, config: Mapping[str, Any], member: str
) -> list[dict[str, Any]]:
    """Return the configs of all members but the first."""
    if isinstance(others, int) and not isinstance(others, bool) and others >= 1:
        return [dict(config, type=member) for _ in range(others)]
    is_list = isinstance(others, Sequence) and not isinstance(others, str) and others
    if is_list and all(isinstance(own, Mapping) for own in others):
        return [dict(own) for own in others]
    raise TypeError(
        f"{name}: `others` must be the number of members beside the first, >= 1, or a "
        f"list of their configs, got {others!r}"
    )


def _shares(name: str, weights: Any, number: int) -> list[float]:
    """Return weights with sum 1."""
    if weights is None:
        return [1 / number] * number
    is_list = isinstance(weights, Sequence) and not isinstance(weights, str)
    fine = is_list and all(
        is_number(w) and w >= 0 and math.isfinite(w) for w in weights
    )
    if not fine or len(weights) != number or not sum(weights) > 0:
        raise ValueError(
            f"{name}: `weights` must be {number} numbers >= 0, one for each member and "
            f"not all 0, got {weights!r}"
        )
    return [w / sum(weights) for w in weights]


def _limits(members: Any) -> dict[str, list[Any]]:
    """Return how many detections members leave, and how much these may overlap."""
    found: dict[str, list[Any]] = {"max_per_img": [], "iou_threshold": []}
    for member in members:
        config = getattr(member, "test_cfg", None) or {}
        config = config.get("rcnn") or config
        found["max_per_img"].append(config.get("max_per_img"))
        found["iou_threshold"].append((config.get("nms") or {}).get("iou_threshold"))
    return found
