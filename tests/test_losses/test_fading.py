"""A loss fades into another one, iteration by iteration of its stage."""

import json

import pytest
import torch
from mmengine.hooks import Hook

from imb_det.core import FindingsError, Stage
from imb_det.losses import (
    FadingLoss,
    RowWeights,
    flush_statistics,
    manage_statistics,
    row_weights,
)
from imb_det.registry import MODELS
from imb_det.statistics import ClassStats
from tests import toys
from tests.staged_toys import head_of, staged_runner
from tests.tiny_sets import write_voc
from tests.toy_runner import IMAGES, dataset_config

pytestmark = pytest.mark.usefixtures("one_thread")

SOFTMAX = dict(type="imb_det.CrossEntropyLoss", use_sigmoid=False)
SIGMOID = dict(type="imb_det.CrossEntropyLoss", use_sigmoid=True)
SHIFTED = dict(type="imb_det.VSLoss", prior=[8.0, 1.0], gamma=0.0)
COSINES = dict(type="imb_det.LDAMLoss", margin=[0.0, 0.5], scale=3.0)
WEIGHED = dict(type="imb_det.EQLv2Loss", objectness=False)
SEESAW = dict(type="imb_det.SeesawLoss")
SHARES = dict(stages=dict(plain=0, fading=(0, 1), late=1.0))
#: Of 9 iterations: 3, 4 and 2.
STAGES = [dict(name="plain", iters=3), dict(name="fading", iters=4), dict(name="late")]
EXPECTED = [0, 0, 0, 0, 0.25, 0.5, 0.75, 1, 1]


def fading(*losses, **options):
    return MODELS.build(dict(type="imb_det.FadingLoss", losses=list(losses), **options))


def at(loss, progress, name="all"):
    loss.set_stage(Stage(name, 0, (name,)))
    loss.set_stage_progress(progress)
    return loss


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_prediction_is_in_the_share_of_the_losses(share):
    logits = torch.randn(4, 3, dtype=torch.float64)
    mixed = at(fading(SOFTMAX, COSINES), share)
    first, second = MODELS.build(SOFTMAX), MODELS.build(COSINES)
    for loss in (mixed, first, second):
        assert loss.get_cls_channels(2) == 3
    p, q = first.get_activation(logits), second.get_activation(logits)
    torch.testing.assert_close(
        mixed.get_activation(logits), (1 - share) * p + share * q
    )
    best = (1 - share) * p + share * q
    assert mixed.get_accuracy(logits, best.argmax(1))["acc"] == 100
    assert mixed.first.in_roi_head
    assert mixed.second.in_roi_head


@pytest.mark.parametrize("other", ["ABSGDLoss", "CALSLoss", "LogitClipLoss"])
def test_what_divides_the_loss_is_no_part_of_what_is_inside(other):
    """Loss weight and `avg_factor` come after a loss around another one."""
    logits = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 2, 1, 0])
    around = dict(type=f"imb_det.{other}", loss=SOFTMAX)
    clip = dict(type="imb_det.LogitClipLoss", loss=around, tau=2.0)
    for config in (
        around,
        clip,
        dict(type="imb_det.FadingLoss", losses=[SOFTMAX, around]),
        dict(type="imb_det.FadingLoss", losses=[clip, SHIFTED], loss_weight=0.5),
    ):
        loss = MODELS.build(config)
        loss.get_cls_channels(2)
        if isinstance(loss, FadingLoss):
            at(loss, 0.25)
        manage_statistics(loss)
        for part in loss.modules():
            if hasattr(part, "normaliser"):  # of ABSGD: as after a step
                part.normaliser.add_rows(torch.ones(2).double(), torch.ones(2).bool())
            if hasattr(part, "set_multipliers"):
                part.set_multipliers(torch.tensor(0.1), torch.tensor(1.0))
        flush_statistics(loss)
        loss.eval()
        rows = loss(logits, labels, reduction_override="none").sum()
        value = loss(logits, labels, avg_factor=4.0, reduction_override="mean")
        torch.testing.assert_close(value, rows / 4, atol=1e-6, rtol=1e-6)
        found, wanted = (torch.autograd.grad(x, logits)[0] for x in (value, rows / 4))
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-6)


