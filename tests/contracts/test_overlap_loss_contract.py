"""What every loss of masks as wholes has to do."""

import copy
import math
import pickle

import pytest
import torch
from torch.autograd import gradcheck

from imb_det.losses import flush_statistics
from imb_det.registry import MODELS
from tests.references import overlap

from .batches import gradient_of
from .case import NUM_CLASSES
from .discovery import overlap_losses
from .overlap_cases import OVERLAP_BAD, OVERLAP_CASES, make_masks, make_points
from .registered import check_all_have_cases

each = pytest.mark.parametrize("case", OVERLAP_CASES, ids=str)
anywhere = pytest.mark.parametrize(
    "case", [case for case in OVERLAP_CASES if case.of_probabilities], ids=str
)
of_points = pytest.mark.parametrize(
    "case",
    [case for case in OVERLAP_CASES if case.loss != "SpatialClassBalancedLoss"],
    ids=str,
)
WEIGHTS = [0.75, 0.75, 3.0]  # inverse, of the counts of the cases


def values_of(case, logits, masks):
    """Losses of masks (N, ...) by the reference."""
    pairs = zip(logits.flatten(1).tolist(), masks.flatten(1).tolist(), strict=True)
    return torch.tensor([case.of_logits(*pair) for pair in pairs]).double()


def test_all_have_cases():
    names = [case.loss for case in OVERLAP_CASES]
    where = "OVERLAP_CASES and OVERLAP_BAD of tests/contracts/overlap_cases.py"
    check_all_have_cases("losses of masks", names, overlap_losses(), where)
    check_all_have_cases("losses of masks", OVERLAP_BAD, overlap_losses(), where)


@pytest.mark.parametrize("name", OVERLAP_BAD)
def test_bad_arguments_are_named(name):
    case = next(case for case in OVERLAP_CASES if case.loss == name)
    common = (
        dict(reduction="average"),
        dict(loss_weight=-1),
        dict(class_weight="rare"),
        dict(class_weight=[1.0, -2.0, 1.0]),
    )
    for wrong in (*OVERLAP_BAD[name], *common):
        with pytest.raises((TypeError, ValueError), match=name) as caught:
            MODELS.build({**case.config, **wrong})
        assert any(key in str(caught.value) for key in wrong)
    with pytest.raises(TypeError, match="gama"):
        MODELS.build({**case.config, "gama": 2})


@each
def test_agrees_with_the_reference(case):
    loss = case.build(reduction="none")
    logits, masks = make_points()
    wanted = values_of(case, logits, masks)
    torch.testing.assert_close(loss(logits, masks), wanted)
    assert gradcheck(lambda z: loss(z, masks), (logits,))
    if case.of_probabilities:
        flat = logits.flatten(1), masks.flatten(1)
        torch.testing.assert_close(loss(*flat), wanted)


@anywhere
def test_probabilities(case):
    loss = case.build(activate=False, reduction="none")
    logits, masks = make_points()
    shares = logits.detach().sigmoid().requires_grad_()
    pairs = zip(shares.flatten(1).tolist(), masks.flatten(1).tolist(), strict=True)
    wanted = [case.of_probabilities(*pair) for pair in pairs]
    torch.testing.assert_close(loss(shares, masks), torch.tensor(wanted).double())
    assert gradcheck(lambda p: loss(p, masks), (shares,))
    ends = masks.clone().requires_grad_()
    assert gradient_of(loss(ends, masks), ends).isfinite().all()
    with pytest.raises(ValueError, match=r"`activate=False` it takes prob.* from -\d"):
        loss(logits, masks)


@each
@pytest.mark.parametrize(
    ("spec", "weights"),
    [
        (None, [1.0] * 3),
        (2.0, [2.0] * 3),
        ([1.0, 0.0, 3.0], [1.0, 0.0, 3.0]),
        (dict(cat=4.0), [1.0, 1.0, 4.0]),
        ("inverse", WEIGHTS),
    ],
    ids=["none", "number", "list", "names", "rule"],
)
def test_instances_of_rois_have_the_weight_of_their_class(case, spec, weights):
    logits, masks, labels = make_masks()
    loss = case.build(class_weight=spec, loss_weight=0.5)
    own = logits.detach()[torch.arange(4), labels]
    factors = 0.5 * torch.tensor(weights, dtype=torch.float64)[labels]
    wanted = factors * values_of(case, own, masks)
    value = loss(logits, masks, labels)
    torch.testing.assert_close(value, wanted.mean())
    rows = loss(logits, masks, labels.to(torch.uint8), reduction_override="none")
    torch.testing.assert_close(rows, wanted)
    slope = gradient_of(value, logits)
    seen = torch.zeros_like(slope, dtype=torch.bool)
    seen[torch.arange(4), labels] = True
    assert (slope[~seen] == 0).all()
    assert ((slope != 0).flatten(1).any(1) == (factors != 0)).all()


