"""GHM-C as a mean over positives, for heads with few rows or with a divisor."""

import math

import pytest
import torch

from imb_det.losses import flush_statistics, manage_statistics
from imb_det.registry import MODELS
from tests.contracts import query_heads as heads

GHM = dict(type="imb_det.GHMCLoss", use_sigmoid=True, average="avg_factor")


def counted(bins, **options):
    """A loss after a step with 8 negatives of p = 0.1 and 2 positives of p = 0.4."""
    loss = MODELS.build(dict(GHM, bins=bins, **options))
    manage_statistics(loss)
    low, high = math.log(0.1 / 0.9), math.log(0.4 / 0.6)
    logits = torch.full((10, 1), low, dtype=torch.float64)
    logits[:2] = high
    labels = torch.tensor([0, 0] + [1] * 8)
    loss(logits, labels, avg_factor=2.0)
    flush_statistics(loss)
    return loss, logits, labels


def test_by_hand():
    """Norms 0.1 (8 of them) and 0.6 (2) in two bins: weights 2 / (2 S)."""
    loss, logits, labels = counted(2, min_count=0.5)
    rows = loss(logits, labels, reduction_override="none")[:, 0]
    assert rows[2].item() == pytest.approx(2 / (2 * 8) * -math.log(0.9))
    assert rows[0].item() == pytest.approx(2 / (2 * 2) * -math.log(0.4))
    assert loss(logits, labels, avg_factor=2.0).item() == pytest.approx(
        rows.sum().item() / 2
    )


def test_a_positive_in_an_empty_bin_weighs_as_in_cross_entropy():
    """Whatever `min_count`: there are M bins, and of them n = 2 were used."""
    loss, _, _ = counted(4)
    logit = torch.tensor([[math.log(0.05 / 0.95)]], dtype=torch.float64)
    value = loss(logit, torch.tensor([0]), reduction_override="none")
    assert value.item() == pytest.approx(4 / 2 * -math.log(0.05))


def test_it_is_the_mean_over_examples_where_there_are_many():
    """Of one call, with the same least count: the same gradient."""
    torch.manual_seed(0)
    # 1000 positives: P / M is above the least count.
    logits = 3 * torch.randn(3000, 2, dtype=torch.float64)
    labels = torch.arange(3000) % 3
    values = []
    for average in ("examples", "avg_factor"):
        loss = MODELS.build(dict(GHM, average=average))
        manage_statistics(loss)
        for _ in range(2):
            z = logits.clone().requires_grad_()
            value = loss(z, labels, avg_factor=2000.0)
            flush_statistics(loss)
        values += [value, *torch.autograd.grad(value, z)]
    torch.testing.assert_close(values[2], values[0])
    torch.testing.assert_close(values[3], values[1])


def test_counts_of_calls_have_no_positives_before():
    with pytest.raises(ValueError, match=r"average='avg_factor'.*statistics='step'"):
        MODELS.build(dict(GHM, statistics="call"))


@pytest.mark.parametrize("kind", ["DINOHead", "DABDETRHead"])
def test_layers_and_denoising_queries_weigh_about_as_with_focal_loss(kind):
    """Few rows, of several kinds: no call is lost beside another."""
    found = {}
    for loss in (dict(type="imb_det.FocalLoss", use_sigmoid=True), GHM):
        torch.manual_seed(0)
        head = heads.build(kind, loss)
        for seed in range(3):
            losses = heads.losses_of(kind, head, seed)
            flush_statistics(head)
        found[loss["type"]] = {k: v for k, v in losses.items() if "loss_cls" in k}
    focal, ghm = found.values()
    for name, value in focal.items():
        assert 0.2 < ghm[name] / value < 5, name
