"""What ports of the losses of the long tail get wrong, and these must not."""

import copy
import math

import pytest
import torch
from mmdet.models.losses import SeesawLoss as SeesawOfMMDet

from imb_det.losses import flush_statistics, one_pass
from imb_det.losses.links import RARE_BIAS
from imb_det.statistics import ClassStats
from tests.test_losses.test_identities import TAIL, C, build, make_logits


def start_probability(loss, bias):
    """Probability of a class at the start of a training."""
    z = torch.full((1, C + loss.link.extra_channels), bias)
    return loss.link.probabilities(z)[0][0, 0].item()


def test_biases_that_methods_start_with():
    # EQLv2's objectness output has it too, so that p (1 - p_bg) is 0.001 x 0.999.
    for kind in ("EQLLoss", "DropLoss", "EQLv2Loss", "EqualizedFocalLoss"):
        link = build(kind).link
        assert link.start_bias == RARE_BIAS == pytest.approx(-6.907, abs=1e-3)
    assert build("FederatedLoss").link.start_bias == RARE_BIAS
    eqlv2 = build("EQLv2Loss")
    assert start_probability(eqlv2, RARE_BIAS) == pytest.approx(0.000999, rel=1e-4)
    # exp(-exp(2)); ECM's margins are a prior already.
    gumbel = build("GumbelLoss")
    assert start_probability(gumbel, gumbel.link.start_bias) == pytest.approx(
        6.2e-4, rel=0.01
    )
    assert build("ECMLoss").link.start_bias is None


def test_asymmetric_negatives_are_above_the_margin_at_the_start():
    # With p < m a negative has no gradient, and a head of a thousand classes starts
    # below any margin.
    for margin in (0.05, 0.25):
        loss = build("AsymmetricLoss", margin=margin)
        start = loss.link.start_bias
        assert start_probability(loss, start) == pytest.approx(2 * margin)
        z = torch.full((3, C), start, requires_grad=True)
        value = loss(z, torch.full((3,), C), avg_factor=1.0)
        (slope,) = torch.autograd.grad(value, z)
        assert (slope > 1e-6).all()
        below = torch.full((3, C), start - 2, requires_grad=True)
        value = loss(below, torch.full((3,), C), avg_factor=1.0)
        assert (torch.autograd.grad(value, below)[0] == 0).all()
    assert build("AsymmetricLoss", margin=0.0).link.start_bias is None
    with pytest.raises(ValueError, match=r"`margin` must .*0.25.* got 0.3"):
        build("AsymmetricLoss", margin=0.3)


@pytest.mark.parametrize("kind", ["EQLLoss", "DropLoss", "GumbelLoss"])
def test_denominators_of_frequencies(kind):
    # Of 80 images 4 hold a cat: a share of 0.05, that is not below itself. Of 100, as
    # if 20 more had no annotation, it is 0.04.
    more = dict(drop=True) if kind == "GumbelLoss" else {}
    for arguments, rare in (
        (dict(threshold=0.05), [0, 0, 0, 1]),
        (dict(threshold=0.05, num_images=100), [0, 0, 1, 1]),
        (dict(threshold=0.05, num_images=20), [0, 0, 0, 0]),
        (dict(threshold=0.0625), [0, 0, 1, 1]),
    ):
        loss = build(kind, **more, **arguments)
        assert loss.tail.is_rare(C).tolist() == rare


def test_thresholds_are_those_of_lvis_v1():
    # 1.1e-3 of 99,388 images with annotations: up to 109 of them; DropLoss up to 100.
    counts = [100, 101, 109, 110]
    lvis = ClassStats(("a", "b", "c", "d"), counts, counts, 100_170)
    for kind, rare in (("EQLLoss", [1, 1, 1, 0]), ("DropLoss", [1, 0, 0, 0])):
        loss = build(kind, lvis, num_images=99_388)
        assert loss.tail.is_rare(4).tolist() == rare
    # Of all 100,170 images 110 are below the threshold as well.
    assert build("EQLLoss", lvis).tail.is_rare(4).tolist() == [1, 1, 1, 1]


def test_margins_and_weights_of_ecm_on_lvis():
    # LVIS v1 has 373,000 pairs of image and class. At z = 0 a class of one image then
    # starts at 0.024, of 10 at 0.042, of 1000 at 0.12, background at 0.61; the weights
    # of classes are 1, that of background 0.315.
    counts = [1, 10, 1000, *[3700] * 100, 1989]
    names = tuple(map(str, range(len(counts))))
    stats = ClassStats(names, counts, counts, 100_170)
    assert sum(counts) == 373_000
    loss = build("ECMLoss", stats)
    odds = loss.odds(len(counts)).double()
    start = torch.sigmoid(odds.log() / 4)
    assert start[:3].tolist() == pytest.approx([0.024, 0.042, 0.12], abs=1e-3, rel=0.03)
    assert start[-1].item() == pytest.approx(0.61, abs=5e-3)
    weight = torch.log1p(odds) / odds
    assert (weight[:-1] > 0.999).all()
    assert weight[-1].item() == pytest.approx(0.315, abs=1e-3)


