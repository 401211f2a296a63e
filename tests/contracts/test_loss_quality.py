"""Pairs of labels and qualities, which heads with quality losses pass."""

import copy

import pytest
import torch
from mmdet.models.losses import QualityFocalLoss, VarifocalLoss

from imb_det.losses import base, flush_statistics
from imb_det.losses.probabilities import logits_of
from imb_det.registry import MODELS
from tests.references.differences import gradient

from .batches import LABELS, gradient_of, make_batch, one_hot_targets, warm
from .cases import NUM_CLASSES, of_activation, one_of_each_loss

SIGMOID = of_activation("sigmoid")
TAKES = [c for c in SIGMOID if not c.needs_classes and c.build().link.takes_quality]
each = pytest.mark.parametrize("case", TAKES, ids=str)
each_loss = pytest.mark.parametrize("case", one_of_each_loss(TAKES), ids=str)
#: Of an object 0 is a class that is to vanish, in a matrix it is background: not here.
QUALITY = torch.tensor([0.8, 0.3, 0.1, 1.0, 0.5, 0.55, 0.9], dtype=torch.float64)


def matrix_of(case, labels, quality):
    return one_hot_targets(case, labels) * quality[:, None]


@pytest.fixture
def by_element(monkeypatch):
    """Matrices stay matrices, as on a GPU, and go through the loss of elements."""
    monkeypatch.setattr(base, "as_pair", lambda target: (target, None))


def same(found, wanted, logits):
    torch.testing.assert_close(found, wanted)
    slopes = gradient_of(found, logits), gradient_of(wanted, logits)
    torch.testing.assert_close(*slopes)


def check_pair(case, loss, oracle, logits, labels, weight=None):
    """Value and gradient of pairs are those of the oracle's targets."""
    targets = matrix_of(case, labels, QUALITY).tolist()
    plain = None if weight is None else weight.tolist()
    if case.is_detached:
        oracle.frozen(logits.tolist())

    def wanted(rows):
        return copy.deepcopy(oracle).loss(rows, targets, plain)

    found = loss(logits, (labels, QUALITY), weight)
    assert found.item() == pytest.approx(wanted(logits.tolist()), rel=1e-6)
    slope = torch.tensor(gradient(wanted, logits.tolist()), dtype=torch.float64)
    torch.testing.assert_close(
        gradient_of(found, logits), slope, rtol=1e-5, atol=1e-8, check_dtype=False
    )
    oracle.loss(logits.tolist(), targets, plain)


@each
def test_agrees_with_the_oracle(case):
    loss, oracle = warm(case)
    weights = (None, torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0, 0.0, 3.0]).double())
    for seed, weight in enumerate(weights):
        logits, labels = make_batch(case, seed=seed)
        check_pair(case, loss, oracle, logits, labels, weight)


@each
@pytest.mark.usefixtures("by_element")
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_a_pair_equals_a_matrix(case, reduction):
    logits, labels = make_batch(case)
    loss, other = warm(case, reduction=reduction)[0], warm(case, reduction=reduction)[0]
    for weight in (None, torch.rand(len(LABELS)), torch.rand(len(LABELS), NUM_CLASSES)):
        pair = loss(logits, (labels, QUALITY), weight)
        same(pair, other(logits, matrix_of(case, labels, QUALITY), weight), logits)


@each
def test_qualities_of_one_are_classes(case):
    logits, labels = make_batch(case)
    ones = torch.ones(len(labels), dtype=torch.float64)
    loss, other = warm(case)[0], warm(case)[0]
    same(loss(logits, [labels, ones]), other(logits, labels), logits)


@each
@pytest.mark.usefixtures("by_element")
def test_statistics_of_pairs_are_those_of_matrices(case):
    """What a loss learns in a step is seen in the next one."""
    loss, other = warm(case)[0], warm(case)[0]
    for seed in range(3):
        logits, labels = make_batch(case, seed=seed)
        pair = loss(logits, (labels, QUALITY))
        same(pair, other(logits, matrix_of(case, labels, QUALITY)), logits)
        flush_statistics(loss)
        flush_statistics(other)


