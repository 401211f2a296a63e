"""Statistics in heads of queries: once a step, of the last layer's matching queries."""

import copy

import pytest
import torch
from mmdet.models.dense_heads import DETRHead
from torch._dynamo.testing import CompileCounter

from imb_det.checks import check_loss_callers
from imb_det.core import CheckContext
from imb_det.difficulty.loss_meter import LossMeter, class_losses
from imb_det.losses import flush_statistics
from imb_det.losses.layer_calls import LayerCalls, watch_layers
from imb_det.registry import MODELS
from imb_det.statistics.running_stats import RunningStats
from tests.two_ranks import on_two_ranks

from . import query_heads as heads
from .cases import of_activation


def learns(case):
    """Whether a loss has running statistics; those of a call are for comparison."""
    parts = MODELS.build(case.config).modules()
    return any(isinstance(part, RunningStats) for part in parts)


LEARNING = [
    case
    for case in of_activation("softmax", "sigmoid")
    if not (case.only_in_roi_heads or case.counts_calls) and learns(case)
]
SOFTMAX = ("DETRHead",)


def one_of_each():
    """Each loss in one head every day, and in the others once a week."""
    seen = []
    for case in LEARNING:
        kinds = heads.KINDS if case.sigmoid else SOFTMAX
        is_new = case.loss not in seen
        seen += [case.loss] * is_new
        for place, kind in enumerate(kinds):
            every_day = is_new and place == len(seen) % len(kinds)
            marks = () if every_day else pytest.mark.weekly
            yield pytest.param(case, kind, marks=marks, id=f"{case}-{kind}")


def state_of(loss):
    return {k: v.clone() for k, v in loss.state_dict().items()}


def steps(kind, head, number=2):
    """Train some steps; return what the loss was called with."""
    calls = []

    def remember(module, args, kwargs):
        names = ("cls_score", "label", "weight")[: len(args)]
        call = {**kwargs, **dict(zip(names, args, strict=True))}
        calls[-1].append(dict(call, cls_score=args[0].detach().requires_grad_()))

    handle = head.loss_cls.register_forward_pre_hook(remember, with_kwargs=True)
    for seed in range(number):
        calls.append([])
        heads.losses_of(kind, head, seed, heads.samples(seed))
        flush_statistics(head)
    handle.remove()
    return calls


@pytest.mark.parametrize(("case", "kind"), list(one_of_each()))
def test_statistics_are_those_of_the_last_layer_alone(case, kind):
    torch.manual_seed(0)
    head = heads.build(kind, case.config)
    case.start(head.loss_cls)
    alone = copy.deepcopy(head.loss_cls)  # of no head, all calls count
    calls = steps(kind, head)
    wanted = 2 * heads.LAYERS + 1 if kind in heads.DENOISING else heads.LAYERS
    for of_step in calls:
        assert len(of_step) == wanted
        alone(**of_step[heads.LAYERS - 1])
        flush_statistics(alone)
    found = state_of(head.loss_cls)
    for name, numbers in state_of(alone).items():
        assert torch.equal(found[name], numbers), name
    moved = [name for name in found if name.endswith("steps")]
    assert all(found[name] in (0, 2) for name in moved)
    assert any(found[name] == 2 for name in moved)


@pytest.mark.parametrize("kind", heads.KINDS)
def test_the_call_is_that_of_the_matching_queries_that_predict(kind):
    head = heads.build(kind, dict(type="imb_det.EQLv2Loss", objectness=False))
    outputs, learnt = [], []
    head.register_forward_hook(lambda *args: outputs.append(args[2][0]))
    terms = head.loss_cls.terms

    def remembered(call):
        learnt.extend([call.cls_score] * call.learn)
        return terms(call)

    head.loss_cls.terms = remembered
    heads.losses_of(kind, head)
    (found,) = learnt
    noise = heads.NOISE["num_denoising_queries"] if kind in heads.DENOISING else 0
    matching = outputs[0][-1][:, noise : noise + heads.QUERIES]
    of_ddq = kind == "DDQDETRHead"
    wanted = matching[heads.DISTINCT] if of_ddq else matching.flatten(0, 1)
    assert torch.equal(found, wanted)


def test_evaluation_does_not_disturb_the_count():
    kind = "DINOHead"
    head = heads.build(kind, dict(type="imb_det.EQLv2Loss", objectness=False))
    steps(kind, head, 1)
    head.eval()
    with torch.no_grad():
        head(*heads.inputs(kind))
        heads.losses_of(kind, head)
    head.train()
    steps(kind, head, 1)
    assert head.loss_cls.ratio.sums.steps == 2


def test_copies_of_a_head_count_on_their_own():
    kind = "DeformableDETRHead"
    head = heads.build(kind, dict(type="imb_det.EQLv2Loss", objectness=False))
    other = copy.deepcopy(head)
    steps(kind, other)
    assert head.loss_cls.layer_calls is not other.loss_cls.layer_calls
    assert other.loss_cls.ratio.sums.steps == 2
    assert head.loss_cls.ratio.sums.steps == 0
    assert len(head._forward_hooks) == 1


def test_a_copy_of_a_loss_in_another_head_goes_by_that_head():
    kind = "DABDETRHead"
    loss = dict(type="imb_det.EQLv2Loss", objectness=False)
    head, other = heads.build(kind, loss), heads.build(kind, loss)
    other.loss_cls = copy.deepcopy(head.loss_cls)
    watch_layers(other)
    watch_layers(other)
    learnt = []
    terms = other.loss_cls.terms
    other.loss_cls.terms = lambda call: learnt.append(call.learn) or terms(call)
    heads.losses_of(kind, other)
    assert learnt == [False, False, True]