@of_points
def test_points_of_instances_whose_classes_were_told(case):
    logits, masks, labels = make_masks()
    own = logits.detach()[torch.arange(4), labels].flatten(1).requires_grad_()
    masks = masks.flatten(1)
    loss = case.build(class_weight="inverse")
    with pytest.raises(RuntimeError, match=rf"{case.loss}: the head does not tell"):
        loss(own, masks)
    loss.set_instances(labels, NUM_CLASSES)
    wanted = torch.tensor(WEIGHTS).double()[labels] * values_of(case, own, masks)
    torch.testing.assert_close(loss(own, masks, avg_factor=2), wanted.sum() / 2)
    with pytest.raises(ValueError, match="3 masks are not those of 4 instances"):
        loss(own[:3], masks[:3])
    flat = own.reshape(-1), masks.reshape(-1)
    rows = loss(*flat, reduction_override="none")
    torch.testing.assert_close(rows, wanted.repeat_interleave(6))
    torch.testing.assert_close(loss(*flat), wanted.mean())
    torch.testing.assert_close(loss(*flat, avg_factor=2 * 6), wanted.sum() / 2)
    as_classes = own.reshape(-1, 1), 1 - masks.reshape(-1).long()
    torch.testing.assert_close(loss(*as_classes), wanted.mean())
    with pytest.raises(ValueError, match="22 points are not those of 4 instances"):
        loss(flat[0][:22], flat[1][:22])
    with pytest.raises(RuntimeError, match="does not tell of how many instances"):
        case.build()(*flat)


@anywhere
@pytest.mark.parametrize("form", ["rows", "maps"])
def test_maps_of_classes(case, form):
    """Pixels of all images together; class 1 is not there, and two are ignored."""
    loss = case.build(use_sigmoid=False, class_weight=[2.0, 5.0, 0.5])
    logits = torch.randn(2, NUM_CLASSES, 2, 3).double()
    labels = torch.tensor([[[0, 2, 2], [2, 255, 0]], [[0, 0, 2], [255, 2, 2]]])
    rows, of_rows = logits.movedim(1, -1).reshape(-1, NUM_CLASSES), labels.flatten()
    counted = of_rows != 255
    shares = [overlap.softmax(row) for row in rows[counted].tolist()]
    found = []
    for c in (0, 2):
        mask = (of_rows[counted] == c).double().tolist()
        found.append(case.of_probabilities([share[c] for share in shares], mask))
    wanted = torch.tensor([2.0 * found[0], 0.0, 0.5 * found[1]]).double()
    batch = (rows, of_rows) if form == "rows" else (logits, labels)
    batch[0].requires_grad_()
    torch.testing.assert_close(loss(*batch), wanted.sum() / 2)
    each_class = loss(*batch, reduction_override="none")
    torch.testing.assert_close(each_class, wanted)
    torch.testing.assert_close(loss(*batch, avg_factor=5), wanted.sum() / 5)
    assert gradcheck(lambda z: loss(z, batch[1]), (batch[0],))
    slope = gradient_of(loss(*batch), batch[0])
    slope = slope if form == "rows" else slope.movedim(1, -1).flatten(0, 2)
    assert (slope[~counted] == 0).all()
    spoiled = batch[0].detach().clone()
    (spoiled if form == "rows" else spoiled.movedim(1, -1))[batch[1] == 255] = math.nan
    torch.testing.assert_close(loss(spoiled, batch[1]), loss(*batch).detach())
    nothing = torch.full_like(batch[1], 255)
    value = loss(batch[0], nothing)
    assert value == 0
    assert (gradient_of(value, batch[0]) == 0).all()


