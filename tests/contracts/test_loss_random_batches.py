"""Hundreds of random batches of every loss: finite, or a clear error."""

import math

import numpy as np
import pytest
import torch

from imb_det.losses import one_pass

from .batches import gradient_of, placed
from .box_cases import BOX_CASES, warm_box_loss
from .cases import NUM_CLASSES, of_activation
from .random_batches import SIZES, SPOILS, random_batch

#: Batches of a loss, shared out among its cases: the first ones of once a week.
batches = pytest.mark.parametrize(
    "batches", [60, pytest.param(200, marks=pytest.mark.weekly)]
)
each = pytest.mark.parametrize("case", of_activation("softmax", "sigmoid"), ids=str)


def share(batches, case, cases):
    """Batches of one of the cases of a loss."""
    return math.ceil(batches / sum(c.loss == case.loss for c in cases))


def attempt(run):
    """What a call returns, or None and its error."""
    try:
        return run(), ""
    except FloatingPointError as error:
        return None, str(error)


def assert_finite_or_named(run, name, inputs, counted, spoiled, monkeypatch):
    """Check a call on a CPU, where losses look, and as on a GPU, where they do not.

    Args:
        run: The call.
        name: Of the loss.
        inputs: By which there is a gradient.
        counted: Which elements of them count.
        spoiled: What one that counts was given, or None.
        monkeypatch: Of pytest.
    """
    for at_hand in (("cpu",), ()):
        monkeypatch.setattr(one_pass, "AT_HAND", at_hand)
        value, text = attempt(run)
        if value is None:
            assert at_hand
            assert spoiled is not None, text
            assert f"{name}: the loss is " in text
            assert str(spoiled).lstrip("-") in text  # of boxes it is a distance
            continue
        if spoiled is not None and not value.isfinite().all():
            # Not lost in silence, for a hook or the scaler of float16.
            assert not at_hand or inputs.dtype == torch.float16
            continue
        # An infinite logit may be sure of what is right.
        assert spoiled is None or not math.isnan(spoiled)
        assert value.isfinite().all()
        slope = gradient_of(value, inputs)
        assert slope.isfinite().all()
        assert (slope[~counted] == 0).all()


@batches
@each
def test_of_classes(case, batches, monkeypatch):
    rng = np.random.default_rng(len(str(case)))
    losses = {place: placed(case, place) for place in ("dense", "RoI")}
    spoiled = 0
    number_of_batches = share(batches, case, of_activation("softmax", "sigmoid"))
    for number in range(number_of_batches):
        batch = random_batch(case, rng, spoil=number % 4 == 0)
        loss = losses[batch.place]
        spoiled += batch.spoiled is not None
        assert_finite_or_named(
            lambda loss=loss, batch=batch: loss(*batch.arguments, **batch.rest),
            case.loss,
            batch.logits,
            batch.counted,
            batch.spoiled,
            monkeypatch,
        )
    # One in four is meant to be, but none of those without rows.
    assert spoiled > (number_of_batches // 10 if batches == 200 else 0)


@batches
@pytest.mark.parametrize("case", BOX_CASES, ids=str)
def test_of_boxes(case, batches, monkeypatch):
    rng = np.random.default_rng(0)
    loss, _ = warm_box_loss(case)
    for number in range(share(batches, case, BOX_CASES)):
        dtype = list(SIZES)[rng.integers(len(SIZES))]
        size = float(rng.choice(SIZES[dtype]))
        shape = (int(rng.integers(0, 9)), 4)
        pred, target = size * rng.uniform(-1, 1, (2, *shape))
        weight = rng.choice([0.0, 0.5, 1.0], shape)
        idle = (weight == 0) & (rng.random(shape) < rng.choice([0, 1]))
        for boxes in (pred, target):
            boxes[idle] = rng.choice([*SPOILS, 3e38], idle.sum())
        spoiled = None
        places = np.argwhere(weight > 0)
        if number % 4 == 0 and len(places):
            spoiled = float(rng.choice(SPOILS))
            boxes = (pred, target)[rng.integers(2)]
            boxes[tuple(places[rng.integers(len(places))])] = spoiled
        with np.errstate(over="ignore"):
            leaf, other = (torch.tensor(x).to(dtype) for x in (pred, target))
        leaf.requires_grad_()
        factor = torch.tensor(weight).float()
        assert_finite_or_named(
            lambda b=(leaf, other, factor): loss(*b),
            case.loss,
            leaf,
            factor > 0,
            spoiled,
            monkeypatch,
        )


@batches
@pytest.mark.parametrize("case", of_activation("mask"), ids=str)
def test_of_masks(case, batches, monkeypatch):
    rng = np.random.default_rng(0)
    loss = case.build()
    for number in range(share(batches, case, of_activation("mask"))):
        dtype = list(SIZES)[rng.integers(len(SIZES))]
        rows = int(rng.integers(0, 5))
        shape = (rows, NUM_CLASSES, 2, 3)
        logits = float(rng.choice(SIZES[dtype])) * rng.uniform(-1, 1, shape)
        labels = rng.integers(0, NUM_CLASSES, rows)
        own = np.arange(NUM_CLASSES) == labels[:, None]
        others = ~own[:, :, None, None] & (rng.random(shape) < rng.choice([0, 0.5]))
        logits[others] = rng.choice(SPOILS, others.sum())
        spoiled = None
        if number % 4 == 0 and rows:
            spoiled = float(rng.choice(SPOILS))
            logits[0, labels[0], rng.integers(2), rng.integers(3)] = spoiled
        leaf = torch.tensor(logits).to(dtype).requires_grad_()
        masks = torch.tensor(rng.integers(0, 2, (rows, 2, 3))).to(dtype)
        counted = torch.tensor(own)[:, :, None, None].expand(shape)
        labels = torch.tensor(labels)
        assert_finite_or_named(
            lambda b=(leaf, masks, labels): loss(*b),
            type(loss).__name__,
            leaf,
            counted,
            spoiled,
            monkeypatch,
        )
