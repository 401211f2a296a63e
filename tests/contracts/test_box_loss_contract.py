"""What every box regression loss of the library has to do."""

import copy
import io
import math
import pickle

import pytest
import torch
from torch.autograd import gradcheck

from imb_det.losses import flush_statistics, manage_statistics
from imb_det.registry import MODELS
from tests.references.differences import gradient

from .batches import gradient_of
from .box_cases import BOX_CASES, make_boxes, warm_box_loss
from .discovery import box_losses
from .heads import RetinaHead, RoIHead

each = pytest.mark.parametrize("case", BOX_CASES, ids=str)


@pytest.mark.parametrize("name", box_losses())
def test_has_cases(name):
    assert any(case.loss == name for case in BOX_CASES), (
        f"imb_det.{name} is registered and no ImbalanceLoss, but "
        "tests/contracts/box_cases.py has no BoxCase for it: add one with an oracle"
    )


@each
def test_agrees_with_the_oracle(case):
    loss, oracle = case.build(), case.oracle()
    for step in range(3):
        for call in range(2):
            pred, target, weight = make_boxes(seed=10 * step + call)
            rest = target.tolist(), weight.tolist()

            def wanted(rows, oracle=oracle, rest=rest):
                return copy.deepcopy(oracle).loss(rows, *rest)

            found = loss(pred, target, weight, avg_factor=7.0)
            assert found.item() == pytest.approx(wanted(pred.tolist()), rel=1e-6)
            slope = torch.tensor(gradient(wanted, pred.tolist(), step=1e-7))
            found_slope = gradient_of(found, pred).float()
            torch.testing.assert_close(found_slope, slope, rtol=1e-4, atol=1e-6)
            oracle.loss(pred.tolist(), *rest)
        flush_statistics(loss)
        oracle.end_step()


@each
def test_one_law_of_reductions(case):
    loss, _ = warm_box_loss(case)
    batch = make_boxes()
    values = loss(*batch, reduction_override="none")
    assert values.shape == (6, 4)
    total = loss(*batch, reduction_override="sum")
    torch.testing.assert_close(total, values.sum())
    mean = loss(*batch, reduction_override="mean")
    torch.testing.assert_close(
        gradient_of(mean, batch[0]) / mean, gradient_of(total, batch[0]) / total
    )
    if loss.own_normaliser:
        same = loss(*batch, avg_factor=2.0, reduction_override="sum")
        torch.testing.assert_close(same, total)
    else:
        with pytest.raises(ValueError, match="avg_factor"):
            loss(*batch, avg_factor=2.0, reduction_override="sum")
    with pytest.raises(ValueError, match="'average'"):
        loss(*batch, reduction_override="average")
    with pytest.raises(ValueError, match=r"\(6, 4\).*\(5, 4\)"):
        loss(batch[0], batch[1][:5])


@each
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_nothing_to_learn_from(case, reduction):
    empty, (pred, target, weight) = make_boxes(rows=0), make_boxes()
    for loss in (warm_box_loss(case, reduction=reduction)[0], case.build()):
        for batch in (empty, (pred, target, 0 * weight)):
            value = loss(*batch)
            assert value.sum() == 0
            assert (gradient_of(value, batch[0]) == 0).all()


@each
def test_gradcheck(case):
    loss = warm_box_loss(case, reduction="none")[0].eval()
    pred, target, weight = make_boxes()
    assert gradcheck(lambda x: loss(x, target, weight), (pred,))


@each
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_extremes(case, dtype):
    loss, _ = warm_box_loss(case)
    batch = make_boxes(dtype=dtype)
    wide = [x.detach().float() for x in batch]
    torch.testing.assert_close(copy.deepcopy(loss)(*batch), loss(*wide))
    for size in (0.0, 1e4):
        extreme = torch.full_like(batch[0], size).requires_grad_()
        value = loss(extreme, -extreme.detach(), batch[2])
        assert value.isfinite()
        assert gradient_of(value, extreme).isfinite().all()


@each
def test_numbers_that_are_none_are_named(case):
    loss, _ = warm_box_loss(case)
    pred, target, weight = make_boxes()
    with torch.no_grad():
        pred[0] = torch.nan
    text = rf"{case.loss}: .* 1 of 6 rows, .*nan in row 0, channel 0\. .*lr"
    with pytest.raises(FloatingPointError, match=text):
        loss(pred, target, weight)


