"""The same losses from their formulas, in float64 with autograd and one-hot targets.

Every function takes logits (N, K) and labels (N,), and returns losses of rows.
"""

import torch
from torch.nn import functional as F


def one_hot(labels, channels):
    return F.one_hot(labels.clamp(min=0), channels + 1)[:, :channels].double()


def logit_adjustment(logits, labels, prior, tau):
    p = torch.exp(logits) * torch.cat([prior, torch.ones(1)]) ** tau
    return -torch.log(p.gather(1, labels[:, None])[:, 0] / p.sum(1))


def ldam(logits, labels, counts, max_margin, scale):
    margin = counts.double() ** (-1 / 4)
    margin = torch.cat([margin * (max_margin / margin.max()), torch.zeros(1)])
    y = one_hot(labels, logits.size(1))
    return F.cross_entropy(scale * (logits - y * margin), labels, reduction="none")


def seesaw(logits, labels, count, p, q):
    """Equations 3 to 7 for the classes, and objectness beside them."""
    rows = []
    classes = logits.size(1) - 2
    for z, label in zip(logits, labels, strict=True):
        is_object = int(label) < classes
        objectness = -torch.log_softmax(z[classes:], 0)[0 if is_object else 1]
        if not is_object:
            rows.append(objectness)
            continue
        score = torch.softmax(z[:classes].detach(), 0)
        factor = torch.ones(classes, dtype=torch.float64)
        for j in range(classes):
            if count[j] < count[label]:
                factor[j] *= (count[j] / count[label]) ** p
            floor = max(float(score[label]), 1e-2)
            if score[j] > floor:
                factor[j] *= (score[j] / floor) ** q
        factor[label] = 1
        total = (factor * torch.exp(z[:classes])).sum()
        rows.append(-torch.log(torch.exp(z[label]) / total) + objectness)
    return torch.stack(rows)


class EQLv2:
    """Equations 5 to 9; an objectness output that is not weighted."""

    def __init__(self, classes, gamma, mu, alpha):
        self.sums = torch.zeros(2, classes, dtype=torch.float64)
        self.gamma, self.mu, self.alpha = gamma, mu, alpha

    def __call__(self, logits, labels):
        y = one_hot(labels, logits.size(1))
        positive, negative = self.sums
        ratio = torch.where(negative > 0, positive / (negative + 1e-10), 100.0)
        weight = 1 / (1 + torch.exp(-self.gamma * (ratio - self.mu)))
        one = torch.ones(1)
        weight_pos = torch.cat([1 + self.alpha * (1 - weight), one])
        weight_neg = torch.cat([weight, one])
        w = y * weight_pos + (1 - y) * weight_neg
        p = torch.sigmoid(logits.detach())
        size = ((p - y) * w).abs()
        self.seen = torch.stack([(size * y).sum(0), (size * (1 - y)).sum(0)])[:, :-1]
        bce = F.binary_cross_entropy_with_logits(logits, y, reduction="none")
        return (bce * w).sum(1)

    def end_step(self):
        self.sums += self.seen


def efl(logits, labels, extra, gamma, alpha):
    y = one_hot(labels, logits.size(1))
    p = torch.sigmoid(logits)
    p_t = y * p + (1 - y) * (1 - p)
    alpha_t = y * alpha + (1 - y) * (1 - alpha)
    each = gamma + extra
    loss = -(each / gamma) * alpha_t * (1 - p_t) ** each * torch.log(p_t)
    return loss.sum(1)


def gumbel(logits, labels):
    y = one_hot(labels, logits.size(1))
    log_eta = -torch.exp(-logits.clamp(-4, 10))
    return -(y * log_eta + (1 - y) * torch.log(-torch.expm1(log_eta))).sum(1)


def without_rare_negatives(logits, labels, is_rare):
    y = one_hot(labels, logits.size(1))
    foreground = (labels < logits.size(1)).double()[:, None]
    weight = 1 - foreground * is_rare * (1 - y)
    bce = F.binary_cross_entropy_with_logits(logits, y, reduction="none")
    return (bce * weight).sum(1)


def equilibrium(logits, labels, mean):
    p = mean * torch.exp(logits)
    return -torch.log(p.gather(1, labels[:, None])[:, 0] / p.sum(1))
