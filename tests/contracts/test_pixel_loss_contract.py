"""Losses of pixels: (B, C, h, w) logits, (B, h, w) labels, void ones among them."""

import pytest
import torch
from mmdet.models.losses import CrossEntropyLoss as MmdetCrossEntropyLoss
from mmdet.models.roi_heads.mask_heads import FusedSemanticHead
from mmdet.models.seg_heads import PanopticFPNHead
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from torch.autograd import gradcheck

from imb_det.losses import CrossEntropyLoss, PixelLoss
from imb_det.losses.pixel_loss import hardest_pixels
from imb_det.registry import MODELS
from tests.references.differences import gradient
from tests.references.pixels import hardest, pixel_losses

from .batches import gradient_of
from .pixel_cases import IGNORED, PIXEL_BAD, PIXEL_CASES, own
from .test_loss_compiled import GRAPH, every_day_or_week

SHAPE = (2, 3, 2, 3)
each = pytest.mark.parametrize("case", PIXEL_CASES, ids=str)


def make_maps(dtype=torch.float64, shape=SHAPE, seed=0, classes=3):
    """Logits with a gradient, and labels, a sixth of which is void."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
    places = (shape[0], *shape[2:])
    labels = torch.randint(0, classes, places, generator=generator)
    labels.view(-1)[::6] = IGNORED
    return logits.to(dtype).requires_grad_(), labels


def rows_of(logits, labels):
    rows = logits.detach().double().movedim(1, -1).reshape(-1, logits.size(1)).tolist()
    known = [None if y == IGNORED else y for y in labels.flatten().tolist()]
    return rows, known


def reference(case, logits, labels):
    """Loss of each pixel as a function of rows; the choice of pixels is fixed."""
    rows, known = rows_of(logits, labels)
    if case.quota is not None:
        known = hardest(rows, known, **case.quota)
    return lambda moved: pixel_losses(moved, known, case.weights, case.prior), known


@each
@pytest.mark.parametrize("mean", [False, True])
def test_agrees_with_the_reference(case, mean):
    logits, labels = make_maps()
    losses, known = reference(case, logits, labels)
    rows, _ = rows_of(logits, labels)
    kept = sum(y is not None for y in known)
    number = kept if mean else labels.numel()
    loss = case.build(avg_non_ignore=mean)
    value = loss(logits, labels)
    assert value.item() == pytest.approx(sum(losses(rows)) / number, rel=1e-6)
    slope = gradient(lambda moved: sum(losses(moved)) / number, rows)
    found = gradient_of(value, logits).movedim(1, -1).reshape(-1, 3)
    wanted = torch.tensor(slope, dtype=torch.float64)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-9)


@each
def test_reductions(case):
    logits, labels = make_maps()
    losses, _ = reference(case, logits, labels)
    rows, _ = rows_of(logits, labels)
    wanted = torch.tensor(losses(rows), dtype=torch.float64).view(labels.shape)
    loss = case.build()
    none = loss(logits, labels, reduction_override="none")
    torch.testing.assert_close(none, wanted, rtol=1e-6, atol=1e-9)
    total = wanted.sum().item()
    found = loss(logits, labels, reduction_override="sum").item()
    assert found == pytest.approx(total, rel=1e-6)
    assert loss(logits, labels, avg_factor=5).item() == pytest.approx(total / 5)
    weight = torch.rand(labels.shape, dtype=torch.float64)
    if case.quota is None:
        found = loss(logits, labels, weight, reduction_override="sum").item()
        assert found == pytest.approx((wanted * weight).sum().item(), rel=1e-6)
    half = case.build(loss_weight=0.5)
    found = half(logits, labels, reduction_override="sum").item()
    assert found == pytest.approx(total / 2, rel=1e-6)
    with pytest.raises(TypeError, match="heights"):
        loss(logits, labels, heights=2)


@each
def test_rows_are_the_same_as_maps(case):
    """mmdet's PanopticFPNHead flattens them itself; other heads keep volumes."""
    logits, labels = make_maps()
    loss = case.build()
    value = loss(logits, labels)
    rows = logits.movedim(1, -1).reshape(-1, 3)
    torch.testing.assert_close(loss(rows, labels.flatten()), value)
    deep, many = logits.view(2, 3, 2, 1, 3), labels.view(2, 2, 1, 3)
    torch.testing.assert_close(loss(deep, many), value)
    last = logits.detach().to(memory_format=torch.channels_last).requires_grad_()
    torch.testing.assert_close(loss(last, labels), value)
    for dtype in (torch.uint8, torch.int32):
        torch.testing.assert_close(loss(logits, labels.to(dtype)), value)


