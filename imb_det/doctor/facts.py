"""What holds of a config, in the words that the guide goes by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmdet.models.losses import CrossEntropyLoss
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmengine.dataset import BaseDataset, DefaultSampler
from torch import nn

from imb_det.losses import CrossEntropyLoss as OwnCrossEntropyLoss
from imb_det.losses import ImbalanceLoss
from imb_det.runner_parts import samplers_of, transforms_of
from imb_det.statistics.class_vector import ClassVector
from imb_det.statistics.dataset_access import dataset_nodes
from imb_det.statistics.imbalance_measures import imbalance_ratio

from .context import DoctorContext

__all__ = ["box_heads", "facts_of"]

#: Boxes of the most frequent class for one of the least, in an imbalanced set.
IMBALANCED = 10.0


def facts_of(context: DoctorContext) -> frozenset[str]:
    """Return what holds, by name.

    ``rare_classes``
        The training set has rare classes by the limits of groups, and 10 times as many
        boxes of one class as of another.
    ``imbalanced``
        The latter alone.
    ``plain_sampler``
        Each image is shown once an epoch, and not mixed with others.
    ``plain_classifier``
        All box heads have a linear classifier, with one softmax.
    ``plain_box_loss``
        All box heads have a cross entropy of one softmax, without weights.

    Args:
        context: With whatever could be built.
    """
    checks = {
        "rare_classes": _has_rare(context) and _is_imbalanced(context),
        "imbalanced": _is_imbalanced(context),
        "plain_sampler": _has_plain_sampler(context),
        "plain_classifier": _all_heads(context, _is_plain_classifier),
        "plain_box_loss": _all_heads(context, _is_plain_loss),
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
    rare = stats.groups().get("rare", ())
    return bool(any(stats.instance_count[rare]))


def _is_imbalanced(context: DoctorContext) -> bool:
    stats = context.class_stats
    if stats is None:
        return False
    return imbalance_ratio(stats.instance_count) >= IMBALANCED


def _has_plain_sampler(context: DoctorContext) -> bool:
    loader = context.train_dataloader
    if loader is None:
        return False
    samplers = [s for s in samplers_of(loader) if hasattr(s, "dataset")]
    is_plain = bool(samplers) and all(type(s) is DefaultSampler for s in samplers)
    nodes = list(dataset_nodes(loader.dataset))
    wrapped = any(hasattr(node, "repeat_indices") for node in nodes)
    mixed = any(_mixes(step) for step in transforms_of(loader.dataset))
    return is_plain and not wrapped and not mixed and isinstance(nodes[-1], BaseDataset)


def _mixes(step: Any) -> bool:
    return hasattr(step, "get_indexes") or hasattr(step, "results_cache")


def _all_heads(context: DoctorContext, holds: Any) -> bool:
    heads = [head for _, head in box_heads(context)]
    return bool(heads) and all(map(holds, heads))


def _is_plain_classifier(head: BBoxHead) -> bool:
    return type(getattr(head, "fc_cls", None)) is nn.Linear and _is_softmax(head)


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
