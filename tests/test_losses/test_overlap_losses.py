"""Losses of masks as wholes: examples by hand, identities, properties."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet.models.losses import DiceLoss as MmdetDiceLoss

from imb_det.losses import (
    DiceLoss,
    InstanceWeightedLoss,
    LovaszLoss,
    SelfAdjustingDiceLoss,
    SpatialClassBalancedLoss,
    TverskyLoss,
    flush_statistics,
    manage_statistics,
)
from tests.references import overlap

bits = st.lists(st.booleans(), min_size=6, max_size=6)
shares = st.lists(st.floats(0, 1), min_size=6, max_size=6)
logits = st.lists(st.floats(-5, 5), min_size=6, max_size=6)


def row(values):
    return torch.tensor([values], dtype=torch.float64)


def slope_of(loss, z, mask):
    z = z.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(z, mask).sum(), z)
    return slope


# By hand: p = 0.8, 0.6, 0.2 of the mask 1, 1, 0.
PRED, MASK = row([0.8, 0.6, 0.2]), row([1.0, 1.0, 0.0])


@pytest.mark.parametrize(
    ("loss", "wanted"),
    [
        # 2 * 1.4 of 1.6 + 2; of 0.64 + 0.36 + 0.04 + 2
        (DiceLoss(activate=False, naive_dice=True, eps=0.4), 1 - 3.2 / 4.0),
        (DiceLoss(activate=False, eps=0.48), 1 - 2.8 / 4.0),
        # TP 1.4, FN 0.6, FP 0.2
        (TverskyLoss(activate=False, smooth=0.12), 1 - 1.52 / 2.0),
        (TverskyLoss(activate=False, smooth=0.12, gamma=0.5), 0.24**2),
        # q = (1 - p) p: 0.16, 0.24, 0.16
        (SelfAdjustingDiceLoss(1.0, 0.44, activate=False), 1 - 1.24 / 3.0),
        # errors 0.4 (inside), 0.2 (inside), 0.2 (outside): IoU 1/2, 0, 0
        (LovaszLoss(activate=False), 0.4 * 0.5 + 0.2 * 0.5),
    ],
    ids=["naive", "squares", "Tversky", "focal", "self-adjusting", "Lovasz"],
)
def test_by_hand(loss, wanted):
    assert loss(PRED, MASK).item() == pytest.approx(wanted)


def test_lovasz_hinge_by_hand():
    """Margins of errors 1.5, 0.5 and, outside, 2: IoU 2/3, 1/3, 0."""
    z = row([-0.5, 0.5, 1.0])
    wanted = 2 * (1 - 2 / 3) + 1.5 * (2 / 3 - 1 / 3) + 0.5 * (1 / 3)
    assert LovaszLoss()(z, MASK).item() == pytest.approx(wanted)


@pytest.mark.parametrize("options", [dict(), dict(naive_dice=True, eps=1.0)])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_dice_is_that_of_mmdet(options, reduction):
    z, mask = 3 * torch.randn(5, 4, 6), (torch.rand(5, 4, 6) > 0.6).float()
    mask[1], mask[2] = 0, 1
    weight = torch.tensor([1.0, 0.5, 2.0, 0.0, 1.0])
    options = dict(options, reduction=reduction, loss_weight=2.0)
    found, wanted = DiceLoss(**options), MmdetDiceLoss(**options)
    factors = (None, 3.0) if reduction == "mean" else (None,)
    for factor in factors:
        batch = dict(weight=weight, avg_factor=factor)
        torch.testing.assert_close(found(z, mask, **batch), wanted(z, mask, **batch))
    torch.testing.assert_close(slope_of(found, z, mask), slope_of(wanted, z, mask))


@given(logits, bits, st.floats(1e-3, 2))
def test_tversky_of_halves_is_dice(z, mask, smooth):
    """Both parts of the fraction are halves of those of dice, so is ``smooth``."""
    z, mask = row(z), row(mask)
    loss = TverskyLoss(0.5, 0.5, smooth=smooth)
    dice = MmdetDiceLoss(naive_dice=True, eps=2 * smooth)
    torch.testing.assert_close(loss(z, mask), dice(z, mask), atol=1e-7, rtol=1e-6)
    same = DiceLoss(naive_dice=True, eps=2 * smooth)
    torch.testing.assert_close(loss(z, mask), same(z, mask))
    torch.testing.assert_close(slope_of(loss, z, mask), slope_of(same, z, mask))


@given(logits, bits, st.booleans())
def test_self_adjusting_dice_without_exponent_is_dice(z, mask, square):
    z, mask = row(z), row(mask)
    loss = SelfAdjustingDiceLoss(0.0, 0.1, square)
    p = z.sigmoid()
    parts = (p**2).sum() + (mask**2).sum() if square else p.sum() + mask.sum()
    wanted = 1 - (2 * (p * mask).sum() + 0.1) / (parts + 0.1)
    torch.testing.assert_close(loss(z, mask), wanted)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0])
def test_self_adjusting_dice_pulls_a_mask_to_its_maximum(alpha):
    mask, best = torch.ones(1, 3).double(), 1 / (1 + alpha)
    loss = SelfAdjustingDiceLoss(alpha)
    z = math.log(best / (1 - best)) if alpha < 1 else 0.0
    at = torch.full((1, 3), z).double()
    torch.testing.assert_close(slope_of(loss, at, mask), 0 * at, atol=1e-7, rtol=0)
    assert (slope_of(loss, at - 0.1, mask) < 0).all()
    assert (slope_of(loss, at + 0.1, mask) > 0).all()


@given(shares, shares, st.floats(0.1, 1), st.floats(0.1, 1), st.floats(0.5, 3))
def test_tversky_is_symmetric_with_its_weights(pred, mask, fn, fp, gamma):
    """What one mask misses of the other is what the other has too much."""
    pred, mask = row(pred), row(mask)
    loss = TverskyLoss(fn, fp, gamma, activate=False)
    turned = TverskyLoss(fp, fn, gamma, activate=False)
    torch.testing.assert_close(loss(pred, mask), turned(mask, pred))
    assert 0 <= loss(pred, mask) < 1


@given(shares, bits)
def test_more_weight_of_what_is_missed_costs_more_where_more_is_missed(pred, mask):
    pred, mask = row(pred), row(mask)
    missed, wrong = ((1 - pred) * mask).sum(), (pred * (1 - mask)).sum()
    recall = TverskyLoss(0.7, 0.3, activate=False)(pred, mask)
    precision = TverskyLoss(0.3, 0.7, activate=False)(pred, mask)
    if abs(missed - wrong) > 1e-9:
        assert (recall > precision) == (missed > wrong)


@given(bits, bits)
def test_lovasz_at_corners_is_1_minus_iou(pred, mask):
    wrong = [i for i in range(6) if pred[i] != mask[i]]
    wanted = overlap.jaccard_loss(wrong, mask)
    pred, mask = row(pred), row(mask)
    loss = LovaszLoss(activate=False)
    assert loss(pred, mask).item() == pytest.approx(wanted)
    # Logits of size 1: the errors are 0 and 2.
    assert LovaszLoss()(2 * pred - 1, mask).item() == pytest.approx(2 * wanted)


@given(logits, logits, bits, st.floats(0, 1))
def test_lovasz_is_convex_in_the_margins(first, second, mask, share):
    first, second, mask = row(first), row(second), row(mask)
    loss = LovaszLoss()
    between = loss(share * first + (1 - share) * second, mask)
    assert (
        between <= share * loss(first, mask) + (1 - share) * loss(second, mask) + 1e-9
    )


@given(logits, bits, st.permutations(range(6)))
def test_lovasz_bounds_and_order(z, mask, order):
    z, mask = row(z), row(mask)
    error = (1 - (2 * mask - 1) * z).clamp(min=0)
    loss = LovaszLoss()(z, mask)
    assert -1e-12 <= loss <= error.max() + 1e-12
    torch.testing.assert_close(LovaszLoss()(z[:, order], mask[:, order]), loss)


@given(shares, bits)
def test_dice_is_between_0_and_1(pred, mask):
    pred, mask = row(pred), row(mask)
    for loss in (
        DiceLoss(activate=False),
        DiceLoss(activate=False, naive_dice=True),
        SelfAdjustingDiceLoss(0.5, activate=False),
        LovaszLoss(activate=False),
    ):
        assert -1e-12 <= loss(pred, mask) <= 1


# Cross entropy by place.


def spatial(**options):
    loss = SpatialClassBalancedLoss(**options)
    manage_statistics(loss)
    return loss


def test_balanced_places_have_cross_entropy():
    loss = spatial(grid=(2, 3), background_penalty=0.0)
    z, mask = torch.randn(4, 2, 3), (torch.rand(4, 2, 3) > 0.5).float()
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(z, mask)
    torch.testing.assert_close(loss(z, mask), entropy)
    flush_statistics(loss)
    half = torch.stack([mask, 1 - mask]).flatten(0, 1)  # each place has as many
    loss = spatial(grid=(2, 3), background_penalty=0.0)
    loss(torch.zeros_like(half), half)
    flush_statistics(loss)
    torch.testing.assert_close(loss(z, mask), entropy)


@pytest.mark.parametrize("blend", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("beta", [0.0, 0.99, 0.9999])
def test_weights_of_places(blend, beta):
    """Five masks; one place is in all of them, another in none."""
    masks = (torch.rand(5, 2, 3) > 0.6).float()
    masks[:, 0, 0], masks[:, 1, 2] = 1, 0
    loss = spatial(grid=(2, 3), blend=blend, beta=beta, min_count=30.0)
    for part in (masks[:2], masks[2:]):  # in one step, as calls of two ranks
        loss(torch.zeros_like(part), part)
    flush_statistics(loss)
    found = loss.cell_weights()
    torch.testing.assert_close(found.sum(0), torch.ones(2, 3).double())
    share = masks.mean().item()
    wanted = [
        overlap.cell_weights(n, 5, share, beta, blend, 30.0)
        for n in masks.sum(0).flatten().tolist()
    ]
    torch.testing.assert_close(found.flatten(1).t(), torch.tensor(wanted).double())
    if blend == 0:
        assert (found[:, :1, :1] == found).all()
    z = torch.randn(1, 2, 3).double()
    rest = masks[:1].flatten().tolist(), wanted, 0.5
    value = overlap.spatial(z.flatten().tolist(), *rest)
    assert loss(z, masks[:1].double()).item() == pytest.approx(value)


def test_masks_of_another_size_share_the_places_out():
    loss = spatial(grid=2)
    mask = torch.zeros(1, 4, 6)
    mask[:, :2, :3] = 1  # the first cell
    mask[:, 2, :3] = 1  # half of the one below
    loss(torch.zeros(1, 4, 6), mask)
    seen = loss.seen.pending.view(2, 2, 2)
    assert seen.tolist() == [[[0.0, 1.0], [0.5, 1.0]], [[1.0, 0.0], [0.5, 0.0]]]
    with pytest.raises(ValueError, match=r"place of a pixel .* targets \(4, 6\)"):
        loss(torch.zeros(4, 6), torch.zeros(4, 6))


def test_places_are_counted_in_training_alone():
    loss, mask = spatial(grid=1), torch.ones(1, 2, 2)
    with torch.no_grad():
        loss(0 * mask, mask)
    loss.eval()(0 * mask, mask)
    assert loss.seen.pending.sum() == 0
    loss.train()(0 * mask, mask, reduction_override="none")  # as SOLO's heads call it
    assert loss.seen.pending.tolist() == [0.0, 1.0]
    fresh = SpatialClassBalancedLoss(grid=1)
    with pytest.raises(RuntimeError, match="ImbalanceHook"):
        fresh(0 * mask, mask)


def test_a_loss_with_weights_of_its_own_is_not_wrapped():
    with pytest.raises(TypeError, match="DiceLoss has a `class_weight` of its own"):
        InstanceWeightedLoss(DiceLoss())


def test_second_derivatives_are_refused():
    z = torch.zeros(1, 3, requires_grad=True)
    value = DiceLoss()(z, torch.ones(1, 3))
    with pytest.raises(RuntimeError, match="no second derivatives"):
        torch.autograd.grad(value, z, create_graph=True)


def test_the_slope_of_a_perfect_mask_is_finite():
    """A root is infinitely steep at 0."""
    z = torch.full((1, 4), 60.0)
    loss = TverskyLoss(gamma=2.0)
    assert np.isfinite(loss(z, torch.ones(1, 4)).item())
    assert slope_of(loss, z, torch.ones(1, 4)).isfinite().all()