@each
def test_numbers_that_are_none_reach_the_loss_on_a_gpu(case, elsewhere):
    loss, _ = warm_box_loss(case)
    pred, target, weight = make_boxes()
    with torch.no_grad():
        pred[0] = torch.nan
    assert loss(pred, target, weight).isnan()


@each
@pytest.mark.parametrize("value", [1e20, -3e38, math.inf, math.nan], ids=str)
@pytest.mark.parametrize("of", ["pred", "target"])
def test_what_does_not_count_may_be_anything(case, value, of):
    pred, target, weight = make_boxes(dtype=torch.float32)
    loss, _ = warm_box_loss(case)
    wanted = copy.deepcopy(loss)(pred, target, weight)
    spoiled = dict(pred=pred.detach().clone(), target=target.clone())
    spoiled[of][weight == 0] = value
    leaf = spoiled["pred"].requires_grad_()
    found = loss(leaf, spoiled["target"], weight)
    assert torch.equal(found, wanted)
    assert torch.equal(gradient_of(found, leaf), gradient_of(wanted, pred))


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_far_away_the_loss_is_the_distance(case, dtype):
    loss, _ = warm_box_loss(case, reduction="none")
    far = torch.tensor([[1e20, -1e20, 1e37, -1e37]], dtype=dtype, requires_grad=True)
    rows = copy.deepcopy(loss)(far, torch.zeros_like(far))
    near = 1e7 * far.detach().sign()
    expected = loss(near, torch.zeros_like(near)) / (near.abs() - loss.mu)
    close = dict(rtol=1e-6, atol=0)
    torch.testing.assert_close(rows, expected * far.detach().abs(), **close)
    torch.testing.assert_close(gradient_of(rows, far), expected * near.sign(), **close)


@each
def test_weights_that_cannot_be_are_named(case, request):
    pred, target, weight = make_boxes()
    for value in (-1.0, math.nan, math.inf):
        spoiled = weight.clone()
        spoiled[2, 3] = value
        text = rf"{case.loss}: weights .*{value:g} in row 2, column 3"
        with pytest.raises(ValueError, match=text):
            warm_box_loss(case)[0](pred, target, spoiled)
    loss, _ = warm_box_loss(case)
    request.getfixturevalue("elsewhere")
    spoiled[2, 3] = -1.0
    assert loss(pred, target, spoiled).isnan()


@each
def test_state(case):
    loss, _ = warm_box_loss(case)
    before = {name: buffer.clone() for name, buffer in loss.named_buffers()}
    with torch.no_grad():
        loss(*make_boxes())
    loss(*make_boxes(), reduction_override="none")
    loss.eval()(*make_boxes())
    flush_statistics(loss.train())
    for name, buffer in loss.named_buffers():
        assert torch.equal(buffer, before[name]), name
    file = io.BytesIO()
    torch.save(loss.state_dict(), file)
    file.seek(0)
    resumed = MODELS.build(case.config)
    manage_statistics(resumed)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    others = [resumed, copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))]
    for seed in (3, 4):
        wanted = loss(*make_boxes(seed))
        assert all(torch.equal(other(*make_boxes(seed)), wanted) for other in others)
        for each_loss in (loss, *others):
            flush_statistics(each_loss)


@each
def test_one_graph(case):
    loss, _ = warm_box_loss(case)
    traced = torch.compile(copy.deepcopy(loss), backend="aot_eager", fullgraph=True)
    batch = make_boxes()
    found, wanted = traced(*batch), loss(*batch)
    torch.testing.assert_close(found, wanted)
    slopes = gradient_of(found, batch[0]), gradient_of(wanted, batch[0])
    torch.testing.assert_close(*slopes)


@each
def test_no_number_is_read_back(case):
    loss = warm_box_loss(case)[0].to("meta")
    pred, target, weight = (x.detach().to("meta") for x in make_boxes())
    value = loss(pred.requires_grad_(), target, weight)
    assert gradient_of(value, pred).shape == pred.shape
    flush_statistics(loss)


@each
@pytest.mark.parametrize("head_type", [RoIHead, RetinaHead])
def test_trains_in_heads(case, head_type):
    head = head_type(dict(type="CrossEntropyLoss", use_sigmoid=head_type is RetinaHead))
    head.head.loss_bbox = case.build()
    for _ in range(2):
        losses = head.losses()["loss_bbox"]
        losses = losses if isinstance(losses, list) else [losses]
        sum(losses).backward()
        assert all(value.isfinite() for value in losses)
        flush_statistics(head.head)
