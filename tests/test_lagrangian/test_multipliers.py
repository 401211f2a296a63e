"""Multipliers: the authors' update, by hand and from a loop over rows."""

import numpy as np
import pytest
import torch

from imb_det.lagrangian import Multipliers
from imb_det.lagrangian.margin_meter import MarginMeter, margin_losses
from imb_det.losses import CALSLoss, LogitClipLoss
from tests.references import wrappers
from tests.wrapped_losses import CE

LIMITS = (0.25, 4.0)


class Head(torch.nn.Module):
    def __init__(self, loss, num_classes=3):
        super().__init__()
        self.num_classes, self.loss_cls = num_classes, loss


def model_with(*losses):
    return torch.nn.ModuleList(map(Head, losses))


def test_update_by_hand():
    found = Multipliers(3, LIMITS, (1.0, 1.5), rho_factor=1.2, progress=0.5)
    assert found.multiplier.tolist() == [0.25] * 3
    found.update(np.array([0.1, 1.0, 9.0]), np.array([-1.0, 2.0, 2.0]), with_rho=True)
    assert found.multiplier.tolist() == [0.25, 1.0, 4.0]
    assert found.rho.tolist() == [1.0] * 3  # there was none to compare with
    # Newly broken; half of what it was; hardly less.
    constraint = np.array([0.5, 1.0, 1.5])
    found.update(np.ones(3), constraint, with_rho=True)
    assert found.rho.tolist() == [1.2, 1.0, 1.2]
    found.update(np.ones(3), constraint, with_rho=False)
    assert found.rho.tolist() == [1.2, 1.0, 1.2]
    for _ in range(3):
        found.update(np.ones(3), constraint, with_rho=True)
    assert found.rho.tolist() == pytest.approx([1.5] * 3)
    again = Multipliers(3, LIMITS)
    again.load_dict(found.to_dict())
    assert again.to_dict() == found.to_dict()
    with pytest.raises(ValueError, match=r"multipliers of 2 classes and background.*4"):
        Multipliers(5).load_dict(found.to_dict())


@pytest.mark.parametrize("form", ["phr", "p2"])
@pytest.mark.parametrize("clip", [False, True])
def test_each_row_is_clipped_before_the_mean(form, clip):
    cals = CALSLoss(CE, margin=2.0, penalty=form)
    multiplier, rho = [0.5, 1.0, 2.0, 0.25], [1.0, 2.0, 0.5, 4.0]
    cals.set_multipliers(torch.tensor(multiplier), torch.tensor(rho))
    loss = LogitClipLoss(cals, tau=3.0) if clip else cals
    meter = MarginMeter(margin_losses(model_with(loss), 3), 4, LIMITS)
    logits = 4 * torch.randn(9, 4)
    labels = torch.tensor([0, 3, 2, -1, 1, 3, 3, 0, 2])
    weight = torch.tensor([1.0, 1, 0, 1, 2, 1, 1, 0.5, 1])
    logits[2:4] = torch.nan  # they do not count
    with meter.listening(), torch.no_grad():
        loss(logits, labels, weight)
        loss(logits, labels, weight, reduction_override="none")  # of a sampler
        meter.is_paused = True
        loss(logits, labels, weight)
    meter.collect()
    (found,) = meter.means()
    slopes, constraints = [], []
    for i, row in enumerate(logits.tolist()):
        if i in (2, 3):
            continue
        row = wrappers.clipped(row, 3.0) if clip else row
        h = wrappers.constraints(row, 2.0)
        terms = zip(h, multiplier, rho, strict=True)
        slope = [wrappers.penalty(*term, form)[1] for term in terms]
        slopes.append(np.clip(slope, *LIMITS))
        constraints.append(h)
    for mean, rows in zip(found, (slopes, constraints), strict=True):
        assert mean == pytest.approx(np.mean(rows, 0), rel=1e-5)
    meter.collect()
    assert meter.means() == [None]


def test_losses_that_are_measured():
    plain, shared = torch.nn.Identity(), CALSLoss(CE)
    found = margin_losses(model_with(shared, plain, LogitClipLoss(CALSLoss(CE))), 3)
    assert list(found) == ["0.loss_cls", "2.loss_cls"]
    with pytest.raises(ValueError, match=r"write `loss_cls=dict.*imb_det.CALSLoss"):
        margin_losses(model_with(plain), 3)
    with pytest.raises(ValueError, match="one CALSLoss in another"):
        margin_losses(model_with(CALSLoss(CALSLoss(CE))), 3)


def test_a_satisfied_class_stays_at_the_minimum():
    cals = CALSLoss(CE, margin=10.0)
    multipliers = Multipliers(4)
    meter = MarginMeter(margin_losses(model_with(cals), 3), 4, (1e-6, 1e6))
    for _ in range(3):
        cals.set_multipliers(
            *(torch.from_numpy(x) for x in (multipliers.multiplier, multipliers.rho))
        )
        with meter.listening(), torch.no_grad():
            # Only bee is more than 10 below the largest.
            cals(torch.tensor([[3.0, -9.0, 1.0, 2.0]]), torch.tensor([0]))
        meter.collect()
        multipliers.update(*meter.means()[0], with_rho=True)
    low = multipliers.multiplier == 1e-6
    assert low.tolist() == [True, False, True, True]
    assert (multipliers.rho > 1).tolist() == [False, True, False, False]


def test_a_constraint_that_holds_raises_no_penalty():
    # Less far from its limit than before, and still within.
    multipliers = Multipliers(1)
    for constraint in (-1.0, -0.8):
        multipliers.update(np.array([0.1]), np.array([constraint]), with_rho=True)
    assert multipliers.rho.tolist() == [1.0]
