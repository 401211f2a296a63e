"""Equilibrium loss: scores of classes, by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from imb_det.losses import EBLLoss, flush_statistics, manage_statistics
from imb_det.statistics import ClassStats


def build(**arguments):
    loss = EBLLoss(**arguments)
    loss.set_class_stats(ClassStats(("a", "b"), [1, 1], [1, 1], 2))
    manage_statistics(loss)
    return loss


def logits_of(*rows):
    return torch.tensor(rows, dtype=torch.float64).log().requires_grad_()


def test_hand_worked():
    loss = build()
    # Two rows of class a with 0.5 and 0.3, one of background.
    logits = logits_of([0.5, 0.2, 0.3], [0.3, 0.6, 0.1], [0.1, 0.1, 0.8])
    labels = torch.tensor([0, 0, 2])
    rows = loss(logits, labels, reduction_override="none").tolist()
    assert rows == pytest.approx([-math.log(p) for p in (0.5, 0.3, 0.8)])
    loss(logits, labels)
    flush_statistics(loss)
    score = 0.9**2 * 0.01 + (1 - 0.9**2) * 0.4
    assert loss.scores.value.tolist() == pytest.approx([score, 0.01], rel=1e-6)
    rows = loss(logits, labels, reduction_override="none").tolist()
    total = score * 0.5 + 0.01 * 0.5
    assert rows[0] == pytest.approx(-math.log(score * 0.5 / total), rel=1e-6)
    # Predictions stay those of the plain softmax.
    loss.get_cls_channels(2)
    assert torch.allclose(loss.get_activation(logits), logits.exp())


def test_equal_scores_are_a_plain_softmax():
    loss = build(init_score=0.3, bg_score=0.3)
    logits, labels = torch.randn(5, 3).double(), torch.tensor([0, 1, 2, 2, 1])
    wanted = F.cross_entropy(logits, labels)
    torch.testing.assert_close(loss(logits, labels, avg_factor=5), wanted)


def test_weight_zero_teaches_nothing_and_absent_classes_stay():
    loss = build()
    logits, labels = logits_of([0.5, 0.2, 0.3], [0.2, 0.2, 0.6]), torch.tensor([0, 2])
    loss(logits, labels, torch.tensor([0.0, 1.0]))
    flush_statistics(loss)
    assert loss.scores.value.tolist() == [0.01, 0.01]


def test_another_training_starts_anew():
    loss = build(init_score=0.2)
    loss(logits_of([0.5, 0.2, 0.3]), torch.tensor([0]))
    flush_statistics(loss)
    assert loss.scores.value[0] > 0.2
    loss.scores.forget_training()
    assert loss.scores.value.tolist() == [0.2, 0.2]
    assert loss.scores.steps == 0


def test_a_score_of_nothing_stays_finite():
    loss = build(momentum=0.0)
    logits = torch.tensor([[-1e4, 1e4, 0.0]], requires_grad=True)
    for _ in range(2):
        value = loss(logits, torch.tensor([0]))
        assert value.isfinite()
        assert torch.autograd.grad(value, logits)[0].isfinite().all()
        flush_statistics(loss)
    assert loss.scores.value[0] == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (dict(momentum=1.0), r"`momentum` must be below 1"),
        (dict(momentum=-0.1), r"`momentum` must be in"),
        (dict(init_score=0.0), r"`init_score` must be in \(0, 1"),
        (dict(bg_score=1.0), r"`bg_score` must be in \(0, 1"),
        (dict(use_sigmoid=True), r"`use_sigmoid` must be one of"),
    ],
)
def test_bad_arguments(arguments, text):
    with pytest.raises((TypeError, ValueError), match=text):
        EBLLoss(**arguments)
