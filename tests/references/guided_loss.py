"""RetinaNet's losses and the guided ratio, one anchor at a time in float64."""

import math


def sigmoid_bce(logit, target):
    """Binary cross entropy of one logit."""
    p = 1 / (1 + math.exp(-logit))
    return -(target * math.log(p) + (1 - target) * math.log(1 - p))


def classification_loss(logits, labels, weights, avg_factor):
    """Sum of BCE over anchors and classes; background is a label past the last."""
    total = 0.0
    for row, label, weight in zip(logits, labels, weights, strict=True):
        for c, logit in enumerate(row):
            total += weight * sigmoid_bce(logit, 1.0 if c == label else 0.0)
    return total / avg_factor


def box_loss(deltas, targets, weights, avg_factor):
    """L1 over the four deltas of the weighted anchors."""
    total = 0.0
    for row, target, weight in zip(deltas, targets, weights, strict=True):
        for d, t, w in zip(row, target, weight, strict=True):
            total += w * abs(d - t)
    return total / avg_factor


def running_ratios(losses, momentum):
    """Ratio of running means for a sequence of (loss_cls, loss_bbox), step by step."""
    ratios = []
    for step in range(1, len(losses) + 1):
        weights = [momentum ** (step - 1 - k) for k in range(step)]
        mean_cls = sum(w * cls for w, (cls, _) in zip(weights, losses))  # noqa: B905
        mean_bbox = sum(w * box for w, (_, box) in zip(weights, losses))  # noqa: B905
        ratios.append(mean_bbox / mean_cls)
    return ratios


def guided_ratio(loss_cls_of_ranks, loss_bbox_of_ranks):
    """Mean box loss over mean classification loss; 1 where that says nothing."""
    loss_cls = sum(loss_cls_of_ranks) / len(loss_cls_of_ranks)
    loss_bbox = sum(loss_bbox_of_ranks) / len(loss_bbox_of_ranks)
    usable = 0 < loss_cls < math.inf and 0 < loss_bbox < math.inf
    return loss_bbox / loss_cls if usable else 1.0