@each_loss
def test_the_least_loss_is_at_the_quality(case):
    """Whatever a class weighs: only where logits are shifted it is another logit."""
    loss, _ = warm(case)
    labels = torch.arange(NUM_CLASSES).repeat(5)
    quality = torch.tensor([0.05, 0.3, 0.5, 0.8, 0.97], dtype=torch.float64)
    quality = quality.repeat_interleave(NUM_CLASSES)
    lowest = torch.linspace(-6, 6, 4801, dtype=torch.float64)
    probabilities = loss.link.probabilities(lowest[:, None])[0][:, 0]
    for label, q in zip(labels.tolist(), quality.tolist(), strict=True):
        logits = torch.full((len(lowest), NUM_CLASSES), -3.0, dtype=torch.float64)
        logits[:, label] = lowest
        rows = torch.full((len(lowest),), label)
        values = loss(
            logits, (rows, torch.full((len(lowest),), q)), reduction_override="none"
        )
        own = values if values.dim() == 1 else values[:, label]
        if case.loss in SHIFTED:
            assert own.argmin() not in (0, len(lowest) - 1)
            continue
        # GHM's steps and factors that go by scores are flat or broken in places.
        found = probabilities[own.argmin()].item()
        assert found == pytest.approx(q, abs=0.02), (label, q)


#: Losses of logits that are shifted or scaled in training and not in prediction.
SHIFTED = ("BalancedSoftmaxLoss", "LogitAdjustmentLoss", "VSLoss", "CDTLoss", "ECMLoss")


@each_loss
def test_quick_ways_of_matrices_are_those_of_elements(case, monkeypatch):
    logits, labels = make_batch(case)
    target = matrix_of(case, labels, QUALITY)
    quick = warm(case)[0](logits, target)
    monkeypatch.setattr(base, "as_pair", lambda target: (target, None))
    same(warm(case)[0](logits, target), quick, logits)


@each_loss
@pytest.mark.usefixtures("elsewhere")
def test_pairs_on_a_device_that_is_not_looked_at(case):
    logits, labels = make_batch(case)
    found = warm(case)[0](logits, (labels, QUALITY))
    same(warm(case)[0](logits, matrix_of(case, labels, QUALITY)), found, logits)
    labels[0] = -1
    for wrong in (1.5, -0.5, torch.nan):
        spoiled = QUALITY.clone()
        spoiled[0] = wrong  # of an ignored row
        assert warm(case)[0](logits, (labels, spoiled)).isfinite()
        spoiled[2] = wrong
        assert warm(case)[0](logits, (labels, spoiled)).isnan()


@each_loss
def test_pairs_without_rows(case):
    logits = torch.zeros(0, 3, dtype=torch.float64, requires_grad=True)
    pair = torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.float64)
    for weight in (None, torch.zeros(0), torch.zeros(0, 3)):
        value = warm(case)[0](logits, pair, weight, avg_factor=1.0)
        assert value.item() == 0
        assert gradient_of(value, logits).shape == (0, 3)


@each_loss
@pytest.mark.parametrize("junk", [torch.inf, 1e38, torch.nan, -5.0])
def test_targets_of_elements_that_do_not_count_may_be_anything(case, junk):
    logits, labels = make_batch(case)
    target, weight = matrix_of(case, labels, QUALITY), torch.ones(len(labels), 3)
    weight[0, 0] = 0  # of its own class
    wanted = warm(case)[0](logits, target, weight)
    target[0, 0] = junk
    same(warm(case)[0](logits, target, weight), wanted, logits)


@each_loss
def test_qualities_that_do_not_count_may_be_anything(case):
    logits, labels = make_batch(case)
    labels[0], weight = -1, torch.ones(len(labels), dtype=torch.float64)
    weight[2] = 0
    spoiled = QUALITY.clone()
    spoiled[[0, 2]] = torch.nan  # ignored, weight 0
    spoiled[1] = torch.inf  # background
    loss, other = warm(case)[0], warm(case)[0]
    found = loss(logits, (labels, spoiled), weight)
    same(found, other(logits, (labels, QUALITY), weight), logits)


