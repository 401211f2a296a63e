"""Box heads of several detectors on the proposals of the first one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.models.layers import multiclass_nms
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox2roi
from mmengine.structures import InstanceData
from torch import Tensor

from imb_det.calibration import ClassifierOutput, classifier_outputs
from imb_det.heads.class_thresholds import ClassThresholds
from imb_det.heads.expert_losses import ExpertLosses
from imb_det.heads.guided_bbox_head import GuidedBBoxHead
from imb_det.losses import ScaledSoftmaxLink

__all__ = ["check_two_stage", "predict_together"]

#: What RoI heads and box heads must do as the standard ones do.
_STANDARD = {
    StandardRoIHead: ("predict", "predict_bbox", "predict_mask"),
    BBoxHead: ("predict_by_feat", "_predict_by_feat_single"),
}


def check_two_stage(owner: str, members: Sequence[Any], fuse: str) -> None:
    """Refuse detectors that cannot share proposals.

    Args:
        owner: Name of the ensemble, for messages.
        members: The detectors.
        fuse: ``'logits'`` or ``'probabilities'``.

    Raises:
        TypeError: One that has no standard RoI head, or changes finished detections.
        ValueError: Logits that have no mean, or masks that only some of them have.
    """
    advice = "write `fuse='boxes'`"
    for place, member in enumerate(members):
        roi_head = getattr(member, "roi_head", None)
        where = f"{owner}: member {place}, {type(member).__name__},"
        parts = {StandardRoIHead: roi_head}
        parts[BBoxHead] = getattr(roi_head, "bbox_head", None)
        is_standard = all(_predicts_as(part, kind) for kind, part in parts.items())
        if not (isinstance(member, TwoStageDetector) and is_standard):
            made = "" if roi_head is None else f", but {type(roi_head).__name__}"
            raise TypeError(
                f"{where} has no box head on proposals that it could share, such as "
                f"that of Faster or Mask R-CNN{made}; {advice}"
            )
        calibration = getattr(member, "calibration", None)
        if calibration is not None and len(calibration.scores):
            raise TypeError(
                f"{where} has {type(calibration.scores[0]).__name__}, which changes "
                f"finished detections, and there are none of single members; {advice}, "
                "or calibrate the ensemble"
            )
    with_masks = [member.with_mask for member in members]
    if len(set(with_masks)) > 1:
        raise ValueError(
            f"{owner}: only the members {[i for i, m in enumerate(with_masks) if m]} "
            "have masks; all must, or none"
        )
    if fuse == "logits":
        _check_logits(owner, members)


def _predicts_as(part: Any, kind: type) -> bool:
    """Tell whether a head predicts as that of mmdet, thresholds of classes apart."""
    if not isinstance(part, kind):
        return False
    methods = [(getattr(type(part), n), getattr(kind, n)) for n in _STANDARD[kind]]
    return all(
        own is plain or own is GuidedBBoxHead._predict_by_feat_single
        for own, plain in methods
    )


def _check_logits(owner: str, members: Sequence[Any]) -> None:
    def form(output: ClassifierOutput) -> tuple[int, int, bool]:
        made = getattr(output.layer, "out_features", output.channels)
        return output.channels, made, output.exclusive

    forms = [[form(o) for o in classifier_outputs(member)] for member in members]
    links = [_link_of(member) for member in members]
    for place in range(1, len(members)):
        if (forms[place], links[place]) != (forms[0], links[0]):
            raise ValueError(
                f"{owner}: the logits of member {place}, {links[place]} of "
                f"{forms[place][0][1]} outputs, have no mean with those of member 0, "
                f"{links[0]} of {forms[0][0][1]}; write `fuse='probabilities'`"
            )


def _link_of(member: Any) -> str:
    """Return how the logits of a member become probabilities."""
    loss = member.roi_head.bbox_head.loss_cls
    if isinstance(loss, ExpertLosses):
        weights = [round(float(w), 3) for w in loss.weights]
        return f"{loss.average} of experts by {weights}"
    link = getattr(loss, "link", None)
    if isinstance(link, ScaledSoftmaxLink):
        return f"{type(link).__name__} with the factor {link.scale.spec}"
    if link is not None:
        return type(link).__name__
    own = getattr(loss, "custom_activation", False)
    return type(loss).__name__ if own else "softmax"


def predict_together(
    members: Sequence[Any],
    batches: Sequence[tuple[Tensor, SampleList]],
    shares: Sequence[float],
    fuse: str,
) -> list[InstanceData]:
    """Predict with the mean of several box heads, see :class:`BackdoorEnsemble`.

    Args:
        members: Detectors that :func:`check_two_stage` has let pass.
        batches: Images and their samples, as each member wants them.
        shares: Of the members in the mean; their sum is 1.
        fuse: ``'logits'`` or ``'probabilities'``.

    Returns:
        Detections of each image, in its own coordinates.
    """
    first, samples = members[0], batches[0][1]
    features = [m.extract_feat(images) for m, (images, _) in _pairs(members, batches)]
    if samples[0].get("proposals", None) is None:
        proposals = first.rpn_head.predict(features[0], samples, rescale=False)
    else:
        proposals = [sample.proposals for sample in samples]
    counts = [len(own.bboxes) for own in proposals]
    if not sum(counts):
        none: list[InstanceData] = first.roi_head.predict(
            features[0], proposals, samples, rescale=True
        )
        return none
    metas = [sample.metainfo for sample in samples]
    rois = bbox2roi([own.bboxes for own in proposals])
    # Masks are pasted from boxes of the resized image, as mmdet does it.
    rescale = not first.with_mask
    made = [m.roi_head._bbox_forward(x, rois) for m, x in _pairs(members, features)]

    def raw(place: int, logits: Tensor) -> list[InstanceData]:
        """Return scores and boxes before suppression, of each image."""
        deltas = made[place]["bbox_pred"]
        parts = (None,) * len(counts) if deltas is None else deltas.split(counts)
        found: list[InstanceData] = members[place].roi_head.bbox_head.predict_by_feat(
            torch.split(rois, counts),
            torch.split(logits, counts),
            parts,
            metas,
            rcnn_test_cfg=None,
            rescale=rescale,
        )
        return found

    logits = [own["cls_score"] for own in made]
    if fuse == "logits":
        logits = [_mean(logits, shares)] * len(members)
    parts = [raw(place, own) for place, own in enumerate(logits)]
    head = first.roi_head.bbox_head
    results = [
        _suppressed(
            _mean([_by_class(p.bboxes, head.num_classes) for p in of_image], shares),
            _mean([p.scores for p in of_image], shares),
            first.roi_head.test_cfg,
            getattr(head, "class_thresholds", None),
        )
        for of_image in zip(*parts, strict=True)
    ]
    if first.with_mask:
        results = _with_masks(members, features, shares, metas, results)
    return results


def _pairs(members: Sequence[Any], others: Sequence[Any]) -> Any:
    return zip(members, others, strict=True)


def _mean(tensors: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """Return the weighted mean; that of equal tensors is theirs, bit for bit."""
    total = torch.zeros_like(tensors[0], dtype=torch.float64)
    for tensor, share in zip(tensors, shares, strict=True):
        if share:
            total = total + share * tensor.double()
    return total.to(tensors[0].dtype)


def _by_class(boxes: Tensor, classes: int) -> Tensor:
    """Return boxes of each class, also where all classes share theirs."""
    return boxes if boxes.size(1) > 4 or classes == 1 else boxes.repeat(1, classes)


def _suppressed(
    boxes: Tensor, scores: Tensor, config: Any, thresholds: ClassThresholds | None
) -> InstanceData:
    if not len(scores):  # an image without proposals
        return InstanceData(
            bboxes=boxes.new_zeros(0, 4),
            scores=scores.new_zeros(0),
            labels=torch.zeros(0, dtype=torch.long, device=scores.device),
        )
    if thresholds is not None:
        config = thresholds.in_place_of_number(config, repeats=len(scores))
    found, labels = multiclass_nms(
        boxes, scores, config.score_thr, config.nms, config.max_per_img
    )
    return InstanceData(bboxes=found[:, :-1], scores=found[:, -1], labels=labels)


def _with_masks(
    members: Sequence[Any],
    features: Sequence[Any],
    shares: Sequence[float],
    metas: list[dict[str, Any]],
    results: list[InstanceData],
) -> list[InstanceData]:
    """Add masks, from the mean of the logits of the mask heads."""
    head = members[0].roi_head
    counts = [len(own) for own in results]
    if not sum(counts):
        none: list[InstanceData] = head.predict_mask(
            features[0], metas, results, rescale=True
        )
        return none
    rois = bbox2roi([own.bboxes for own in results])
    masks = [
        member.roi_head._mask_forward(x, rois)["mask_preds"]
        for member, x in _pairs(members, features)
    ]
    if len({own.shape for own in masks}) > 1:
        shapes = [tuple(own.shape[1:]) for own in masks]
        raise ValueError(f"the masks of the members have other shapes: {shapes}")
    found: list[InstanceData] = head.mask_head.predict_by_feat(
        mask_preds=torch.split(_mean(masks, shares), counts),
        results_list=results,
        batch_img_metas=metas,
        rcnn_test_cfg=head.test_cfg,
        rescale=True,
    )
    return found
