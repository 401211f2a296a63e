"""Links: how logits become probabilities, in training and in prediction alike."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imb_det.statistics.class_vector import ClassVector

from .elements import Element, GumbelElement
from .one_pass import Found, gradient_dtype
from .sigmoid_kernel import sigmoid_kernel
from .softmax_kernel import softmax_kernel
from .terms import Terms

__all__ = [
    "RARE_BIAS",
    "GumbelLink",
    "Link",
    "ScaledSoftmaxLink",
    "SigmoidLink",
    "SigmoidWithBackgroundLink",
    "SigmoidWithObjectnessLink",
    "SoftmaxLink",
    "SoftmaxWithObjectnessLink",
    "logit",
]


def logit(probability: float) -> float:
    """Return the logit of a probability in [0, 1]; infinite at its ends."""
    if probability in (0, 1):
        return math.inf if probability else -math.inf
    return math.log(probability / (1 - probability))


#: Bias of classifiers whose classes are all rare at first.
RARE_BIAS = logit(0.001)


class Link(nn.Module):
    """How the outputs of a classifier become probabilities of C classes.

    Attributes:
        use_sigmoid: What heads read to know the number of their outputs: C with it, in
            dense heads, and C + 1 without.
        extra_channels: Outputs beyond one a class.
        kernel: Loss and gradient of the outputs, with the arguments and results of
            :func:`~imb_det.losses.sigmoid_kernel.sigmoid_kernel`; a method of a link
            that has buffers, and none of the link of a loss that is made of others.
        element: With a sigmoid kernel: the loss of each element where the terms name
            none; None for cross entropy of the sigmoid.
        start_bias: Bias of all outputs at the start of a training; None for the
            head's own.
        takes_quality: Whether a class has an output of its own, which may become any
            number in [0, 1], such as the overlap of a box.
        one_softmax: Whether all outputs, C classes and background, exclude one another
            in a single softmax, that of :meth:`logits`.
    """

    use_sigmoid: bool
    extra_channels: int
    kernel: Callable
    element: Element | None = None
    start_bias: float | None = None
    takes_quality = False
    one_softmax = False

    def logits(self, cls_score: Tensor) -> Tensor:
        """Return the logits that the probabilities are made of.

        Args:
            cls_score: Outputs of the classifier, (..., C + extra_channels).
        """
        return cls_score

    def probabilities(self, cls_score: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the probabilities of classes and of background.

        Args:
            cls_score: Logits, (..., C + extra_channels).

        Returns:
            (..., C); (..., 1), or None where background has none of its own.
        """
        raise NotImplementedError

    def best(self, cls_score: Tensor) -> Tensor:
        """Return the most likely class of each row, int (N,), background C.

        Args:
            cls_score: Logits, (N, C + extra_channels).
        """
        classes, background = self.probabilities(cls_score)
        if background is None:
            score, found = classes.max(1)
            return torch.where(score > 0.5, found, classes.size(1))
        return torch.cat([classes, background], 1).argmax(1)

    def scores(self, cls_score: Tensor, with_background: bool) -> Tensor:
        """Return the probabilities that a head predicts with.

        Args:
            cls_score: Logits, (..., C + extra_channels).
            with_background: Whether background has a column, the last one, as in RoI
                heads, which drop it; without a probability of its own it has 0.
        """
        classes, background = self.probabilities(cls_score)
        if not with_background:
            return classes
        if background is None:
            return F.pad(classes, (0, 1))
        return torch.cat([classes, background], -1)


class SigmoidLink(Link):
    """Independent classes; background is the absence of all.

    Args:
        start_bias: Bias of all outputs at the start of a training; None for the head's
            own. Default None.
    """

    use_sigmoid = True
    extra_channels = 0
    takes_quality = True
    kernel = staticmethod(sigmoid_kernel)

    def __init__(self, start_bias: float | None = None) -> None:
        super().__init__()
        if start_bias is not None:
            self.start_bias = start_bias

    def probabilities(self, cls_score: Tensor) -> tuple[Tensor, None]:
        """Return the sigmoid."""
        return cls_score.sigmoid(), None


class SoftmaxLink(Link):
    """Classes and background, the last output, exclude one another."""

    use_sigmoid = False
    extra_channels = 1
    kernel = staticmethod(softmax_kernel)
    one_softmax = True

    def probabilities(self, cls_score: Tensor) -> tuple[Tensor, Tensor]:
        """Return the softmax."""
        scores = cls_score.softmax(-1)
        return scores[..., :-1], scores[..., -1:]


