"""Cross entropy of pixels and the hardest of each class, one pixel at a time."""

import math

from .cross_entropy import log_softmax


def pixel_losses(rows, labels, weights, prior=None):
    """Loss of each pixel: -w_y log softmax(z + log pi)_y, 0 for void ones (None)."""
    found = []
    for row, label in zip(rows, labels, strict=True):
        if label is None:
            found.append(0.0)
            continue
        if prior is not None:
            row = [z + math.log(p) for z, p in zip(row, prior, strict=True)]
        found.append(-weights[label] * log_softmax(row)[label])
    return found


def hardest(rows, labels, share, min_kept=0, thresh=0.0):
    """Labels with None for what is not kept: of each class the least likely pixels."""
    left = list(labels)
    for label in range(len(rows[0])):
        own = [i for i, other in enumerate(labels) if other == label]
        quota = max(math.ceil(share[label] * len(own) - 1e-9), min_kept)
        own.sort(key=lambda i: log_softmax(rows[i])[label])
        for rank, i in enumerate(own):
            is_sure = math.exp(log_softmax(rows[i])[label]) >= thresh
            if rank >= quota and is_sure:
                left[i] = None
    return left