def test_gumbel_predicts_without_the_limits_of_its_training():
    loss = build("GumbelLoss")
    loss.get_cls_channels(C)
    scores = loss.get_activation(torch.full((1, C), -5.0))
    assert scores[0, 0].item() == pytest.approx(math.exp(-math.exp(5.0)), abs=1e-30)
    assert scores[0, 0] < math.exp(-math.exp(4.0))


def next_step(loss):
    loss(torch.zeros(1, C, requires_grad=True), torch.tensor([C]))
    flush_statistics(loss)


def chosen(loss, labels):
    """Which classes are negatives of a row of background."""
    logits = torch.zeros(len(labels) + 1, C, requires_grad=True)
    labels = torch.tensor([*labels, C])
    return loss(logits, labels, reduction_override="none")[-1] > 0


def test_federated_classes_are_drawn_by_the_root_of_their_images():
    loss = build("FederatedLoss", num=1)
    drawn = torch.zeros(C)
    steps = 400
    for _ in range(steps):
        found = chosen(loss, [])
        # Background is no class of S, and leaves room for one.
        assert found.sum() == 1
        drawn += found
        next_step(loss)
    share = torch.tensor(TAIL.image_count).sqrt()
    wanted = (share / share.sum()).float()
    torch.testing.assert_close(drawn / steps, wanted, atol=0.07, rtol=0)


def test_federated_classes_of_the_batch_come_first():
    loss = build("FederatedLoss", num=2)
    for _ in range(20):
        assert chosen(loss, [3])[3]
        assert chosen(loss, [3]).sum() == 2
        assert chosen(loss, [3, 1, 0]).tolist() == [True, True, False, True]
        next_step(loss)


def test_federated_draws_change_with_the_step_and_the_seed_alone():
    names = tuple(map(str, range(200)))
    stats = ClassStats(names, [5] * 200, [5] * 200, 300)
    logits = torch.zeros(1, 200, requires_grad=True)
    label = torch.tensor([200])

    def negatives(loss):
        return loss(logits, label, reduction_override="none") > 0

    first, other = (build("FederatedLoss", stats, seed=seed) for seed in (0, 1))
    assert negatives(first).sum() == 50
    assert not torch.equal(negatives(first), negatives(other))
    before = negatives(first)
    torch.manual_seed(7)
    # A level, a decoder layer, OHEM: all calls of a step have one draw.
    first(logits, label)
    assert torch.equal(negatives(first), before)
    flush_statistics(first)
    assert not torch.equal(negatives(first), before)


def test_seesaw_counts_what_it_is_trained_on():
    # Not rows of weight 0, ignored ones, or of an extra call.
    loss = build("SeesawLoss")
    logits = make_logits(loss, 6)
    labels = torch.tensor([0, 0, 1, 1, -1, C])
    weight = torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0, 1.0])
    loss(logits, labels, weight, reduction_override="none")
    loss(logits, labels, weight)
    flush_statistics(loss)
    assert loss.counts.value.tolist() == [1, 2, 0, 0]


def test_seesaw_of_calls_equals_mmdets():
    ours = build("SeesawLoss", statistics="call")
    theirs = SeesawOfMMDet(num_classes=C)
    generator = torch.Generator().manual_seed(0)
    for step in range(4):
        logits = make_logits(ours, 40, step).detach().float().requires_grad_()
        labels = torch.randint(C + 1, (40,), generator=generator)
        found = ours(logits, labels, torch.ones(40), avg_factor=40.0)
        parts = theirs(logits, labels, torch.ones(40), avg_factor=40.0)
        wanted = sum(parts.values())
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
        slopes = [torch.autograd.grad(x, logits)[0] for x in (found, wanted)]
        torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-6)
        flush_statistics(ours)


