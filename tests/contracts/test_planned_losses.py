"""The contract carries the losses of the long-tail literature."""

import math

import pytest
import torch

from imb_det.losses import (
    GumbelLink,
    ImbalanceLoss,
    SigmoidLink,
    SigmoidWithObjectnessLink,
    SoftmaxLink,
    SoftmaxWithObjectnessLink,
    Terms,
    flush_statistics,
    manage_statistics,
    sigmoid_kernel,
    softmax_kernel,
)
from imb_det.losses.elements import DensityElement, FocalElement, GumbelElement
from imb_det.statistics import ClassStats
from tests.references import planned as formulas
from tests.two_ranks import on_two_ranks

from . import planned_losses as losses
from .batches import gradient_of

STATS = ClassStats(("ant", "bee", "cat"), [30, 4, 1], [81, 16, 1], 40)
LABELS = torch.tensor([0, 3, 2, 1, 3, 2, 3, 0, 1])


def batch(channels, seed=0, times=1):
    generator = torch.Generator().manual_seed(seed)
    labels = LABELS.repeat(times)
    shape = (len(labels), channels)
    logits = 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return logits.requires_grad_(), labels


def start(loss):
    for part in loss.modules():
        if hasattr(part, "set_class_stats"):
            part.set_class_stats(STATS)
    manage_statistics(loss)
    return loss


def check(loss, formula, logits, labels):
    """Compare the losses of rows, and their gradients, with a formula."""
    loss.get_cls_channels(3)
    found = loss(logits, labels, reduction_override="none")
    wanted = formula(logits, labels)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)
    slopes = gradient_of(found, logits), gradient_of(wanted, logits)
    torch.testing.assert_close(*slopes, rtol=1e-5, atol=1e-7)


PRIOR = torch.tensor([30, 4, 1]) / 40
EXTRA = [0.0, 1.5, 6.0]
RARE = [0.0, 0.0, 1.0]
WITHOUT_STATE = {
    "logit adjustment": (
        4,
        lambda: losses.LogitAdjustment(1.5),
        lambda z, y: formulas.logit_adjustment(z, y, PRIOR, 1.5),
    ),
    "LDAM": (
        4,
        lambda: losses.LDAM(scale=4.0),
        lambda z, y: formulas.ldam(z, y, torch.tensor([81, 16, 1]), 0.5, 4.0),
    ),
    "EFL": (
        3,
        lambda: losses.EFL(EXTRA),
        lambda z, y: formulas.efl(z, y, torch.tensor(EXTRA), 2.0, 0.25),
    ),
    "Gumbel": (3, losses.Gumbel, formulas.gumbel),
    "DropLoss": (
        3,
        lambda: losses.DropLike(RARE),
        lambda z, y: formulas.without_rare_negatives(z, y, torch.tensor(RARE)),
    ),
}


@pytest.mark.parametrize("times", [1, 20_000], ids=["few", "many"])
@pytest.mark.parametrize("name", WITHOUT_STATE)
def test_equals_its_formula(name, times):
    channels, make, formula = WITHOUT_STATE[name]
    check(start(make()), formula, *batch(channels, times=times))


def test_ldam_by_hand():
    # Margins 81, 16 and 1 to the power -1/4: 1/3, 1/2 and 1, halved.
    loss = start(losses.LDAM(scale=2.0))
    assert loss.margin(3).tolist() == pytest.approx([1 / 6, 1 / 4, 1 / 2])
    row = loss(torch.zeros(1, 4), torch.tensor([2]), reduction_override="none")
    e = torch.tensor(-1.0).exp()  # 2 (0 - 1/2)
    assert row.item() == pytest.approx(-(e / (e + 3)).log().item())