@each
def test_edges(case):
    loss = case.build(avg_non_ignore=True)
    for shape in ((2, 3, 0, 3), (0, 3, 2, 3), SHAPE):
        logits, labels = make_maps(torch.float32, shape)
        for some in (labels, torch.full_like(labels, IGNORED)):
            value = loss(logits, some)
            assert torch.isfinite(value)
            slope = gradient_of(value, logits)
            assert slope.shape == logits.shape
            assert torch.isfinite(slope).all()
    assert value == 0
    assert (slope == 0).all()
    # Void pixels may have any logits; extreme ones of others are finite.
    logits, labels = make_maps(torch.float32)
    with torch.no_grad():
        logits.movedim(1, -1)[labels == IGNORED] = torch.inf
        logits[0, 0, 1, 1] = 1e4
    value = loss(logits, labels)
    assert torch.isfinite(value)
    assert torch.isfinite(gradient_of(value, logits)).all()
    for dtype in (torch.float16, torch.bfloat16):
        low, labels = make_maps(dtype)
        value = loss(low, labels)
        assert value.dtype == torch.float32
        assert gradient_of(value, low).dtype == dtype
        if case.quota is None:
            torch.testing.assert_close(value, loss(low.float(), labels))


@each
def test_what_does_not_fit_is_named(case):
    loss = case.build()
    logits, labels = make_maps()
    for wrong in (labels[0], labels.float(), labels[..., None]):
        with pytest.raises(ValueError, match="need labels, int"):
            loss(logits, wrong)
    with pytest.raises(ValueError, match="need labels, int"):
        loss(logits, labels, torch.ones(3))
    with pytest.raises(TypeError, match="labels of pixels must be a tensor"):
        loss(logits, [1, 2])
    bad = torch.where(labels == 1, 3, labels)
    with pytest.raises(ValueError, match=r"0 to 2, or 255 \(`ignore_index`\), got 3"):
        loss(logits, bad)


@each
def test_it_waits_for_no_number(case):
    """On a device without any, which a GPU's host would have to wait for."""
    loss = case.build(avg_non_ignore=True).to("meta")
    logits, labels = make_maps(torch.float32)
    on_meta = logits.detach().to("meta").requires_grad_()
    value = loss(on_meta, labels.to("meta"))
    assert value.is_meta
    assert gradient_of(value, on_meta).shape == SHAPE


@every_day_or_week((), PIXEL_CASES)
def test_it_is_one_graph(case):
    torch._dynamo.reset()
    loss = case.build()
    logits, labels = make_maps(torch.float32)
    compiled = torch.compile(loss, **GRAPH)
    found, wanted = compiled(logits, labels), loss(logits, labels)
    torch.testing.assert_close(found, wanted)
    slopes = [gradient_of(value, logits) for value in (found, wanted)]
    torch.testing.assert_close(*slopes)
    torch._dynamo.reset()


def test_gradcheck():
    logits, labels = make_maps()
    loss = CrossEntropyLoss(ignore_index=IGNORED, class_weight=[2.0, 1.0, 0.5])
    assert gradcheck(lambda x: loss(x, labels), (logits,))


# As mmdet's.

NEUTRAL = (
    own("CrossEntropyLoss", ignore_index=255, loss_weight=0.5),
    own("PixelLoss", loss=own("CrossEntropyLoss"), loss_weight=0.5),
)
MMDETS = dict(type="mmdet.CrossEntropyLoss", ignore_index=255, loss_weight=0.5)