class ScaledSoftmaxLink(SoftmaxLink):
    """Softmax of logits times a factor, in training and in prediction.

    The loss has the same factor among its terms.

    Args:
        scale: One factor for all, or one a class.
        with_background: Whether one factor for all is that of background too, which
            else has 1, as it has beside factors of classes. Default True.
    """

    def __init__(self, scale: ClassVector, with_background: bool = True) -> None:
        super().__init__()
        self.scale = scale
        self.with_background = with_background

    def factor(self, cls_score: Tensor) -> Tensor | None:
        """Return the factors of the outputs, (C + 1,) or scalar; None for 1.

        Args:
            cls_score: Logits, (..., C + 1).
        """
        classes = cls_score.size(-1) - 1
        scale = self.scale(classes, cls_score)
        if scale is None or (scale.dim() == 0 and self.with_background):
            return scale
        return F.pad(scale.expand(classes), (0, 1), value=1.0)

    def logits(self, cls_score: Tensor) -> Tensor:
        """Return the scaled logits."""
        factor = self.factor(cls_score)
        return cls_score if factor is None else cls_score * factor

    def probabilities(self, cls_score: Tensor) -> tuple[Tensor, Tensor]:
        """Return the softmax of the scaled logits."""
        return super().probabilities(self.logits(cls_score))


class SigmoidWithBackgroundLink(Link):
    """Independent classes and background, the last output."""

    use_sigmoid = True
    extra_channels = 1
    kernel = staticmethod(sigmoid_kernel)

    def probabilities(self, cls_score: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sigmoids."""
        scores = cls_score.sigmoid()
        return scores[..., :-1], scores[..., -1:]


class SigmoidWithObjectnessLink(SigmoidWithBackgroundLink):
    r"""Independent classes and background, the last output: :math:`p_c (1 - p_{bg})`.

    Source: Tan et al., "Equalization Loss v2", CVPR 2021, with the bias
    logit(0.001) of all outputs as the authors' code has it.
    """

    start_bias: float | None = RARE_BIAS

    def probabilities(self, cls_score: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sigmoids, those of classes times that of no background."""
        classes, background = super().probabilities(cls_score)
        return classes * (1 - background), background


def _classes_and_objectness(
    terms: Terms,
    cls_score: Tensor,
    label: Tensor,
    weight: Tensor | None = None,
    per_row: bool = True,
    watch: bool = False,
) -> Found:
    """Sum the losses of classes, over foreground rows, and of objectness.

    The arguments and results are those of :func:`softmax_kernel`; the terms are for the
    classes, and what is observed has C channels.
    """
    if label.dim() != 1:
        raise ValueError("a loss with objectness needs classes, not soft targets")
    classes = cls_score.size(1) - 2
    label = label.long()  # bytes have no -1
    of_class = torch.where(label < classes, label, -1)
    of_object = torch.where(label < 0, -1, (label == classes).long())
    whole = torch.empty_like(cls_score, dtype=gradient_dtype(cls_score))
    into = whole[:, :classes], whole[:, classes:]
    loss, slope, seen = softmax_kernel(
        terms, cls_score[:, :classes], of_class, weight, per_row, watch, into[0]
    )
    more, more_slope, _ = softmax_kernel(
        Terms(row=terms.row), cls_score[:, classes:], of_object, weight, into=into[1]
    )
    if torch.compiler.is_compiling():
        whole = torch.cat([slope, more_slope], 1)
    return loss + more, whole, seen


class SoftmaxWithObjectnessLink(Link):
    r"""Classes that exclude one another, and foreground or background beside them.

    .. math:: p_c = \mathrm{softmax}(z_{1..C})_c\,
              \mathrm{softmax}(z_{C+1}, z_{C+2})_1

    The loss is that of classes, over foreground rows, and that of objectness, over all.

    Source: Wang et al., "Seesaw Loss for Long-Tailed Instance Segmentation", CVPR 2021.
    """

    use_sigmoid = False
    extra_channels = 2
    kernel = staticmethod(_classes_and_objectness)

    def probabilities(self, cls_score: Tensor) -> tuple[Tensor, Tensor]:
        """Return the softmax of the classes times that of foreground."""
        classes = cls_score[..., :-2].softmax(-1)
        objectness = cls_score[..., -2:].softmax(-1)
        return classes * objectness[..., :1], objectness[..., 1:]


class GumbelLink(SigmoidLink):
    r"""Independent classes with the Gumbel distribution, :math:`p = e^{-e^{-z}}`.

    Source: Alexandridis et al., "Long-tailed Instance Segmentation using Gumbel
    Optimized Loss", ECCV 2022.
    """

    element = GumbelElement()
    start_bias = -2.0

    def probabilities(self, cls_score: Tensor) -> tuple[Tensor, None]:
        """Return the probabilities."""
        return self.element.probability(cls_score), None
