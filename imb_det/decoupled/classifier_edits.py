"""Classifiers, changed without training: tau-normalisation, nearest class mean."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from imb_det.calibration import ClassifierOutput
from imb_det.core import check_number
from imb_det.merging.class_rows import ClassRows

__all__ = ["nearest_class_mean", "rows_of", "tau_norm"]

#: Layers whose logits are products of their rows with the features.
_LINEAR = ("Linear", "Conv2d")


def rows_of(output: ClassifierOutput) -> ClassRows:
    """Return which rows of a classifier are those of each class.

    Raises:
        TypeError: Its logits are not those of a linear layer.
    """
    layer = output.layer
    if type(layer).__name__ not in _LINEAR:
        raise TypeError(
            f"`{output.name}` is a {type(layer).__name__}, not a linear layer whose "
            "rows could be edited"
        )
    repeats = len(layer.weight) // output.channels  # type: ignore[arg-type]
    return ClassRows(output.num_classes, repeats, output.channels)


@torch.no_grad()
def tau_norm(
    layer: nn.Module,
    rows: ClassRows,
    tau: float = 1.0,
    keep_bias: bool = False,
    keep_scale: bool = False,
) -> None:
    r"""Take a power of the length out of the rows of the classes, in place.

    .. math:: \tilde w_c = w_c / |w_c|^\tau, \qquad \tilde b_c = 0

    Rows of background stay. In detection that is dangerous: the logits of classes
    change in size and that of background does not, so that boxes of nothing may become
    objects, or objects nothing. ``keep_scale`` multiplies by the mean of
    :math:`|w|^\tau`, with which classes stay about as large as they were.

    Args:
        layer: Linear or convolution.
        rows: Of the classes.
        tau: In [0, 1]; 0 leaves the rows as they are. Default 1.
        keep_bias: Whether the bias of the classes stays. Default False.
        keep_scale: Whether the mean length stays. Default False.

    Raises:
        TypeError, ValueError: ``tau`` is no number, or out of range.

    Source: Kang et al., "Decoupling Representation and Classifier for Long-Tailed
    Recognition", ICLR 2020, section 4.2. ``keep_scale`` is our own.
    """
    check_number("tau_norm", "tau", tau, 0, 1)
    index = torch.cat([rows.index(label) for label in range(rows.classes)])
    weight: Tensor = layer.weight  # type: ignore[assignment]
    lengths = weight[index].flatten(1).norm(dim=1)
    power = lengths**tau
    factor = torch.where(lengths > 0, 1 / power, torch.ones_like(power))
    if keep_scale:
        factor = factor * power.mean()
    shape = (-1, *[1] * (weight.dim() - 1))
    weight[index] = weight[index] * factor.reshape(shape)
    if layer.bias is not None and not keep_bias:
        bias: Tensor = layer.bias  # type: ignore[assignment]
        bias[index] = 0


@torch.no_grad()
def nearest_class_mean(
    layer: nn.Module,
    rows: ClassRows,
    means: Tensor,
    counts: Tensor,
    scale: float = 1.0,
) -> None:
    r"""Let a linear layer find the class whose mean is nearest, in place.

    .. math:: w_c = \bar w + s\, (\mu_c - \bar\mu), \qquad
              b_c = \bar b - \frac{s}{2} \left(|\mu_c|^2 - \overline{|\mu|^2}\right)

    Of the classes, the one of the largest logit is that of the least
    :math:`|x - \mu_c|`. The mean of their logits is what it was, so that they stay
    as likely against background, whose row stays; s makes them as different from one
    another as they were.

    Args:
        layer: Linear, with a bias.
        rows: Of the classes.
        means: Mean features of the true boxes of each class, (C, in_features).
        counts: Number of these boxes, (C,); a class without any keeps its row.
        scale: Factor of s, > 0. Default 1.

    Raises:
        TypeError, ValueError: ``scale`` is no such number, a layer that is not linear
            or has no bias, fewer than two classes with boxes, or means that do not
            differ.

    Source: Kang et al., ICLR 2020, section 4.2, there without background: its row, and
    what keeps the classes comparable to it, are our own.
    """
    check_number("nearest_class_mean", "scale", scale, 0, None, open_ends=True)
    if not isinstance(layer, nn.Linear) or layer.bias is None:
        raise TypeError(
            "nearest_class_mean: the classifier must be a linear layer with a bias, "
            f"got {layer}"
        )
    known = torch.nonzero(counts > 0).flatten().tolist()
    if len(known) < 2:
        raise ValueError(
            f"nearest_class_mean: {len(known)} classes have boxes, at least two must"
        )
    mu = means[known].to(layer.weight)
    apart = (mu - mu.mean(0)).square().sum()
    if not 0 < apart < torch.inf:  # features that are all 0, or not finite
        raise ValueError(
            "nearest_class_mean: the mean features of the classes do not differ; is "
            "the checkpoint that of a training that has failed?"
        )
    squares = mu.square().sum(1)
    of_classes = torch.stack([rows.index(label) for label in known])
    for index in of_classes.unbind(1):  # one column for each repeat
        weight, bias = layer.weight[index], layer.bias[index]
        spread = (weight - weight.mean(0)).square().sum()
        size = scale * (spread / apart).sqrt()
        layer.weight[index] = weight.mean(0) + size * (mu - mu.mean(0))
        layer.bias[index] = bias.mean() - size / 2 * (squares - squares.mean())