@pytest.mark.parametrize(
    "case", [c for c in one_of_each_loss(TAKES) if not c.counts_calls], ids=str
)
def test_many_rows_equal_few(case, small_chunks):
    logits, labels = make_batch(case)
    loss, _ = warm(case)
    few = loss(logits, (labels, QUALITY), reduction_override="none")
    times = small_chunks
    many = loss(
        logits.detach().repeat(times, 1).requires_grad_(),
        (labels.repeat(times), QUALITY.repeat(times)),
        reduction_override="none",
    )
    torch.testing.assert_close(many[-len(labels) :], few)


@each_loss
def test_an_object_of_no_quality_weighs_as_a_negative(case):
    """It keeps its row what it is: a row of an object."""
    loss, _ = warm(case)
    call = make_batch(case, labels=(0,))
    pair = loss(call[0], (call[1], torch.zeros(1).double()), reduction_override="none")
    assert pair.isfinite().all()
    slope = gradient_of(pair, call[0])
    assert (slope >= 0).all(), "nothing is pulled up"


@pytest.mark.parametrize("case", one_of_each_loss(of_activation("softmax")), ids=str)
def test_a_softmax_has_no_quality(case):
    logits, labels = make_batch(case)
    with pytest.raises(TypeError, match=r"\(label, quality\)"):
        case.build()(logits, (labels, QUALITY))


@pytest.mark.parametrize(
    "case", [c for c in one_of_each_loss(SIGMOID) if c not in TAKES], ids=str
)
def test_a_loss_without_targets_between_refuses_pairs(case):
    logits, labels = make_batch(case)
    with pytest.raises((TypeError, ValueError), match="quality"):
        case.build()(logits, (labels, QUALITY))


@pytest.mark.parametrize(
    ("label", "error", "words"),
    [
        ((torch.tensor([0, 1]),), TypeError, "got tuple of"),
        (([0, 1], torch.ones(2)), TypeError, "got tuple of"),
        ((torch.tensor([0, 1]), torch.ones(3)), ValueError, "qualities, float"),
        ((torch.tensor([0, 1]), torch.ones(2).long()), ValueError, "qualities, float"),
        ((torch.ones(2, 3), torch.ones(2)), ValueError, "a pair must be of labels"),
        ((torch.tensor([0, 1]), torch.tensor([1.5, 0.0])), ValueError, "`quality` has"),
        (
            (torch.tensor([0, 1]), torch.ones(2, requires_grad=True)),
            ValueError,
            "`quality` wants a gradient",
        ),
    ],
)
def test_wrong_pairs_are_refused(label, error, words):
    loss = MODELS.build(dict(type="imb_det.QualityFocalLoss", use_sigmoid=True))
    with pytest.raises(error, match=words):
        loss(torch.zeros(2, 3, requires_grad=True), label)


# ------------------------------------------------------------- beside mmdet's classes


def both(name, kind, **options):
    ours = MODELS.build(dict(type=f"imb_det.{name}", use_sigmoid=True, **options))
    return ours, kind(use_sigmoid=True, **options)


@pytest.mark.parametrize("activated", [False, True])
@pytest.mark.parametrize("beta", [2.0, 1.5])
@pytest.mark.parametrize("form", ["pair", "matrix"])
def test_neutral_quality_focal_loss_is_that_of_mmdet(activated, beta, form):
    ours, theirs = both(
        "QualityFocalLoss", QualityFocalLoss, beta=beta, activated=activated
    )
    case = next(c for c in TAKES if c.loss == "QualityFocalLoss")
    logits, labels = make_batch(case)
    x = logits.detach()
    x = (x.sigmoid() if activated else x).requires_grad_()
    pair = (labels, QUALITY)
    target = pair if form == "pair" else matrix_of(case, labels, QUALITY)
    for rest in ({}, dict(avg_factor=3.0), dict(reduction_override="none")):
        weight = torch.rand(len(labels), dtype=torch.float64)
        same(ours(x, target, weight, **rest), theirs(x, target, weight, **rest), x)