@anywhere
def test_maps_that_do_not_fit_are_named(case, request):
    loss = case.build(use_sigmoid=False)
    logits, labels = torch.randn(4, NUM_CLASSES), torch.tensor([0, 2, 1, 7])
    with pytest.raises(ValueError, match="classes 0 to 2 or `ignore_index=255`, got 7"):
        loss(logits, labels)
    for wrong in (labels[:3], labels.float(), labels[:, None]):
        with pytest.raises(ValueError, match=r"takes logits .* got \(4, 3\) and"):
            loss(logits, wrong)
    with pytest.raises(ValueError, match="no weights of pixels"):
        loss(logits, labels % 3, torch.ones(4))
    request.getfixturevalue("elsewhere")
    assert loss(logits, labels).isnan()
    assert loss(logits, labels % 3).isfinite()


@each
def test_one_law_of_reductions(case):
    loss = case.build()
    logits, masks = make_points()
    rows = loss(logits, masks, reduction_override="none")
    assert rows.shape == (4,)
    torch.testing.assert_close(loss(logits, masks), rows.mean())
    total = loss(logits, masks, reduction_override="sum")
    torch.testing.assert_close(total, rows.sum())
    weight = torch.tensor([1.0, 0.0, 2.0, 0.5])
    weighted = loss(logits, masks, weight, reduction_override="none")
    torch.testing.assert_close(weighted, rows * weight.double())
    torch.testing.assert_close(loss(logits, masks, weight), weighted.mean())
    average = loss(logits, masks, weight, avg_factor=3.0)
    torch.testing.assert_close(average, weighted.sum() / 3)
    with pytest.raises(ValueError, match="avg_factor"):
        loss(logits, masks, avg_factor=2.0, reduction_override="sum")
    with pytest.raises(ValueError, match="'average'"):
        loss(logits, masks, reduction_override="average")


@each
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_no_instances(case, reduction):
    logits, masks, labels = make_masks(labels=())
    value = case.build(reduction=reduction)(logits, masks, labels)
    assert value.sum() == 0
    assert gradient_of(value, logits).shape == logits.shape
    logits = torch.zeros(0, 2, 3, requires_grad=True)
    value = case.build(reduction=reduction)(logits, torch.zeros(0, 2, 3))
    assert value.sum() == 0
    assert gradient_of(value, logits).shape == logits.shape


@each
@pytest.mark.parametrize("mask", [0.0, 1.0], ids=["empty", "full"])
@pytest.mark.parametrize("size", [0.0, 1e-3, 10.0, 65504.0])
def test_empty_and_full_masks(case, mask, size):
    """With logits that say so, the opposite, or nothing."""
    loss = case.build(reduction="none")
    logits = torch.tensor([-size, size]).view(2, 1, 1).expand(2, 2, 3).clone()
    masks = torch.full((2, 2, 3), mask)
    value = loss(logits.requires_grad_(), masks)
    assert value.isfinite().all()
    assert gradient_of(value, logits).isfinite().all()
    if size > 1:  # the right one costs less, and nothing where the loss can tell
        right, wrong = value.flip(0) if mask else value
        assert right <= wrong
    if size == 10.0:
        exact = values_of(case, logits.detach().double(), masks)
        torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=1e-6)


@each
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(case, dtype):
    logits, masks, labels = make_masks(dtype=dtype)
    value = case.build()(logits, masks, labels)
    wanted = case.build()(logits.double(), masks.double(), labels)
    torch.testing.assert_close(value, wanted, rtol=1e-5, atol=1e-6, check_dtype=False)
    assert gradient_of(value, logits).dtype == dtype
    with torch.no_grad():
        logits[:] = 65504 * torch.sign(logits)
    value = case.build()(logits, masks, labels)
    assert value.isfinite()
    assert gradient_of(value, logits).isfinite().all()


@each
def test_soft_masks(case):
    """Points between pixels have targets between 0 and 1."""
    loss = case.build(reduction="none")
    logits, masks = make_points()
    soft = (0.8 * masks + 0.1).clamp(0, 1)
    told = (soft > 0.5).double() if case.is_hard else soft
    torch.testing.assert_close(loss(logits, soft), values_of(case, logits, told))
    assert gradcheck(lambda z: loss(z, soft), (logits,))