def test_seesaw_counts_and_compares_with_the_label():
    loss = start(losses.Seesaw())
    count = torch.zeros(3)
    for step in range(3):
        logits, labels = batch(5, seed=step)
        known = count.clamp(min=1)
        check(loss, lambda z, y, n=known: formulas.seesaw(z, y, n, 0.8, 2.0), *batch(5))
        loss(logits, labels)
        flush_statistics(loss)
        count += torch.bincount(labels, minlength=4)[:3]
        assert loss.counts.value.tolist() == count.tolist()


def test_eqlv2_learns_from_the_gradients_of_the_pass():
    loss = start(losses.EQLv2())
    oracle = formulas.EQLv2(3, 12.0, 0.8, 4.0)
    for step in range(4):
        logits, labels = batch(4, seed=step, times=1 if step < 3 else 10_000)
        check(loss, oracle, logits, labels)
        loss(logits, labels, avg_factor=5.0)
        flush_statistics(loss)
        oracle.end_step()
        found = loss.gradients.value
        torch.testing.assert_close(found, oracle.sums.flatten(), rtol=1e-6, atol=0)


def test_what_does_not_count_is_not_observed():
    logits, labels = batch(4)
    weight = torch.ones(len(labels), dtype=torch.float64)
    weight[2], labels[3] = 0, -1
    counted = (weight > 0) & (labels >= 0)
    seen = []
    for part in ((logits, labels, weight), (logits[counted], labels[counted], None)):
        loss = start(losses.EQLv2())
        loss(*part)
        flush_statistics(loss)
        seen.append(loss.gradients.value)
    torch.testing.assert_close(*seen)
    extra = start(losses.EQLv2())
    extra(logits, labels, reduction_override="none")
    extra.eval()(logits, labels)
    assert (extra.gradients.pending == 0).all()


@pytest.mark.parametrize("divisor", [0, 0.0, torch.tensor(0.0)], ids=repr)
def test_what_is_observed_without_a_divisor_is_finite(divisor):
    factors = []
    loss = start(losses.EQLv2())
    loss.observe = lambda call, seen, factor: factors.append(factor)
    value = loss(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), None, divisor)
    assert value == 0
    assert math.isfinite(factors[0])


def test_logits_that_are_no_numbers_are_not_learnt_from(elsewhere):
    loss = start(losses.EQLv2())
    logits, labels = batch(4)
    loss(logits, labels)
    flush_statistics(loss)
    before = loss.gradients.value.clone()
    with torch.no_grad():
        logits[0] = torch.nan
    assert loss(logits, labels).isnan()
    flush_statistics(loss)
    assert torch.equal(loss.gradients.value, before)


class WithTerms(ImbalanceLoss):
    own_terms = Terms()

    def terms(self, call):
        return self.own_terms


@pytest.mark.parametrize(
    ("use_sigmoid", "terms", "message"),
    [
        (True, dict(of_nll=lambda nll: (nll, nll)), r"sigmoid.*\['of_nll'\]"),
        (
            False,
            dict(element=FocalElement(2.0), negative=torch.ones(4)),
            r"softmax.*\['element', 'negative'\]",
        ),
        (True, dict(normaliser=torch.ones(())), "own_normaliser.*'normaliser'"),
    ],
    ids=["of_nll", "element", "normaliser"],
)
def test_terms_without_effect_are_refused(use_sigmoid, terms, message):
    loss = WithTerms(use_sigmoid)
    loss.own_terms = Terms(**terms)
    with pytest.raises(ValueError, match=message):
        loss(*batch(4))


def test_soft_targets_of_one_loss_have_no_factors_of_positives():
    loss = WithTerms(True)
    loss.own_terms = Terms(
        element=DensityElement(torch.ones(3)), positive=torch.tensor(2.0)
    )
    with pytest.raises(ValueError, match="DensityElement has one loss for soft"):
        loss(torch.zeros(2, 3), torch.full((2, 3), 0.5))


