"""What holds of a config, in the words that the guide goes by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmdet.models.dense_heads import GroundingDINOHead
from mmdet.models.losses import CrossEntropyLoss
from mmdet.models.roi_heads.bbox_heads import BBoxHead, DIIHead, DoubleConvFCBBoxHead
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch import nn

from imb_det.losses import CrossEntropyLoss as OwnCrossEntropyLoss
from imb_det.losses import ImbalanceLoss
from imb_det.prior.query_prior import has_queries
from imb_det.runner_parts import samplers_of, transforms_of
from imb_det.samplers import EpochSampler
from imb_det.statistics.class_vector import ClassVector
from imb_det.statistics.dataset_access import dataset_nodes
from imb_det.statistics.imbalance_measures import imbalance_ratio

from .context import DoctorContext
from .data_checks.class_tables import is_thing

__all__ = ["box_heads", "facts_of"]

#: Boxes of the most frequent class for one of the least, in an imbalanced set.
IMBALANCED = 10.0
_PLAIN = (DefaultSampler, InfiniteSampler)
#: Box heads whose classifier no config replaces.
_FIXED = (DIIHead, DoubleConvFCBBoxHead)


def facts_of(context: DoctorContext) -> frozenset[str]:
    """Return what holds, by name.

    ``rare_classes``
        The training set has rare classes by the limits of groups, and 10 times as many
        boxes of one class as of another.
    ``plain_sampler``
        Each image is shown once an epoch, and not mixed with others.
    ``balanced_sampler``
        A sampler of this library, or a wrapper, shows some images more often.
    ``mixed_images``
        Transforms mix several images, evenly drawn.
    ``plain_classifier``
        All box heads have a linear classifier, which a config can replace, and one
        softmax.
    ``own_classifier``
        All box heads make their classifier by themselves, with one softmax.
    ``plain_box_loss``
        All box heads have a cross entropy of one softmax, without weights.
    ``queries``
        One head classifies queries, of classes that are always the same.

    Args:
        context: With whatever could be built.
    """
    checks = {
        "rare_classes": _has_rare(context) and _is_imbalanced(context),
        "plain_classifier": _all_heads(context, _is_plain_classifier),
        "own_classifier": _all_heads(context, _is_own_classifier),
        "plain_box_loss": _all_heads(context, _is_plain_loss),
        "queries": _has_queries(context),
        _kind_of_sampler(context): True,
    }
    return frozenset(name for name, holds in checks.items() if holds)


def box_heads(context: DoctorContext) -> Iterator[tuple[str, BBoxHead]]:
    """Yield the box heads of a two-stage detector, by their place in the config.

    A cascade has several; their places end in a number.
    """
    roi_head = getattr(context.model, "roi_head", None)
    heads = getattr(roi_head, "bbox_head", None)
    if isinstance(heads, nn.ModuleList):
        for place, head in enumerate(heads):
            yield f"model.roi_head.bbox_head.{place}", head
    elif isinstance(heads, BBoxHead):
        yield "model.roi_head.bbox_head", heads


def _has_rare(context: DoctorContext) -> bool:
    stats = context.class_stats
    if stats is None:
        return False
    rare = stats.groups().get("rare")
    if rare is None:
        return False
    return bool((stats.instance_count * is_thing(context))[rare].any())


def _has_queries(context: DoctorContext) -> bool:
    head = getattr(context.model, "bbox_head", None)
    return has_queries(head) and not isinstance(head, GroundingDINOHead)


def _is_imbalanced(context: DoctorContext) -> bool:
    stats = context.class_stats
    if stats is None:
        return False
    return imbalance_ratio(stats.instance_count[is_thing(context)]) >= IMBALANCED


def _kind_of_sampler(context: DoctorContext) -> str:
    loader = context.train_dataloader
    if loader is None:
        return "no_sampler"
    nodes = list(dataset_nodes(loader.dataset))
    samplers = [s for s in samplers_of(loader) if hasattr(s, "dataset")]
    if any(isinstance(s, EpochSampler) for s in samplers) or any(
        hasattr(node, "repeat_indices") for node in nodes
    ):
        return "balanced_sampler"
    if any(map(_mixes, transforms_of(loader.dataset))):
        return "mixed_images"
    is_plain = bool(samplers) and all(type(s) in _PLAIN for s in samplers)
    return "plain_sampler" if is_plain else "own_sampler"


def _mixes(step: Any) -> bool:
    return hasattr(step, "get_indexes") or hasattr(step, "results_cache")


def _all_heads(context: DoctorContext, holds: Any) -> bool:
    heads = [head for _, head in box_heads(context)]
    return bool(heads) and all(map(holds, heads))


def _is_plain_classifier(head: BBoxHead) -> bool:
    is_linear = type(getattr(head, "fc_cls", None)) is nn.Linear
    return is_linear and not isinstance(head, _FIXED) and _is_softmax(head)


def _is_own_classifier(head: BBoxHead) -> bool:
    return isinstance(head, _FIXED) and _is_softmax(head)


def _is_softmax(head: BBoxHead) -> bool:
    loss = head.loss_cls
    if isinstance(loss, ImbalanceLoss):
        return not loss.use_sigmoid
    custom = getattr(loss, "custom_activation", False)
    return not custom and not getattr(loss, "use_sigmoid", False)


def _is_plain_loss(head: BBoxHead) -> bool:
    loss = head.loss_cls
    if type(loss) not in (CrossEntropyLoss, OwnCrossEntropyLoss):
        return False
    vectors = [part for part in loss.modules() if isinstance(part, ClassVector)]
    given = any(v.spec is not None or v.stage_names for v in vectors)
    given |= getattr(loss, "class_weight", None) is not None and not vectors
    return _is_softmax(head) and not given
