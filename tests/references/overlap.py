"""Losses of masks as wholes, from their formulas, in plain numbers.

A mask is a list of targets, a prediction one of probabilities, or of logits where the
name says so.
"""

import math


def sigmoid(z):
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def softmax(row):
    top = max(row)
    shares = [math.exp(z - top) for z in row]
    return [share / sum(shares) for share in shares]


def dot(first, second):
    return sum(a * b for a, b in zip(first, second, strict=True))


def dice(pred, mask, naive=False, eps=1e-3):
    both = 2 * dot(pred, mask)
    if naive:
        return 1 - (both + eps) / (sum(pred) + sum(mask) + eps)
    return 1 - both / (dot(pred, pred) + eps + dot(mask, mask) + eps)


def self_adjusting_dice(pred, mask, alpha, smooth=1e-4, square=False):
    damped = [(1 - p) ** alpha * p for p in pred]
    parts = sum(damped) + sum(mask)
    if square:
        parts = dot(damped, damped) + dot(mask, mask)
    return 1 - (2 * dot(damped, mask) + smooth) / (parts + smooth)


def tversky(pred, mask, fn_weight=0.7, fp_weight=0.3, gamma=1.0, smooth=0.5):
    hit = dot(pred, mask)
    missed = dot([1 - p for p in pred], mask)
    wrong = dot(pred, [1 - t for t in mask])
    total = hit + fn_weight * missed + fp_weight * wrong + smooth
    return (1 - (hit + smooth) / total) ** (1 / gamma)


def jaccard_loss(wrong, mask):
    """1 - IoU of a mask with what is predicted where some pixels are wrong.

    An empty mask with an empty prediction has an IoU of 1.
    """
    inside = {i for i, t in enumerate(mask) if t}
    predicted = inside ^ set(wrong)
    union = inside | predicted
    return 1 - len(inside & predicted) / len(union) if union else 0.0


def lovasz(errors, mask):
    """The Lovasz extension of the Jaccard loss: integral over the sets of errors."""
    order = sorted(range(len(errors)), key=lambda i: -errors[i])
    total = 0.0
    for k in range(len(order)):
        step = jaccard_loss(order[: k + 1], mask) - jaccard_loss(order[:k], mask)
        total += errors[order[k]] * step
    return total


def lovasz_hinge(logits, mask):
    pairs = zip(logits, mask, strict=True)
    return lovasz([max(0.0, 1 - (2 * t - 1) * z) for z, t in pairs], mask)


def lovasz_of_probabilities(pred, mask):
    return lovasz([abs(t - p) for p, t in zip(pred, mask, strict=True)], mask)


def entropy(logits, mask):
    """Mean binary cross entropy."""
    return spatial(logits, mask, [(0.5, 0.5)] * len(mask), 0.0)


def cell_weights(mask_count, all_count, of_all, beta, blend, least):
    """Weights of background and mask in a cell, whose counts are given.

    Args:
        mask_count: Of mask in the cell.
        all_count: Of both.
        of_all: Share of mask in all cells.
        beta: Of the effective number.
        blend: Share of the cell's counts.
        least: Least count.
    """
    share = mask_count / all_count if all_count else 0.5
    pair = []
    for own, common in ((1 - share, 1 - of_all), (share, of_all)):
        pair.append(max(1000 * (blend * own + (1 - blend) * common), least))
    pair = [1000 * n / sum(pair) for n in pair]
    weights = [(1 - beta) / (1 - beta**n) for n in pair]
    return [w / sum(weights) for w in weights]


def spatial(logits, mask, weights, penalty):
    """Balanced cross entropy of the pixels; weights has a pair for each."""
    total = 0.0
    for z, t, (outside, inside) in zip(logits, mask, weights, strict=True):
        p = sigmoid(z)
        total -= 2 * inside * t * math.log(p)
        total -= 2 * outside * (1 - t) * math.log(1 - p)
        total += penalty * (1 - t) * p
    return total / len(mask)
