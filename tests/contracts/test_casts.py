"""Casts of a model leave the counts of losses and heads as they are."""

import pytest
import torch

from imb_det.losses import flush_statistics, manage_statistics
from imb_det.registry import MODELS
from imb_det.statistics.running_stats import RunningStats
from tests.test_heads.guided_cases import CASES as HEAD_CASES

from .batches import channels, gradient_of, warm
from .box_cases import BOX_CASES, warm_box_loss
from .cases import CASES, of_activation
from .test_loss_arguments import every, loss_and_batch

#: Counts that float16 and bfloat16 cannot hold, and weights that they would round.
LARGE, ROUNDED = 100_001, 1.0001

CASTS = ("half", "bfloat16", "float", "double")
casts = pytest.mark.parametrize("cast", CASTS)


def fill(module):
    """Put such numbers into all buffers of the library in a module."""
    for name, buffer in module.named_buffers():
        buffer.fill_(LARGE if name.endswith(("mean", "pending", "sum")) else ROUNDED)


def own_buffers(module):
    return {name: buffer.clone() for name, buffer in module.named_buffers()}


def assert_kept(module, before):
    now = own_buffers(module)
    assert now.keys() == before.keys()
    for name, buffer in before.items():
        assert now[name].dtype == buffer.dtype, name
        assert torch.equal(now[name], buffer), name


@casts
@every
def test_of_losses(case, cast):
    loss = case.build()
    fill(loss)
    before = own_buffers(loss)
    assert_kept(getattr(loss, cast)(), before)
    assert_kept(loss.type(torch.float16), before)
    assert_kept(loss.to(torch.bfloat16), before)
    assert all(b.is_meta for b in loss.to("meta").buffers())


@casts
@pytest.mark.parametrize("case", HEAD_CASES.values(), ids=HEAD_CASES)
def test_of_heads(case, cast):
    head = case.build()
    names = [*head.exact_buffers, "class_thresholds.num_candidates"]
    buffers = {n: b for n, b in head.named_buffers() if n in names}
    assert buffers
    for buffer in buffers.values():
        buffer.fill_(LARGE)
    before = {name: buffer.clone() for name, buffer in buffers.items()}
    getattr(head, cast)()
    now = dict(head.named_buffers())
    for name, buffer in before.items():
        assert now[name].dtype == buffer.dtype, name
        assert torch.equal(now[name], buffer), name
    assert next(head.parameters()).dtype == getattr(torch, cast, torch.float16)


@pytest.mark.parametrize("case", of_activation("softmax", "sigmoid"), ids=str)
def test_a_loss_goes_on_as_before(case):
    # One bin of GHM holds more than the 65,504 of float16.
    loss, cast = warm(case)[0], warm(case)[0].half()
    labels = torch.tensor((0, 3, 2, 1)).repeat(20_000)
    logits = torch.zeros(80_000, channels(case)).half().requires_grad_()
    for _ in range(2):
        values = [part(logits, labels, avg_factor=2.0) for part in (loss, cast)]
        assert torch.equal(*values)
        for part in (loss, cast):
            flush_statistics(part)
    if case.loss == "GHMCLoss":
        stats = [b for b in cast.buffers() if b.dtype == torch.float64]
        assert max(float(b.max()) for b in stats) > 65_504


@pytest.mark.parametrize("case", BOX_CASES, ids=str)
def test_a_box_loss_goes_on_as_before(case):
    loss, cast = warm_box_loss(case)[0], warm_box_loss(case)[0].half()
    pred, target = torch.randn(2, 30_000, 4).half()
    for _ in range(2):
        assert torch.equal(loss(pred, target), cast(pred, target))
        for part in (loss, cast):
            flush_statistics(part)


@every
def test_float16_that_overflows_is_left_to_mixed_precision(case):
    loss, (logits, *rest) = loss_and_batch(case)
    is_bounded = getattr(case, "is_bounded", False)
    wrong = torch.full_like(logits, torch.nan if is_bounded else torch.inf).half()
    assert not loss(wrong, *rest).isfinite()
    with pytest.raises(FloatingPointError):
        loss_and_batch(case)[0](wrong.float(), *rest)


@pytest.mark.parametrize("case", [c for c in CASES if c.is_bounded], ids=str)
def test_infinite_logits_are_large_ones_where_a_loss_is_bounded(case):
    results = []
    for size in (torch.inf, 3e4):
        loss, (logits, *rest) = loss_and_batch(case)
        logits = torch.full_like(logits, size).half().requires_grad_()
        value = loss(logits, *rest)
        results.append((value, gradient_of(value, logits)))
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted)
        assert found.isfinite().all()


def test_a_whole_model():
    loss = dict(type="imb_det.GHMCLoss", use_sigmoid=True)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), MODELS.build(loss))
    (stats,) = manage_statistics(model)
    model.half()
    assert isinstance(stats, RunningStats)
    assert (model[0].weight.dtype, stats.mean.dtype) == (torch.half, torch.double)
