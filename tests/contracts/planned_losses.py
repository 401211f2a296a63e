"""Losses of the long-tail literature, as short as the contract lets them be.

They are no part of the library: they show that it can carry margins, offsets that
depend on labels, gammas of classes, other links, and what is learnt from gradients.
"""

import torch

from imb_det.losses import (
    GumbelLink,
    ImbalanceLoss,
    SigmoidWithObjectnessLink,
    SoftmaxWithObjectnessLink,
    Terms,
)
from imb_det.losses.elements import FocalElement
from imb_det.statistics.class_vector import ClassVector
from imb_det.statistics.running_stats import RunningStats


class LogitAdjustment(ImbalanceLoss):
    """Softmax of ``z + tau log(prior)``; background stays as it is."""

    def __init__(self, tau=1.0):
        super().__init__(use_sigmoid=False)
        self.tau = tau
        rules = {"images": lambda stats: stats.image_count / stats.num_images}
        self.prior = ClassVector("LogitAdjustment", "prior", "images", rules=rules)

    def terms(self, call):
        prior = self.prior(call.num_classes, call.cls_score)
        return Terms(offset=self.tau * torch.cat([prior, prior.new_ones(1)]).log())


class LDAM(ImbalanceLoss):
    """Softmax of ``s (z - m_y)`` with margins of ``n^(-1/4)``."""

    def __init__(self, max_margin=0.5, scale=30.0):
        super().__init__(use_sigmoid=False)
        self.scale = scale

        def margins(stats):
            margin = stats.instance_count**-0.25
            return max_margin * margin / margin.max()

        self.margin = ClassVector("LDAM", "margin", "ldam", rules={"ldam": margins})

    def terms(self, call):
        margin = self.margin(call.num_classes, call.cls_score)
        margin = torch.cat([margin, margin.new_zeros(1)])
        return Terms(scale=margin.new_tensor(self.scale), margin=margin)


class Seesaw(ImbalanceLoss):
    """Softmax with objectness, mitigation and compensation by label and score."""

    def __init__(self, p=0.8, q=2.0, num_classes=3):
        super().__init__(use_sigmoid=False)
        self.link = SoftmaxWithObjectnessLink()
        self.p, self.q = p, q
        self.counts = RunningStats(num_classes, None)

    def terms(self, call):
        count = self.counts.value.clamp(min=1)
        counts = (call.label[:, None] == torch.arange(len(count))).sum(0)
        if call.learn:
            self.counts.add(counts)

        def offset(z, label):
            own = label.clamp(0, len(count) - 1)
            ratio = count / count[own][:, None]
            score = z.softmax(1)
            compare = score / score.gather(1, own[:, None]).clamp(min=1e-2)
            return (
                self.p * ratio.clamp(max=1).log() + self.q * compare.clamp(min=1).log()
            )

        return Terms(offset=offset)


class EQLv2(ImbalanceLoss):
    """Sigmoid with objectness, weighted by the ratio of gradients seen so far."""

    observes = True

    def __init__(self, gamma=12.0, mu=0.8, alpha=4.0, num_classes=3):
        super().__init__(use_sigmoid=True)
        self.link = SigmoidWithObjectnessLink()
        self.gamma, self.mu, self.alpha = gamma, mu, alpha
        self.gradients = RunningStats(2 * num_classes, None)

    def terms(self, call):
        positive, negative = self.gradients.value.chunk(2)
        ratio = torch.where(negative > 0, positive / (negative + 1e-10), 100.0)
        weight = torch.sigmoid(self.gamma * (ratio - self.mu))
        one = weight.new_ones(1)
        return Terms(
            positive=torch.cat([1 + self.alpha * (1 - weight), one]),
            negative=torch.cat([weight, one]),
        )

    def observe(self, call, seen, factor):
        sums = (seen.positive_gradient[:-1], seen.negative_gradient[:-1])
        self.gradients.add(torch.cat(sums))


class EFL(ImbalanceLoss):
    """Focal loss with a gamma, and its factor, for each class."""

    def __init__(self, extra, gamma=2.0, alpha=0.25):
        super().__init__(use_sigmoid=True)
        self.gamma, self.alpha = gamma, alpha
        self.extra = ClassVector("EFL", "extra", extra)

    def terms(self, call):
        gamma = self.gamma + self.extra(call.num_classes, call.cls_score)
        factor = gamma / self.gamma
        return Terms(
            element=FocalElement(gamma),
            positive=self.alpha * factor,
            negative=(1 - self.alpha) * factor,
        )


class Gumbel(ImbalanceLoss):
    """Cross entropy with the Gumbel link."""

    def __init__(self):
        super().__init__(use_sigmoid=True)
        self.link = GumbelLink()


class DropLike(ImbalanceLoss):
    """Sigmoid in which rare classes are no negatives of foreground rows."""

    def __init__(self, is_rare):
        super().__init__(use_sigmoid=True)
        self.is_rare = ClassVector("DropLike", "is_rare", is_rare)

    def terms(self, call):
        is_rare = self.is_rare(call.num_classes, call.cls_score)

        def negative(z, label):
            foreground = (label < call.num_classes)[:, None]
            return 1 - foreground * is_rare

        return Terms(negative=negative)


class EBL(ImbalanceLoss):
    """Softmax of ``s_j exp(z_j)`` with the mean scores s, which it learns."""

    observes = True

    def __init__(self, num_classes=3):
        super().__init__(use_sigmoid=False)
        self.scores = RunningStats(2 * (num_classes + 1), 0.9)

    def terms(self, call):
        total, rows = self.scores.value.chunk(2)
        mean = torch.where(rows > 0, total / rows.clamp(min=1e-9), 0.01)
        mean[-1] = 0.01
        return Terms(offset=mean.log())

    def observe(self, call, seen, factor):
        self.scores.add(torch.cat([seen.own_score, seen.rows]))
