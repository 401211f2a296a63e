"""What all losses are made of: terms, links, and what a pass shows."""

import math

import pytest
import torch

from imb_det.losses import (
    GumbelLink,
    ImbalanceLoss,
    SigmoidLink,
    SoftmaxLink,
    SoftmaxWithObjectnessLink,
    Terms,
    flush_statistics,
    sigmoid_kernel,
    softmax_kernel,
)
from imb_det.losses.elements import DensityElement, FocalElement, GumbelElement

from .batches import gradient_of
from .cases import NUM_CLASSES, Case

LABELS = torch.tensor([0, 3, 2, 1, 3, 2, 3, 0, 1])


def batch(channels, seed=0, times=1):
    generator = torch.Generator().manual_seed(seed)
    labels = LABELS.repeat(times)
    shape = (len(labels), channels)
    logits = 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return logits.requires_grad_(), labels


def one_hot(labels, channels):
    return torch.nn.functional.one_hot(labels, channels + 1)[:, :channels].double()


def observer():
    """A loss that learns from gradients."""
    return Case("EQLv2Loss", "sigmoid", None).build()


def test_what_does_not_count_is_not_observed():
    logits, labels = batch(4)
    weight = torch.ones(len(labels), dtype=torch.float64)
    weight[2], labels[3] = 0, -1
    counted = (weight > 0) & (labels >= 0)
    seen = []
    for part in ((logits, labels, weight), (logits[counted], labels[counted], None)):
        loss = observer()
        loss(*part)
        flush_statistics(loss)
        seen.append(loss.ratio.sums.value)
    torch.testing.assert_close(*seen)
    extra = observer()
    extra(logits, labels, reduction_override="none")
    extra.eval()(logits, labels)
    assert (extra.ratio.sums.pending == 0).all()


@pytest.mark.parametrize("divisor", [0, 0.0, torch.tensor(0.0)], ids=repr)
def test_what_is_observed_without_a_divisor_is_finite(divisor):
    factors = []
    loss = observer()
    loss.observe = lambda call, seen, factor: factors.append(factor)
    value = loss(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), None, divisor)
    assert value == 0
    assert math.isfinite(factors[0])


def test_logits_that_are_no_numbers_are_not_learnt_from(elsewhere):
    loss = observer()
    logits, labels = batch(4)
    loss(logits, labels)
    flush_statistics(loss)
    before = loss.ratio.sums.value.clone()
    with torch.no_grad():
        logits[0] = torch.nan
    assert loss(logits, labels).isnan()
    flush_statistics(loss)
    assert torch.equal(loss.ratio.sums.value, before)


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


@pytest.mark.parametrize(
    "element", [None, FocalElement(2.0), GumbelElement(), DensityElement(torch.ones(3))]
)
def test_factors_multiply_whole_elements_of_soft_targets(element):
    """Half a positive of factor 2 is twice as much, and least at the same place."""
    loss = WithTerms(True)
    logits = torch.randn(4, 3)
    targets = torch.tensor([[0.5, 0.0, 0.2]] * 4)
    loss.own_terms = Terms(element=element)
    plain = loss(logits, targets, reduction_override="none")
    loss.own_terms = Terms(
        element=element,
        positive=torch.tensor([2.0, 2.0, 3.0]),
        negative=torch.tensor(5.0),
    )
    found = loss(logits, targets, reduction_override="none")
    torch.testing.assert_close(found, plain * torch.tensor([2.0, 5.0, 3.0]))


class WithoutSoft:
    """An element for classes alone."""

    def __call__(self, z, positive):
        return FocalElement(1.0)(z, positive)


def test_elements_without_targets_between_refuse_them():
    loss = WithTerms(True)
    loss.own_terms = Terms(element=WithoutSoft())
    with pytest.raises(ValueError, match="no loss that is least at a target"):
        loss(torch.zeros(2, 3), torch.full((2, 3), 0.5))
    label = torch.tensor([0, 1])
    with pytest.raises(ValueError, match="no loss that is least at a target"):
        loss(torch.zeros(2, 3), (label, torch.tensor([0.5, 0.5])))


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
    y = one_hot(labels, 3)
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


def test_an_element_may_return_its_loss_as_derivative():
    def exponential(z, positive):
        value = torch.exp(z)
        return value, value

    loss = ImbalanceLoss(use_sigmoid=True)
    loss.terms = lambda call: Terms(element=exponential)
    logits, labels = batch(NUM_CLASSES)
    found = loss(logits, labels, reduction_override="none")
    wanted = torch.exp(logits * (1 - 2 * one_hot(labels, NUM_CLASSES)))
    torch.testing.assert_close(found, wanted)
    slopes = gradient_of(found, logits), gradient_of(wanted, logits)
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize("link", [SigmoidLink, SoftmaxLink, GumbelLink])
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


def test_objectness_refuses_soft_targets():
    loss = ImbalanceLoss(use_sigmoid=False)
    loss.link = SoftmaxWithObjectnessLink()
    with pytest.raises(ValueError, match="classes, not soft targets"):
        loss(torch.zeros(2, 5), torch.full((2, 5), 0.25))