def test_losses_around_losses_fade_and_are_faded():
    logits = torch.randn(6, 3, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 2, 1, 0])
    clips = [dict(type="imb_det.LogitClipLoss", loss=SOFTMAX, tau=t) for t in (1.0, 4)]
    mixed, parts = at(fading(*clips), 0.25), [MODELS.build(clip) for clip in clips]
    for loss in (mixed, *parts):
        loss.get_cls_channels(2)
    for found, (p, q) in (
        (mixed(logits, labels), [part(logits, labels) for part in parts]),
        (
            mixed.get_activation(logits),
            [part.get_activation(logits) for part in parts],
        ),
    ):
        torch.testing.assert_close(found, 0.75 * p + 0.25 * q)
    inner = dict(type="imb_det.FadingLoss", losses=[SOFTMAX, SHIFTED])
    around = MODELS.build(dict(type="imb_det.LogitClipLoss", loss=inner, tau=1e6))
    at(around.loss, 0.25)
    wanted = at(MODELS.build(inner), 0.25)(logits, labels)
    torch.testing.assert_close(around(logits, labels), wanted)


def test_one_link_stays_the_plain_link_that_heads_know():
    assert type(fading(SOFTMAX, SHIFTED).link).__name__ == "SoftmaxLink"
    assert type(fading(SIGMOID, WEIGHED).link).__name__ == "SigmoidLink"
    assert fading(SIGMOID, WEIGHED).link.start_bias is None
    assert fading(WEIGHED, SIGMOID).link.start_bias == pytest.approx(-6.9068, abs=1e-4)


def test_a_loss_that_rests_costs_and_learns_nothing():
    loss = fading(SIGMOID, WEIGHED)
    stats = ClassStats(("ant", "bee"), [3, 1], [3, 1], 4)
    for part in loss.modules():
        if hasattr(part, "set_class_stats"):
            part.set_class_stats(stats)
    manage_statistics(loss)
    calls = []
    for name in ("first", "second"):
        part = getattr(loss, name)
        part.register_forward_pre_hook(lambda *_: pytest.fail("not by this path"))
        kept = part.unreduced
        part.unreduced = lambda *a, kept=kept, n=name: calls.append(n) or kept(*a)
    logits, labels = torch.randn(5, 2), torch.tensor([0, 1, 2, 2, 0])
    learnt = []
    for share in (0.0, 0.5, 1.0):
        at(loss, share)
        loss(logits, labels, avg_factor=2.0)
        flush_statistics(loss)
        learnt.append(loss.second.ratio.sums.value.sum().item())
    assert calls == ["first", "first", "second", "second"]
    assert learnt[0] == 0 < learnt[1] < learnt[2]


def test_gradients_that_a_loss_learns_from_have_its_weight_and_share():
    focal = dict(type="imb_det.EqualizedFocalLoss")
    loss = fading(SIGMOID, dict(focal, loss_weight=3.0), loss_weight=2.0)
    alone = MODELS.build(focal)
    stats = ClassStats(("ant", "bee"), [3, 1], [3, 1], 4)
    logits, labels = torch.randn(5, 2), torch.tensor([0, 1, 2, 2, 0])
    for one, ratio in ((alone, alone.ratio), (at(loss, 0.25), loss.second.ratio)):
        ratio.set_class_stats(stats)
        manage_statistics(one)
        one(logits, labels, avg_factor=2.0)
        flush_statistics(one)
    sums = alone.ratio.sums.value
    torch.testing.assert_close(loss.second.ratio.sums.value, 0.25 * 3 * 2 * sums)


def test_weights_of_the_losses_count():
    logits, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 2, 0])
    heavy = at(fading(dict(SOFTMAX, loss_weight=3.0), SHIFTED, loss_weight=2.0), 0.25)
    first, second = MODELS.build(SOFTMAX), MODELS.build(SHIFTED)
    wanted = 2 * (0.75 * 3 * first(logits, labels) + 0.25 * second(logits, labels))
    torch.testing.assert_close(heavy(logits, labels), wanted)