def test_labels_of_any_type_with_objectness():
    loss = WithTerms(False)
    loss.link = SoftmaxWithObjectnessLink()
    logits, labels = batch(5)
    wanted = loss(logits, labels)
    for dtype in (torch.uint8, torch.int8, torch.int32):
        assert torch.equal(loss(logits, labels.to(dtype)), wanted)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_soft_labels_of_half_precision_lose_no_digits(dtype):
    loss = WithTerms(False)
    loss.own_terms = Terms(positive=torch.tensor(0.4709))
    logits, _ = batch(4)
    targets = logits.detach().softmax(1).to(dtype)
    found = loss(logits.to(dtype), targets)
    wanted = loss(logits.to(dtype).double(), targets.double())
    torch.testing.assert_close(found.double(), wanted, rtol=1e-6, atol=0)


SKIPPING = {
    "ignored": lambda w: (None, w == 0),
    "rows": lambda w: (w, None),
    "elements": lambda w: (w[:, None].expand(-1, 3), None),
}


@pytest.mark.parametrize(
    ("kernel", "element", "how"),
    [
        *((sigmoid_kernel, None, how) for how in SKIPPING),
        *((sigmoid_kernel, GumbelElement(), how) for how in SKIPPING),
        (softmax_kernel, None, "ignored"),
        (softmax_kernel, None, "rows"),
    ],
)
def test_all_that_is_observed_is_of_what_counts(kernel, element, how):
    logits, labels = batch(3, times=3)
    logits, labels = logits.detach().clamp(-3, 3), labels.clamp(max=2)
    counts = torch.tensor([1.0, 0.0, 2.0] * 9, dtype=torch.float64)
    weight, skip = SKIPPING[how](counts)
    known = labels if skip is None else torch.where(skip, -1, labels)
    seen = kernel(Terms(element=element), logits, known, weight, True, True)[2]
    kept = counts > 0
    factor = torch.ones(len(labels)) if weight is None else counts
    y = formulas.one_hot(labels, 3)
    leaf = logits.clone().requires_grad_()
    if element is not None:
        p = torch.exp(-torch.exp(-leaf))
    else:
        p = leaf.softmax(1) if kernel is softmax_kernel else leaf.sigmoid()
    rows = -(y * p.log()).sum(1)
    if kernel is sigmoid_kernel:
        rows = rows - ((1 - y) * (1 - p).log()).sum(1)
    slope = torch.autograd.grad((rows * factor)[kept].sum(), leaf)[0].abs()
    torch.testing.assert_close(seen.positive_gradient, (slope * y).sum(0))
    torch.testing.assert_close(seen.negative_gradient, (slope * (1 - y)).sum(0))
    assert seen.rows.tolist() == y[kept].sum(0).tolist()
    torch.testing.assert_close(seen.own_score, (p * y)[kept].detach().sum(0))


@pytest.mark.parametrize(
    ("arguments", "avg_factor", "normaliser", "wanted"),
    [
        ({}, 4.0, None, 3 / 4),
        ({}, torch.tensor(8.0), None, 3 / 8),
        ({}, None, None, 3 / 27),  # the mean over elements
        (dict(reduction="sum"), None, None, 3.0),
        ({}, 4.0, 5.0, 3 / 5),
    ],
)
def test_observers_learn_the_factor_of_the_sum(
    arguments, avg_factor, normaliser, wanted
):
    class Observer(ImbalanceLoss):
        observes = True
        own_normaliser = normaliser is not None

        def terms(self, call):
            own = None if normaliser is None else torch.tensor(normaliser)
            return Terms(normaliser=own)

        def observe(self, call, seen, factor):
            self.factor = float(factor)

    loss = Observer(use_sigmoid=True, loss_weight=3.0, **arguments)
    logits, labels = batch(3)
    value = loss(logits, labels, avg_factor=avg_factor)
    assert loss.factor == pytest.approx(wanted)
    total = Observer(use_sigmoid=True, reduction="sum")(logits, labels)
    assert value.item() == pytest.approx(wanted * total.item())


def test_biases_are_those_of_the_papers():
    assert GumbelLink.start_bias == -2
    assert torch.tensor(SigmoidWithObjectnessLink.start_bias).sigmoid().item() == (
        pytest.approx(0.001)
    )
    assert SigmoidLink.start_bias is None
    assert SoftmaxLink.start_bias is None


