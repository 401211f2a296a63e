"""Batches for losses, and what their oracles are told."""

import torch
from torch.nn import functional as F

from imb_det.losses import flush_statistics
from tests.references.cross_entropy import one_hot

from .cases import NUM_CLASSES

BACKGROUND = NUM_CLASSES
LABELS = (0, BACKGROUND, 2, 1, BACKGROUND, 2, BACKGROUND)


def channels(case, num_classes=NUM_CLASSES):
    """Channels of the logits: one more for softmax."""
    return num_classes + case.channels


def make_batch(case, labels=LABELS, seed=0, dtype=torch.float64, scale=2.0):
    """Random logits with a gradient, and labels."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(labels), channels(case))
    logits = scale * torch.randn(shape, generator=generator, dtype=torch.float64)
    labels = torch.tensor(labels, dtype=torch.long)
    return logits.to(dtype).requires_grad_(), labels


def one_hot_targets(case, labels):
    """Labels as rows of zeros and ones; background is zeros for sigmoid."""
    width = channels(case)
    return F.one_hot(labels, max(width, NUM_CLASSES + 1))[:, :width].double()


def soft_targets(case, seed=5):
    """Rows in [0, 1]; rows of softmax sum to 1."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(LABELS), channels(case))
    targets = torch.rand(shape, generator=generator, dtype=torch.float64)
    return targets if case.sigmoid else targets / targets.sum(1, keepdim=True)


def forms_of_labels(case, labels, targets=None):
    """Labels and, where the loss takes them, targets: zeros and ones by default."""
    if case.needs_classes:
        return [labels]
    return [labels, one_hot_targets(case, labels) if targets is None else targets]


def for_oracle(case, labels):
    """Targets of labels (N,) or (N, channels) in plain numbers; None is ignored."""
    if labels.dim() == 2:
        return labels.tolist()
    return [
        None if label < 0 else one_hot(label, channels(case))
        for label in labels.tolist()
    ]


def warm(case, **changes):
    """A loss with the statistics of one step, and its oracle in the same state."""
    loss, oracle = case.build(**changes), case.oracle()
    logits, labels = make_batch(case, seed=99)
    loss(logits, labels)
    oracle.loss(logits.tolist(), for_oracle(case, labels))
    flush_statistics(loss)
    oracle.end_step()
    return loss, oracle


def gradient_of(loss, logits):
    """Derivative of a loss, whatever its shape, by the logits."""
    return torch.autograd.grad(loss.sum(), logits)[0]


def placed(case, place, **changes):
    """A warm loss as it is in a dense head or in an RoI head."""
    loss, _ = warm(case, **changes)
    if place == "RoI":
        loss.get_cls_channels(NUM_CLASSES)
    return loss


def assert_finite(loss, logits):
    """A loss and its gradient are numbers, and there is a graph between them."""
    assert loss.isfinite().all()
    assert loss.requires_grad
    slope = gradient_of(loss, logits)
    assert slope.isfinite().all()
    return slope