@each
def test_what_does_not_fit_is_named(case):
    loss = case.build()
    logits, masks, labels = make_masks()
    flat = make_points()[0]
    for wrong in (
        (logits, masks, None),
        (logits, masks[:2], labels),
        (flat, masks[:2]),
        (flat, masks, torch.ones(3)),
        (flat, masks, labels),  # no weights
    ):
        with pytest.raises(ValueError, match=rf"{case.loss}: it takes .*float64 \(4, "):
            loss(*wrong)
    for wrong in (labels[:3], labels.float()):
        with pytest.raises(ValueError, match=r"\(4, 3, 2, 3\) need labels, int \(N,\)"):
            loss(logits, masks, wrong)
    with pytest.raises(ValueError, match="labels must be classes 0 to 2, got 3"):
        loss(logits, masks, labels + 1)
    with pytest.raises(ValueError, match=r"\[0, 1\], `target` has 2 in row 0"):
        loss(flat, 2 + 0 * masks)
    with pytest.raises(ValueError, match=r"weights must be finite .* -1 in row 0"):
        loss(flat, masks, -torch.ones(4))
    with torch.no_grad():
        flat[1, 0, 2] = math.nan
    with pytest.raises(FloatingPointError, match=rf"{case.loss}.*nan in row 1"):
        loss(flat, masks)


@each
def test_what_cannot_be_right_is_none_on_a_gpu(case, elsewhere):
    logits, masks, labels = make_masks()
    wrong = torch.tensor([0, 3, 1, -1])
    rows = case.build()(logits, masks, wrong, reduction_override="none")
    assert rows.isnan().tolist() == [False, True, False, True]
    masks[2, 0, 1] = 1.5
    rows = case.build()(logits, masks, labels, reduction_override="none")
    assert rows.isnan().tolist() == [False, False, True, False]


@each
def test_a_class_agnostic_head(case):
    logits, masks, _ = make_masks()
    batch = logits[:, :1], masks, torch.zeros(4, dtype=torch.long)
    assert case.build()(*batch).isfinite()
    assert case.build(class_weight=2.0)(*batch) == 2 * case.build()(*batch)
    with pytest.raises(ValueError, match="class_agnostic=False"):
        case.build(class_weight=[1.0, 2.0, 3.0])(*batch)


@each
def test_parts_are_the_whole(case, monkeypatch):
    logits, masks, labels = make_masks(labels=(0, 2, 1, 2, 0))
    whole = case.build()(logits, masks, labels)
    slope = gradient_of(whole, logits)
    monkeypatch.setattr("imb_det.losses.overlap_loss._CHUNK", 12)
    parts = case.build()(logits, masks, labels)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(gradient_of(parts, logits), slope)


@each
def test_rules_need_the_hook(case):
    loss = MODELS.build({**case.config, "class_weight": "inverse"})
    with pytest.raises(RuntimeError, match=r"class_weight='inverse'.*ImbalanceHook"):
        loss(*make_masks())


@each
def test_copies_and_checkpoints(case):
    loss = case.build(class_weight="inverse")
    batch = make_masks()
    loss(*batch)
    flush_statistics(loss)
    wanted = loss.eval()(*batch)
    resumed = MODELS.build({**case.config, "class_weight": "inverse"})
    resumed.load_state_dict(loss.state_dict())
    others = [resumed.eval(), copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))]
    assert all(torch.equal(other(*batch), wanted) for other in others)


@each
def test_no_number_is_read_back(case):
    loss = case.build(class_weight="inverse").to("meta")
    logits, masks, labels = (x.detach().to("meta") for x in make_masks())
    value = loss(logits.requires_grad_(), masks, labels, avg_factor=2)
    assert gradient_of(value, logits).shape == logits.shape


def one_of_each():
    """A case of each loss; those whose kernel another one traces once a week."""
    others = ("MaskCrossEntropyLoss", "SelfAdjustingDiceLoss", "TverskyLoss")
    for case in {case.loss: case for case in OVERLAP_CASES}.values():
        marks = [pytest.mark.weekly] * (case.loss in others)
        yield pytest.param(case, marks=marks, id=case.loss)


@pytest.mark.parametrize("case", one_of_each())
def test_one_graph(case):
    loss = case.build(class_weight="inverse")
    traced = torch.compile(copy.deepcopy(loss), backend="aot_eager", fullgraph=True)
    batch = make_masks()
    value, wanted = traced(*batch), loss(*batch)
    torch.testing.assert_close(value, wanted)
    slopes = gradient_of(value, batch[0]), gradient_of(wanted, batch[0])
    torch.testing.assert_close(*slopes)