def test_equilibrium_learns_mean_scores():
    # Scores of the prediction, not of the shifted logits that are trained.
    loss = start(losses.EBL())
    total, rows = torch.zeros(2, 4, dtype=torch.float64)
    for step in range(4):
        mean = torch.where(rows > 0, total / rows.clamp(min=1e-9), 0.01)
        mean[-1] = 0.01
        logits, labels = batch(4, seed=step)
        check(loss, lambda z, y, m=mean: formulas.equilibrium(z, y, m), logits, labels)
        loss(logits, labels)
        flush_statistics(loss)
        score = logits.detach().softmax(1)
        seen = [score[labels == c, c].sum() for c in range(4)]
        count = torch.bincount(labels, minlength=4).double()
        weight = 0.9 * (1 - 0.9**step) / (1 - 0.9 ** (step + 1))  # of steps before
        total = weight * total + (1 - weight) * torch.stack(seen)
        rows = weight * rows + (1 - weight) * count


def test_an_element_may_return_its_loss_as_derivative():
    def exponential(z, positive):
        value = torch.exp(z)
        return value, value

    loss = ImbalanceLoss(use_sigmoid=True)
    loss.terms = lambda call: Terms(element=exponential)
    check(
        loss,
        lambda z, y: torch.exp(z * (1 - 2 * formulas.one_hot(y, 3))).sum(1),
        *batch(3),
    )


LINKS = (SigmoidLink, SoftmaxLink, GumbelLink)


@pytest.mark.parametrize("link", LINKS)
def test_a_link_trains_what_it_predicts(link):
    # Without any term, the loss of a row is -log of its own probability.
    loss = ImbalanceLoss(use_sigmoid=link.use_sigmoid)
    loss.link = link()
    loss.get_cls_channels(1)
    logits = torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None]
    logits = torch.cat([logits, -logits], 1)[:, : loss.roi_channels]
    rows = loss(logits, torch.zeros(7, dtype=torch.long), reduction_override="none")
    wanted = -loss.get_activation(logits)[:, 0].log()
    torch.testing.assert_close(rows, wanted)


@pytest.mark.parametrize("name", ["EFL", "Gumbel", "DropLoss"])
@pytest.mark.parametrize("size", [1e4, 110.0, 89.0])
def test_extreme_logits_stay_finite(name, size):
    channels, make, _ = WITHOUT_STATE[name]
    loss = start(make())
    labels = torch.tensor([0, 3, 2, 1])
    for sign in (1, -1):
        logits = torch.full((4, channels), sign * size, requires_grad=True)
        value = loss(logits, labels, avg_factor=1.0)
        assert value.isfinite()
        assert gradient_of(value, logits).isfinite().all()
    spoiled = torch.zeros(4, channels)
    spoiled[1] = -torch.inf
    spoiled.requires_grad_()
    value = loss(spoiled, torch.tensor([0, -1, 2, 1]), avg_factor=1.0)
    assert gradient_of(value, spoiled).isfinite().all()