def test_a_checkpoint_alone_predicts_in_the_share_of_its_training():
    saved = at(fading(SOFTMAX, COSINES), 0.75).state_dict()
    other = fading(SOFTMAX, COSINES).eval()
    logits, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 2])
    other.load_state_dict(saved)
    wanted = at(fading(SOFTMAX, COSINES), 0.75)
    assert torch.equal(other.get_activation(logits), wanted.get_activation(logits))
    assert torch.equal(other(logits, labels), wanted(logits, labels))
    other.set_stage(Stage("all", 0, ("all",)))  # as before a test alone
    assert other.share.value == 0.75


@pytest.mark.parametrize(
    ("losses", "options", "error", "message"),
    [
        (
            (SOFTMAX, SEESAW),
            {},
            ValueError,
            r"CrossEntropyLoss has C \+ 1 outputs and SeesawLoss C \+ 2 .*p=0, q=0",
        ),
        (
            (SIGMOID, dict(type="imb_det.EQLv2Loss")),
            {},
            ValueError,
            r"CrossEntropyLoss has C outputs and EQLv2Loss C \+ 1 .*`objectness=False`",
        ),
        (
            (SIGMOID, SHIFTED),
            {},
            ValueError,
            "trains a sigmoid and VSLoss a softmax",
        ),
        (
            (SIGMOID, dict(type="imb_det.GHMCLoss", use_sigmoid=True)),
            {},
            ValueError,
            "GHMCLoss divides by a number of its own",
        ),
        (
            (SIGMOID, dict(type="mmdet.VarifocalLoss")),
            {},
            TypeError,
            r"`losses\[1\]` must be a classification loss of imb_det",
        ),
        (
            (SIGMOID, dict(type="FocalLoss")),  # in an mmdet config, mmdet's
            {},
            TypeError,
            r"`losses\[1\]` must be .*, got FocalLoss of mmdet",
        ),
        ((SOFTMAX,), {}, TypeError, "`losses` must be two losses"),
        ((SOFTMAX, SHIFTED), dict(use_sigmoid=True), ValueError, "use_sigmoid=True"),
        ((SOFTMAX, SHIFTED), dict(share=0.5), TypeError, r"a pair, such as \(0, 1\)"),
        ((SOFTMAX, SHIFTED), dict(share=(0, 2)), ValueError, "got 2"),
        ((SOFTMAX, SHIFTED), dict(share=dict(a=1)), ValueError, "dict\\(stages=dict"),
        (
            (SOFTMAX, SHIFTED),
            dict(share=dict(stages=dict(a="late"))),
            TypeError,
            "a number or a pair, .* got 'late'",
        ),
    ],
)
def test_what_cannot_fade_is_refused_at_once(losses, options, error, message):
    with pytest.raises(error, match=f"FadingLoss: .*{message}"):
        fading(*losses, **options)


def test_stages_that_the_share_does_not_name():
    loss = fading(SOFTMAX, SHIFTED, share=SHARES)
    assert loss.stage_names == ("plain", "fading", "late")
    with pytest.raises(ValueError, match="but the training enters 'all'"):
        at(loss, 0)
    two = Stage("a", 0, ("a", "b"))
    with pytest.raises(ValueError, match=r"stages=dict\(a=0.0, b=0.0\)\)` with a num"):
        fading(SOFTMAX, SHIFTED).set_stage(two)
    with pytest.raises(RuntimeError, match=r"StageHook', stages=\[dict\(name='plain',"):
        loss(torch.zeros(1, 3), torch.tensor([0]))


class Watching(Hook):
    """Notes the share of each call, by iteration."""

    def __init__(self):
        self.shares = {}

    def before_train(self, runner):
        loss = head_of(runner).loss_cls

        def note(*_):
            if loss.training:
                self.shares.setdefault(runner.iter, []).append(loss.share.value.item())

        loss.register_forward_pre_hook(note)


@pytest.fixture
def run(tmp_path, monkeypatch):
    voc = dataset_config(write_voc(tmp_path / "voc", IMAGES))
    loss = dict(
        type=FadingLoss, losses=[SIGMOID, WEIGHED], share=SHARES, use_sigmoid=True
    )
    model = toys.retinanet_config(2, "ListeningHead")
    model.bbox_head.loss_cls = loss
    monkeypatch.setattr(toys, "retinanet_config", lambda *_: model)
    logger = dict(type="LoggerHook", interval=1)

    def runner_of(name, stages=STAGES, **options):
        runner = staged_runner(
            tmp_path / name,
            voc,
            stages,
            default_hooks=dict(logger=logger),
            others=[dict(type="imb_det.EpochSeedHook")],
            **options,
        )
        runner.register_hook(watching := Watching())
        return runner, watching

    return runner_of