def test_gradients_of_efl_carry_normaliser_and_weight_those_of_eqlv2_do_not():
    for kind, factor in (("EqualizedFocalLoss", 3.0 / 5.0), ("EQLv2Loss", 1.0)):
        sums = []
        for arguments, avg_factor in (({}, 1.0), (dict(loss_weight=3.0), 5.0)):
            loss = build(kind, **arguments)
            logits = make_logits(loss)[:3]
            labels = torch.tensor([0, -1, C])  # an ignored anchor among them
            loss(logits, labels, avg_factor=avg_factor)
            flush_statistics(loss)
            sums.append(loss.ratio.sums.value)
        torch.testing.assert_close(sums[1], factor * sums[0], rtol=1e-6, atol=0)
        assert (sums[0][C:] > 0).all()


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("DropLoss", dict(tail=[0, 1, 0, 0])),
        ("ACSLLoss", dict(rates=[1.0, 0.25, 0.5, 1.0])),
        ("GumbelLoss", dict(drop=True, tail=[0, 1, 0, 0])),
    ],
)
def test_what_is_drawn_is_on_average_what_is_not(kind, arguments):
    drawn, mean = (build(kind, sampled=flag, **arguments) for flag in (True, False))
    for loss in (drawn, mean):  # a quarter of the objects is of the tail
        logits = make_logits(loss, 4)
        loss(logits, torch.tensor([0, 0, 2, 1]))
        flush_statistics(loss)
    rows = 4000
    logits = torch.zeros(rows, C + drawn.link.extra_channels, requires_grad=True)
    labels = torch.full((rows,), C)
    found, wanted = (
        loss(logits, labels, reduction_override="none") for loss in (drawn, mean)
    )
    kept = found > 0
    torch.testing.assert_close(found.mean(0), wanted.mean(0), rtol=0.12, atol=0)
    # Each element for itself.
    share = (kept[:, 1]).float().mean()
    assert share.item() == pytest.approx(0.25, abs=0.03)
    full = found[:, 1].max()
    assert ((found[:, 1] == 0) | (found[:, 1] == full)).all()


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("DropLoss", dict(tail=[0, 1, 1, 0])),
        ("ACSLLoss", dict(rates=[0.5, 0.25, 0.5, 0.75])),
        ("GumbelLoss", dict(drop=True, tail=[0, 1, 1, 0])),
    ],
)
def test_draws_depend_on_the_step_alone(kind, arguments, monkeypatch):
    loss = build(kind, **arguments)
    # Half of the objects are of the tail.
    loss(make_logits(loss, 4), torch.tensor([0, 3, 2, 1]))
    flush_statistics(loss)
    logits = torch.zeros(50, C + loss.link.extra_channels, requires_grad=True)
    labels = torch.full((50,), C)

    def kept(loss):
        return torch.autograd.grad(loss(logits, labels), logits)[0] > 0

    resumed = build(kind, **arguments)
    resumed.load_state_dict(loss.state_dict())
    first = kept(loss)
    assert 0 < first.double().mean() < 1
    torch.manual_seed(5)
    # An extra call of a sampler, another rank, and a training that resumes.
    extra = loss(logits, labels, reduction_override="none")
    other = copy.deepcopy(loss).eval()
    assert torch.equal(extra > 0, other(logits, labels, reduction_override="none") > 0)
    assert torch.equal(kept(loss), first)
    assert torch.equal(kept(resumed), first)
    # However the rows are cut.
    monkeypatch.setitem(one_pass._CHUNK, "cpu", 35)
    assert torch.equal(kept(loss), first)
    flush_statistics(loss)
    assert not torch.equal(kept(loss), first)


def test_one_factor_of_iif_is_not_that_of_background():
    logits, labels = torch.randn(5, C + 1), torch.arange(5)
    one, all_alike = (build("IIFLoss", weight=w) for w in (2.0, [2.0] * C))
    assert torch.equal(one(logits, labels), all_alike(logits, labels))
    assert torch.equal(one.get_activation(logits), all_alike.get_activation(logits))
    assert one.link.logits(logits)[:, -1].equal(logits[:, -1])
    # That of cosines is.
    cosines = build("LDAMLoss", scale=2.0)
    assert cosines.link.logits(logits).equal(2 * logits)


@pytest.mark.parametrize("kind", ["EqualizedFocalLoss", "EQLv2Loss"])
def test_gradients_are_gathered_from_targets_too(kind):
    # YOLOX passes targets between 0 and 1, not classes.
    more = dict(objectness=False) if kind == "EQLv2Loss" else {}
    of_classes, of_targets = build(kind, **more), build(kind, **more)
    labels = torch.tensor([0, 1, 1, 3, C])
    one_hot = torch.nn.functional.one_hot(labels, C + 1)[:, :C].double()
    weight = torch.tensor([1.0, 0.5, 0.0, 2.0, 1.0])
    for step in range(3):
        logits = make_logits(of_classes, len(labels), step)
        values = [
            of_classes(logits, labels, weight, avg_factor=2.0),
            of_targets(logits, one_hot, weight, avg_factor=2.0),
        ]
        torch.testing.assert_close(*values)
        for loss in (of_classes, of_targets):
            flush_statistics(loss)
        sums = of_targets.ratio.sums.value
        assert (sums > 0).any()
        torch.testing.assert_close(sums, of_classes.ratio.sums.value)
    of_targets(logits, 0.7 * one_hot, weight, avg_factor=2.0)
    before = sums.clone()
    flush_statistics(of_targets)
    gained = of_targets.ratio.sums.value - before
    assert (gained[[0, 1, 3]] > 0).all()
    assert gained[2] == 0


def test_a_class_in_every_image_is_named_with_what_to_write():
    stats = ClassStats(("ant", "bee"), [4, 1], [4, 1], 4)
    for variant in ("raw", "base2", "base10"):
        loss = build("IIFLoss", weight=variant)
        with pytest.raises(ValueError, match=r"'ant'.* every.*write `weight='smooth'`"):
            loss.link.scale.set_class_stats(stats)
    loss = build("IIFLoss", weight="smooth")
    loss.link.scale.set_class_stats(stats)
    assert (loss.link.scale(2) > 0).all()