@pytest.mark.parametrize(
    ("terms", "error", "message"),
    [
        (dict(scale=2.0), TypeError, "the term `scale` must be a tensor: 2.0"),
        (dict(positive=torch.ones(5)), ValueError, r"`positive` has shape \(5,\)"),
        (dict(row=torch.ones(1)), ValueError, r"`row` has shape \(1,\).*\(2, 4\)"),
        (dict(offset=torch.ones(2, 1)), ValueError, r"`offset` has shape \(2, 1\)"),
        (dict(normaliser=torch.ones(1)), ValueError, "`normaliser` has shape"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_terms_of_another_shape_are_named(terms, error, message):
    loss = ImbalanceLoss(use_sigmoid=False)
    loss.own_normaliser = "normaliser" in terms
    loss.terms = lambda call: Terms(**terms)
    with pytest.raises(error, match=f"ImbalanceLoss: .*{message}"):
        loss(torch.zeros(2, 4), torch.tensor([0, 1]))


@pytest.mark.parametrize(
    ("make", "channels"),
    [(losses.EQLv2, 4), (losses.Seesaw, 5), (losses.Gumbel, 3)],
    ids=["EQLv2", "Seesaw", "Gumbel"],
)
def test_links_predict_with_what_is_trained(make, channels):
    loss = make()
    assert loss.get_cls_channels(3) == channels
    logits = torch.linspace(-2, 2, 2 * channels).reshape(2, channels)
    scores = loss.get_activation(logits)
    assert scores.shape == (2, 4)
    z = logits.double()
    if channels == 3:
        wanted = torch.exp(-torch.exp(-z))
    elif channels == 4:
        wanted = z[:, :3].sigmoid() * (1 - z[:, 3:].sigmoid())
    else:
        wanted = z[:, :3].softmax(1) * z[:, 3:].softmax(1)[:, :1]
    torch.testing.assert_close(scores[:, :3].double(), wanted, rtol=1e-5, atol=1e-7)
    sure = torch.full((1, channels), -9.0)
    sure[0, 1] = 9
    if channels == 5:
        sure[0, 3] = 9
    assert loss.get_accuracy(sure, torch.tensor([1]))["acc"] == 100
    background = torch.full((1, channels), -9.0)
    background[0, -1] = 9 if channels > 3 else -9
    assert loss.get_accuracy(background, torch.tensor([3]))["acc"] == 100


def test_objectness_refuses_soft_targets():
    loss = ImbalanceLoss(use_sigmoid=False)
    loss.link = SoftmaxWithObjectnessLink()
    with pytest.raises(ValueError, match="classes, not soft targets"):
        start(loss)(torch.zeros(2, 5), torch.full((2, 5), 0.25))


def train(make, channels, rank=None):
    """State after three steps on all rows, or on a rank's share of them."""
    loss = start(make())
    for step in range(3):
        logits, labels = batch(channels, seed=step)
        mine = [slice(None), slice(0, 4), slice(4, None)][
            0 if rank is None else rank + 1
        ]
        if not (step == 1 and rank == 1):  # this rank has no boxes, the other has all
            mine = slice(None) if step == 1 else mine
            loss(logits[mine], labels[mine], avg_factor=4.0)
        flush_statistics(loss)
    state = loss.state_dict()
    return {k: v.tolist() for k, v in state.items() if not k.endswith("world_size")}


OBSERVERS = {
    "EQLv2": (losses.EQLv2, 4),
    "EBL": (losses.EBL, 4),
    "Seesaw": (losses.Seesaw, 5),
}


def train_all(rank=None):
    return {name: train(*case, rank) for name, case in OBSERVERS.items()}


@pytest.mark.dist
def test_what_is_learnt_is_the_same_on_two_ranks(tmp_path):
    first, second = on_two_ranks(tmp_path, train_all)
    assert first == second
    for name, state in train_all().items():
        for key, numbers in state.items():
            assert first[name][key] == pytest.approx(numbers, rel=1e-12), (name, key)


@pytest.mark.parametrize("name", [*OBSERVERS, "Gumbel"])
def test_they_trace_as_one_graph(name):
    make, channels = {**OBSERVERS, "Gumbel": (losses.Gumbel, 3)}[name]
    torch._dynamo.reset()
    eager, traced = start(make()), start(make())
    run = torch.compile(traced, backend="aot_eager", fullgraph=True, dynamic=True)
    for step in range(2):
        logits, labels = batch(channels, seed=step)
        values = [loss(logits, labels, avg_factor=2.0) for loss in (eager, run)]
        torch.testing.assert_close(*values)
        slopes = [gradient_of(value, logits) for value in values]
        torch.testing.assert_close(*slopes)
        for loss in (eager, traced):
            flush_statistics(loss)