def sums_of(runner):
    return head_of(runner).loss_cls.second.ratio.sums.value


def test_the_share_follows_the_stage_and_is_resumed(run, tmp_path):
    whole, seen = run("whole")
    whole.train()
    assert {i: set(shares) for i, shares in seen.shares.items()} == {
        i: {share} for i, share in enumerate(EXPECTED)
    }
    assert all(len(shares) == 3 for shares in seen.shares.values())  # levels
    (log,) = tmp_path.glob("whole/*/vis_data/scalars.json")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    logged = [line["stage_progress"] for line in lines if "loss_cls" in line]
    assert logged == pytest.approx([0, 1 / 3, 2 / 3, 0, 0.25, 0.5, 0.75, 0, 0.5])
    state = torch.load(tmp_path / "whole" / "epoch_2.pth", weights_only=False)
    assert state["state_dict"]["bbox_head.loss_cls.share.value"] == 0.5

    broken, _ = run("broken", stop_at=5)
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    resumed, seen = run("broken", resume=True)
    resumed.train()
    assert {i: set(shares) for i, shares in seen.shares.items()} == {
        i: {EXPECTED[i]} for i in range(3, 9)
    }
    assert torch.equal(sums_of(resumed), sums_of(whole))
    assert sums_of(whole).sum() > 0
    assert torch.equal(
        resumed.model.bbox_head.retina_cls.weight,
        whole.model.bbox_head.retina_cls.weight,
    )


def test_stages_of_other_names_stop_the_training(run):
    runner, _ = run("misnamed", [dict(name="plain", iters=3), dict(name="late")])
    with pytest.raises(FindingsError, match=r"'late'\], but the training has \['plain"):
        runner.train()
    assert runner.iter == 0


def test_a_share_without_stages_needs_the_hook_too(run):
    runner, _ = run("alone")
    runner.model.bbox_head.loss_cls = fading(SIGMOID, WEIGHED)
    runner._hooks = [h for h in runner.hooks if type(h).__name__ != "StageHook"]
    with pytest.raises(FindingsError, match=r"stages=\[dict\(name='fading'"):
        runner.train()
    assert runner.iter == 0


def test_weights_of_rows_are_in_the_shares():
    first = dict(SOFTMAX, bg_weight=0.1)
    second = dict(SOFTMAX, class_weight=[1.0, 5.0], bg_weight=0.5)
    for share in (0.0, 0.25, 1.0):
        loss = at(fading(first, second), share)
        wanted = [1.0, 1 + 4 * share, 0.1 + 0.4 * share]
        assert row_weights(loss, 2).tolist() == pytest.approx(wanted)
        around = MODELS.build(dict(type="imb_det.ABSGDLoss", loss=loss))
        assert row_weights(around, 2).tolist() == pytest.approx(wanted)
        assert RowWeights()(loss, 2) == pytest.approx(wanted)


QUALITY = dict(type="imb_det.QualityFocalLoss", use_sigmoid=True)


def test_losses_of_qualities_fade():
    loss = at(fading(dict(QUALITY, activated=True), dict(QUALITY, activated=True)), 0.5)
    assert loss.activated
    assert loss.of_rows
    assert loss.takes_quality
    p, pair = torch.tensor([[0.2, 0.7]]), (torch.tensor([1]), torch.tensor([0.6]))
    alone = MODELS.build(dict(QUALITY, activated=True))
    torch.testing.assert_close(loss(p, pair), alone(p, pair))
    focal = dict(type="imb_det.FocalLoss", use_sigmoid=True)
    classes = dict(type="imb_det.AlphaLoss", use_sigmoid=True)
    assert not fading(focal, classes).takes_quality
    with pytest.raises(ValueError, match=r"QualityFocalLoss takes probabilities"):
        fading(QUALITY, dict(QUALITY, activated=True))
    with pytest.raises(ValueError, match="QualityFocalLoss is a loss of rows"):
        fading(focal, QUALITY)
