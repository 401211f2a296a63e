"""Losses whose authors re-weight classes in the last stage of a training."""

import math

import pytest
import torch

from imb_det.core import Stage
from imb_det.registry import MODELS
from imb_det.statistics import ClassStats

STATS = ClassStats(("ant", "bee", "cat"), [40, 8, 1], [90, 9, 1], 50)
# Mean 1 over classes, as the authors have it.
DRW = dict(rule="effective_number", beta=0.9999, max_ratio=None, normalize="classes")
PLAIN, LATER = (
    Stage(name, i, ("plain", "late")) for i, name in enumerate(("plain", "late"))
)

LOSSES = pytest.mark.parametrize(
    "config",
    [
        dict(type="imb_det.CrossEntropyLoss"),
        dict(type="imb_det.LDAMLoss"),
        dict(type="imb_det.VSLoss"),
        dict(type="imb_det.LogitAdjustmentLoss"),
        dict(type="imb_det.BalancedSoftmaxLoss"),
        dict(type="imb_det.CDTLoss"),
    ],
    ids=lambda config: config["type"],
)


def started(config, late=DRW):
    weights = dict(stages=dict(plain=None, late=late))
    loss = MODELS.build(dict(config, class_weight=weights))
    for part in loss.modules():
        if hasattr(part, "set_class_stats"):
            part.set_class_stats(STATS)
    return loss


def enter(loss, stage):
    loss.class_weight.set_stage(stage)
    return loss


def batch():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(12) % 4
    return torch.randn(12, 4, generator=generator, dtype=torch.float64), labels


def effective(n):
    """One over the effective number, with the beta of the authors of DRW."""
    return (1 - 0.9999) / (1 - 0.9999**n)


def rows_of(loss, stage):
    return enter(loss, stage)(*batch(), reduction_override="none")


@LOSSES
def test_rows_are_weighted_from_the_last_stage_on(config):
    loss = started(config)
    plain, late = rows_of(loss, PLAIN), rows_of(loss, LATER)
    raw = [effective(n) for n in (90, 9, 1)]
    mean = math.fsum(raw) / 3
    weight = torch.tensor([*(w / mean for w in raw), 1.0], dtype=torch.float64)
    torch.testing.assert_close(weight[:3].sum().item(), 3.0)
    torch.testing.assert_close(late, plain * weight[batch()[1]], rtol=1e-6, atol=0)
    assert late.max() > 1.5 * plain.max()


@LOSSES
def test_the_mean_is_over_rows_where_the_authors_divide_by_weights(config):
    """Theirs is ours times rows over weights: the relative weights are the same."""
    loss = started(config)
    plain = rows_of(loss, PLAIN)
    enter(loss, LATER)
    weight = torch.cat([loss.class_weight(3), torch.ones(1)]).double()[batch()[1]]
    authors = (weight * plain).sum() / weight.sum()
    found = loss(*batch(), avg_factor=12)
    torch.testing.assert_close(found * 12 / weight.sum(), authors, rtol=1e-6, atol=0)


def test_over_instances_the_weights_of_a_training_set_have_mean_one():
    loss = started(dict(type="imb_det.LDAMLoss"), dict(DRW, normalize="instances"))
    weight = enter(loss, LATER).class_weight(3).double()
    assert (weight * torch.tensor([90.0, 9, 1])).sum() / 100 == pytest.approx(1)


def test_a_beta_for_each_class():
    loss = started(dict(type="imb_det.CrossEntropyLoss"), dict(rule="class_beta"))
    weight = enter(loss, LATER).class_weight(3)
    betas = [0.99 + 0.0099 * (n - 1) / 89 for n in (90, 9, 1)]
    raw = [(1 - b) / (1 - b**n) for b, n in zip(betas, (90, 9, 1), strict=True)]
    mean = math.fsum(w * n for w, n in zip(raw, (90, 9, 1), strict=True)) / 100
    assert weight.tolist() == pytest.approx([w / mean for w in raw], rel=1e-6)


@pytest.mark.parametrize("loss", ["LDAMLoss", "VSLoss"])
def test_options_that_cannot_be_are_named_at_once(loss):
    config = dict(type=f"imb_det.{loss}")
    bad = {
        r"`beta` must be in \[0, 1\), got 1": dict(DRW, beta=1.0),
        "'inverse' has no": dict(rule="inverse", beta=0.9),
        "one of the rules": dict(rule="effective", beta=0.9),
    }
    for message, spec in bad.items():
        with pytest.raises(ValueError, match=f"{loss}: .*{message}"):
            started(config, spec)