@pytest.mark.parametrize("config", NEUTRAL, ids=["CrossEntropyLoss", "PixelLoss"])
def test_neutral_settings_are_mmdets_in_its_heads(config):
    def values_of(loss):
        torch.manual_seed(0)
        common = dict(in_channels=8, loss_seg=loss)
        norm = dict(type="GN", num_groups=2)
        head = PanopticFPNHead(
            num_things_classes=2,
            num_stuff_classes=3,
            inner_channels=4,
            end_level=2,
            norm_cfg=norm,
            **common,
        )
        maps = [torch.randn(2, 8, 8 >> i, 8 >> i, requires_grad=True) for i in (0, 1)]
        labels = torch.randint(0, 5, (2, 1, 32, 32))
        labels[:, :, :8] = 255
        samples = [DetDataSample(gt_sem_seg=PixelData(sem_seg=y)) for y in labels]
        (value,) = head.loss(maps, samples).values()
        head = FusedSemanticHead(
            num_ins=2,
            fusion_level=0,
            seg_scale_factor=0.25,
            num_convs=1,
            conv_out_channels=8,
            num_classes=5,
            **common,
        )
        logits, _ = head(maps)
        return [
            (value, gradient_of(value, maps[0])),
            (found := head.loss(logits, labels), gradient_of(found, maps[0])),
        ]

    for found, wanted in zip(values_of(config), values_of(MMDETS), strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_class_weights_are_as_mmdets(mean, reduction):
    logits, labels = make_maps(torch.float32)
    options = dict(ignore_index=255, class_weight=[0.5, 2.0, 3.0], avg_non_ignore=mean)
    both = [kind(**options, reduction=reduction) for kind in _BOTH]
    values = [loss(logits, labels) for loss in both]
    torch.testing.assert_close(*values)
    slopes = [gradient_of(value.sum(), logits) for value in values]
    torch.testing.assert_close(*slopes)


_BOTH = (CrossEntropyLoss, MmdetCrossEntropyLoss)


# The hardest pixels.


@pytest.mark.parametrize("seed", range(12))
def test_each_class_keeps_its_quota(seed):
    generator = torch.Generator().manual_seed(seed)
    number = int(torch.randint(1, 60, (), generator=generator))
    logits = torch.randn(number, 4, generator=generator)
    # A class on all pixels, on some, and on one or none.
    labels = torch.randint(-1, 3, (number,), generator=generator)
    labels[labels == 1] = torch.where(torch.rand(labels[labels == 1].shape) > 0.8, 1, 0)
    share = [0.1, 0.5, 1.0, 0.25]
    known = [None if y < 0 else y for y in labels.tolist()]
    for min_kept, thresh in ((0, 0.0), (3, 0.0), (2, 0.3)):
        kept = hardest_pixels(logits, labels, torch.tensor(share), min_kept, thresh)
        wanted = hardest(logits.tolist(), known, share, min_kept, thresh)
        assert kept.tolist() == [y is not None for y in wanted]
        p = logits.softmax(1).gather(1, labels.clamp(min=0)[:, None])[:, 0]
        for label in range(4):
            own_ones = labels == label
            left = p[own_ones & ~kept]
            assert (left >= thresh).all()
            if own_ones.any():
                assert kept[own_ones].any()  # no class is lost
            if len(left):
                assert p[own_ones & kept].max() <= left.min()
    everything = hardest_pixels(logits, labels, None)
    assert everything.tolist() == (labels >= 0).tolist()


def test_by_hand():
    """Of four pixels of class 0 one stays, the hardest; class 1 keeps its only one."""
    logits = torch.tensor([[2.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    labels = torch.tensor([0, 0, 0, 0, 1])
    loss = PixelLoss(dict(type="imb_det.CrossEntropyLoss"), share=0.25)
    # log(1 + e) and log(1 + exp(-3)), over five pixels.
    assert loss(logits, labels).item() == pytest.approx(
        (1.3132616875 + 0.0485873516) / 5, rel=1e-6
    )
    loss = PixelLoss(
        dict(type="imb_det.CrossEntropyLoss"), share=0.25, avg_non_ignore=True
    )
    assert loss(logits, labels).item() == pytest.approx(1.3618490391 / 2, rel=1e-6)


def test_memory_is_that_of_one_copy():
    """One of the logits as rows, and their gradient: as mmdet's two."""
    logits, labels = make_maps(torch.float32, (2, 16, 64, 64), classes=16)
    loss = CrossEntropyLoss(ignore_index=IGNORED)
    with torch.profiler.profile(profile_memory=True) as profile:
        loss(logits, labels)
    size = logits.numel() * 4
    large = [event for event in profile.events() if event.self_cpu_memory_usage >= size]
    assert len(large) == 2
    last = logits.detach().to(memory_format=torch.channels_last).requires_grad_()
    with torch.profiler.profile(profile_memory=True) as profile:
        loss(last, labels)
    large = [e for e in profile.events() if e.self_cpu_memory_usage >= size]
    assert len(large) == 1


# What is refused.


@pytest.mark.parametrize("bad", PIXEL_BAD, ids=str)
def test_bad_arguments_are_named(bad):
    (key,) = bad
    good = dict(type="imb_det.PixelLoss", loss=own("CrossEntropyLoss"), share=0.5)
    MODELS.build(good)
    with pytest.raises((TypeError, ValueError), match=f"`{key}"):
        MODELS.build({**good, **bad})


@pytest.mark.parametrize(
    "loss",
    [
        own("CrossEntropyLoss", use_sigmoid=True),
        own("FocalLoss"),
        own("SeesawLoss"),
        own("LDAMLoss"),
        own("IIFLoss"),
        own("CDBLoss", use_sigmoid=False),
        own("EBLLoss"),
        own("VSLoss", prior="rows"),
        own("LogitClipLoss", loss=own("CrossEntropyLoss")),
        own("LabelAwareSmoothingLoss", loss=own("CrossEntropyLoss")),
        own("FadingLoss", losses=[own("CrossEntropyLoss")] * 2),
    ],
    ids=lambda loss: loss["type"][8:],
)
def test_losses_without_a_form_for_pixels(loss):
    with pytest.raises(ValueError, match="has no form for pixels"):
        PixelLoss(loss)


def test_options_without_effect():
    with pytest.raises(ValueError, match="knows no background, for which"):
        CrossEntropyLoss(ignore_index=255, bg_weight=0.5)
    with pytest.raises(ValueError, match="is for losses of pixels"):
        CrossEntropyLoss(avg_non_ignore=True)
    with pytest.raises(ValueError, match="have no effect where `share` is 1"):
        PixelLoss(own("CrossEntropyLoss"), min_kept=5)
    with pytest.raises(ValueError, match="write it once, into PixelLoss"):
        PixelLoss(own("CrossEntropyLoss", ignore_index=-1))
    loss = CrossEntropyLoss(ignore_index=255, class_weight=[1.0, 1.0, 1.0, 2.0])
    with pytest.raises(ValueError, match="has 4 numbers, but the head has 3 classes"):
        loss(*make_maps())