@pytest.mark.parametrize("weighted", [False, True])
def test_neutral_varifocal_loss_is_that_of_mmdet(weighted):
    ours, theirs = both("VarifocalLoss", VarifocalLoss, iou_weighted=weighted)
    case = next(c for c in TAKES if c.loss == "VarifocalLoss")
    logits, labels = make_batch(case)
    target = matrix_of(case, labels, QUALITY)
    for rest in ({}, dict(avg_factor=3.0), dict(reduction_override="none")):
        weight = torch.rand(target.shape, dtype=torch.float64)
        same(
            ours(logits, target, weight, **rest),
            theirs(logits, target, weight, **rest),
            logits,
        )


@pytest.mark.parametrize("name", ["QualityFocalLoss", "EqualizedQualityFocalLoss"])
def test_heads_that_ask_for_a_quality_focal_loss_find_one(name):
    loss = MODELS.build(dict(type=f"imb_det.{name}", use_sigmoid=True))
    assert isinstance(loss, QualityFocalLoss)


# ------------------------------------------------------------------- probabilities


def test_probabilities_become_logits_with_their_gradient():
    z = torch.linspace(-12, 12, 101, dtype=torch.float64)
    p = z.sigmoid().requires_grad_()
    found = logits_of("Loss", p)
    torch.testing.assert_close(found, z)
    wanted = 1 / (p * (1 - p)).detach()
    torch.testing.assert_close(torch.autograd.grad(found.sum(), p)[0], wanted)


def test_sure_probabilities_have_a_finite_loss():
    loss = MODELS.build(
        dict(type="imb_det.QualityFocalLoss", use_sigmoid=True, activated=True)
    )
    p = torch.tensor([[0.0, 1.0], [1.0, 0.0]], requires_grad=True)
    value = loss(p, (torch.tensor([0, 2]), torch.tensor([0.5, 0.0])))
    value.backward()
    assert value.isfinite()
    assert p.grad.isfinite().all()
    with pytest.raises(ValueError, match="it takes probabilities, got numbers from -1"):
        loss(p.detach() - 1, torch.tensor([0, 2]))


# ----------------------------------------------------------------- rows of images


@each_loss
def test_rows_of_images_are_rows(case):
    logits, labels = make_batch(case, labels=(0, 3, 2, 1, 3, 2, 3, 3))
    target = one_hot_targets(case, labels)
    rows = torch.tensor([1.0, 0.5, 2.0, 1.0, 0.0, 1.0, 1.0, 3.0]).double()
    images = (2, 4, -1)
    for weight, of_images in (
        (None, None),
        (rows, rows.view(2, 4, 1)),
        (rows[:, None].expand(8, 3), rows.view(2, 4, 1).expand(2, 4, 3)),
    ):
        for rest in ({}, dict(avg_factor=3.0), dict(reduction_override="sum")):
            found = warm(case)[0](
                logits.view(images), target.view(images), of_images, **rest
            )
            same(found, warm(case)[0](logits, target, weight, **rest), logits)
    none = dict(reduction_override="none")
    found = warm(case)[0](logits.view(images), target.view(images), **none)
    flat = warm(case)[0](logits, target, **none)
    assert found.shape == (2, 4, *flat.shape[1:])
    torch.testing.assert_close(found.flatten(0, 1), flat)


def test_rows_of_images_of_other_shapes_are_refused():
    loss = MODELS.build(dict(type="imb_det.FocalLoss", use_sigmoid=True))
    logits = torch.zeros(2, 4, 3)
    with pytest.raises(ValueError, match="need targets of that shape"):
        loss(logits, torch.zeros(2, 3, 3))
    with pytest.raises(ValueError, match=r"weights \(2, 4\)"):
        loss(logits, logits, torch.ones(2, 4))