@pytest.mark.weekly
def test_compiled_losses_are_traced_for_layers_that_count_and_that_do_not():
    """However many layers a head has."""
    loss = MODELS.build(dict(type="imb_det.EQLv2Loss", objectness=False))
    loss.compiled = False
    head = heads.build("DINOHead", dict(type="imb_det.EQLv2Loss", objectness=False))
    head.loss_cls = loss
    heads.ready(head)
    counter = CompileCounter()
    run = torch.compile(loss, backend=counter)
    logits, labels = torch.randn(5, 3, requires_grad=True), torch.arange(5) % 4
    learnt = []
    for _ in range(2):
        loss.layer_calls.begin(10)
        for _ in range(12):
            run(logits, labels, None, 2.0)
        learnt.append(loss.ratio.sums.pending.sum().item())
        flush_statistics(loss)
    assert counter.frame_count == 2
    assert learnt[0] > 0
    loss(logits, labels, None, 2.0)
    assert loss.ratio.sums.pending.sum() == 0


OF_CALLS = {
    "loss_cls": ("C", dict(bins=30, momentum=0.75, use_sigmoid=True)),
    "loss_bbox": ("R", dict(mu=0.02, bins=10, momentum=0.7)),
}


@pytest.mark.parametrize("attribute", OF_CALLS)
def test_statistics_of_single_calls_are_mmdets_in_all_layers(attribute):
    kind, found = "DINOHead", []
    letter, options = OF_CALLS[attribute]
    for loss in (
        dict(type=f"imb_det.GHM{letter}Loss", statistics="call"),
        dict(type=f"mmdet.GHM{letter}"),
    ):
        torch.manual_seed(0)
        given = {"loss": dict(type="imb_det.FocalLoss", use_sigmoid=True)}
        given["loss" if attribute == "loss_cls" else attribute] = {**loss, **options}
        head = heads.build(kind, **given)
        steps(kind, head, 2)
        found.append(heads.losses_of(kind, head, 2))
    own, wanted = found
    for name in wanted:
        torch.testing.assert_close(own[name], wanted[name], rtol=1e-4, atol=1e-6)


def test_boxes_are_counted_once_too():
    """GHM-R has statistics of its own."""
    kind = "DABDETRHead"
    loss = dict(type="imb_det.FocalLoss", use_sigmoid=True)
    head = heads.build(kind, loss, loss_bbox=dict(type="imb_det.GHMRLoss"))
    heads.losses_of(kind, head)
    assert head.loss_bbox.density.stats.pending.sum() == 4 * 3  # objects of a step


@pytest.mark.parametrize("scope", ["mmdet", "imb_det"])
def test_difficulty_by_running_scores_is_that_of_the_last_layer(scope):
    kind, calls = "DINOHead", []

    class Meter(LossMeter):
        def measure(self, loss, score, label, weight):
            calls.append(score)

    head = heads.build(kind, dict(type=f"{scope}.FocalLoss", use_sigmoid=True))
    outputs = []
    head.register_forward_hook(lambda *args: outputs.append(args[2][0]))
    meter = Meter(class_losses(head, 3), (1,), only_training=True)
    with meter.listening():
        heads.losses_of(kind, head)
    (found,) = calls
    matching = outputs[0][-1][:, heads.NOISE["num_denoising_queries"] :]
    assert torch.equal(found, matching.flatten(0, 1))


def test_without_a_head_that_says_so_all_calls_count():
    calls = LayerCalls()

    def counted(number):
        found = []
        for _ in range(number):
            found.append(calls.counts)
            calls.is_over()
        return found

    assert counted(3) == [True] * 3
    calls.begin(2)
    assert counted(4) == [False, True, False, False]


def test_heads_of_which_the_order_is_not_known_are_told_of():
    class OtherHead(DETRHead):
        def loss_by_feat(self, *args, **kwargs):
            return super().loss_by_feat(*args, **kwargs)

    def found(loss):
        config = dict(num_classes=3, embed_dims=8, loss_cls=loss)
        head = OtherHead(**config)
        heads.ready(head)
        assert not head._forward_hooks
        return list(check_loss_callers(CheckContext(model=head)))

    assert not found(dict(type="imb_det.FocalLoss", use_sigmoid=True))
    (finding,) = found(dict(type="imb_det.EQLv2Loss", objectness=False))
    assert finding.severity.name == "WARNING"
    assert "OtherHead" in finding.where


def _states(images):
    """Statistics of heads that train on all images or some."""
    found = {}
    for kind in ("DABDETRHead", "DINOHead"):
        torch.manual_seed(0)
        head = heads.build(kind, dict(type="imb_det.EQLv2Loss", objectness=False))
        for seed in range(2):
            heads.losses_of(kind, head, seed, heads.samples(seed), images)
            flush_statistics(head)
        found[kind] = {k: v.tolist() for k, v in head.loss_cls.state_dict().items()}
    return found


def _of_a_rank(rank):
    return _states(slice(rank, rank + 1))


@pytest.mark.dist
def test_two_ranks_equal_one_process(tmp_path):
    first, second = on_two_ranks(tmp_path, _of_a_rank)
    assert first == second
    for kind, alone in _states(slice(None)).items():
        assert first[kind]["ratio.sums.steps"] == alone["ratio.sums.steps"] == 2
        sums = alone["ratio.sums.mean"]
        assert min(sums) > 0
        assert first[kind]["ratio.sums.mean"] == pytest.approx(sums, rel=1e-5)
