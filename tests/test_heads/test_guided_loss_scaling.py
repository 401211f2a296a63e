import inspect
import math

import pytest
import torch
from mmdet.models import dense_heads
from mmdet.models.dense_heads import (
    ATSSHead,
    DETRHead,
    FCOSHead,
    FoveaHead,
    FreeAnchorRetinaHead,
    PAAHead,
    PISARetinaHead,
    RetinaHead,
    SSDHead,
)
from mmengine.structures import InstanceData

from imb_det.heads import GuidedAnchorBasedHead, GuidedDenseHead
from imb_det.heads.loss_averaging import ALL_RANKS, AVERAGED_OVER
from tests import toys
from tests.references import guided_loss
from tests.test_heads.guided_cases import CASES

SAMPLING_FREE = "imb_det.SamplingFreeRetinaHead"


def build_head(head_type=SAMPLING_FREE, **changes):
    torch.manual_seed(0)
    config = toys.retinanet_config(head_type=head_type, **changes)
    return toys.build_model(config).bbox_head


def make_batch(boxes_per_image, size=64):
    """Random level outputs with a gradient, and ground truth."""
    generator = torch.Generator().manual_seed(1)
    num_images = len(boxes_per_image)
    cls_scores, bbox_preds = (
        [
            torch.randn(
                num_images,
                6 * channels,
                size // stride,
                size // stride,
                generator=generator,
                dtype=torch.float64,
            ).requires_grad_()
            for stride in (8, 16, 32)
        ]
        for channels in (3, 4)
    )
    instances = [
        InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            labels=torch.arange(len(boxes)) % 3,
        )
        for boxes in boxes_per_image
    ]
    metas = [dict(img_shape=(size, size), pad_shape=(size, size))] * num_images
    return cls_scores, bbox_preds, instances, metas


BOXES = [[[4, 6, 40, 30], [20, 20, 60, 60]], [[8, 8, 30, 34]]]


def targets_of(head, batch):
    cls_scores, _bbox_preds, instances, metas = batch
    anchors, valid = head.get_anchors(
        [score.shape[-2:] for score in cls_scores], metas, device="cpu"
    )
    return head.get_targets(anchors, valid, instances, metas)


def test_equals_the_float64_reference():
    head = build_head()
    batch = make_batch(BOXES)
    losses = head.loss_by_feat(*batch)
    labels, weights, box_targets, box_weights, avg_factor = targets_of(head, batch)
    loss_cls = loss_bbox = 0.0
    for level in range(3):
        scores = batch[0][level].permute(0, 2, 3, 1).reshape(-1, 3)
        deltas = batch[1][level].permute(0, 2, 3, 1).reshape(-1, 4)
        loss_cls += guided_loss.classification_loss(
            scores.tolist(),
            labels[level].flatten().tolist(),
            weights[level].flatten().tolist(),
            avg_factor,
        )
        loss_bbox += guided_loss.box_loss(
            deltas.tolist(),
            box_targets[level].reshape(-1, 4).double().tolist(),
            box_weights[level].reshape(-1, 4).tolist(),
            avg_factor,
        )
    ratio = guided_loss.guided_ratio([loss_cls], [loss_bbox])
    assert sum(losses["loss_bbox"]).item() == pytest.approx(loss_bbox, rel=1e-6)
    assert losses["guided_ratio"].item() == pytest.approx(ratio, rel=1e-5)
    assert sum(losses["loss_cls"]).item() == pytest.approx(ratio * loss_cls, rel=1e-5)
    assert head.num_unscaled.item() == 0


@pytest.mark.parametrize("scale", [1.0, 2.0, 0.5])
def test_value_follows_the_box_loss_and_direction_stays(scale):
    plain, guided = build_head("RetinaHead"), build_head(cls_loss_scale=scale)
    batch = make_batch(BOXES)
    plain_losses = plain.loss_by_feat(*batch)
    losses = guided.loss_by_feat(*batch)
    loss_cls, loss_bbox = sum(losses["loss_cls"]), sum(losses["loss_bbox"])
    assert loss_cls.item() == pytest.approx(scale * loss_bbox.item(), rel=1e-6)
    factor = scale * losses["guided_ratio"].double()
    inputs = [*batch[0], *batch[1]]
    before = torch.autograd.grad(
        sum(plain_losses["loss_cls"]), batch[0], retain_graph=True
    )
    after = torch.autograd.grad(loss_cls, batch[0], retain_graph=True)
    for old, new in zip(before, after, strict=True):
        # The ratio is a constant: the gradient keeps its direction in every entry.
        torch.testing.assert_close(new, factor * old, rtol=1e-5, atol=1e-12)
    untouched = torch.autograd.grad(
        sum(plain_losses["loss_bbox"]), inputs, allow_unused=True, retain_graph=True
    )
    same = torch.autograd.grad(loss_bbox, inputs, allow_unused=True)
    for old, new in zip(untouched, same, strict=True):
        assert (old is None and new is None) or torch.equal(old, new)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_running_ratio(momentum):
    guided, plain = build_head(momentum=momentum), build_head("RetinaHead")
    resumed = build_head(momentum=momentum)
    batches = [BOXES, [BOXES[1]], [BOXES[0]], [[]], [[[30, 4, 60, 50]]]]
    raw, found = [], []
    for step, boxes in enumerate(batches):
        batch = make_batch(boxes)
        losses = guided.loss_by_feat(*batch)
        if boxes == [[]]:
            assert losses["guided_ratio"].item() == 1
            continue
        wanted = plain.loss_by_feat(*batch)
        raw.append((sum(wanted["loss_cls"]).item(), sum(wanted["loss_bbox"]).item()))
        found.append(losses["guided_ratio"].item())
        if step == 2:
            resumed.load_state_dict(guided.state_dict())
    assert found == pytest.approx(guided_loss.running_ratios(raw, momentum), rel=1e-5)
    assert guided.num_unscaled.item() == 1
    again = resumed.loss_by_feat(*make_batch(batches[-1]))
    assert again["guided_ratio"].item() == found[-1]


@pytest.mark.parametrize("momentum", [-0.1, 1.0, math.nan])
def test_momentum_out_of_range(momentum):
    with pytest.raises(ValueError, match="momentum"):
        build_head(momentum=momentum)


@pytest.mark.parametrize("boxes", [[[]], [[], []]])
def test_no_positive(boxes):
    head = build_head()
    plain = build_head("RetinaHead")
    batch = make_batch(boxes)
    losses = head.loss_by_feat(*batch)
    assert losses["guided_ratio"].item() == 1
    assert head.num_unscaled.item() == 1
    assert losses["num_unscaled"].item() == 1
    total = sum(losses["loss_cls"]) + sum(losses["loss_bbox"])
    assert total.isfinite()
    wanted = sum(plain.loss_by_feat(*batch)["loss_cls"]).item()
    assert total.item() == pytest.approx(wanted)
    gradients = torch.autograd.grad(total, [*batch[0], *batch[1]], allow_unused=True)
    assert all(g.isfinite().all() for g in gradients if g is not None)
    assert all(g.abs().sum() > 0 for g in gradients[:3])


def test_mixed_batch_ignores_the_empty_image():
    losses = build_head().loss_by_feat(*make_batch([BOXES[0], []]))
    assert losses["guided_ratio"].item() != 1
    assert math.isfinite(losses["guided_ratio"].item())


def test_a_loss_that_is_not_finite_is_counted():
    head = build_head()
    batch = make_batch(BOXES)
    with torch.no_grad():
        batch[1][0][:] = math.inf
    losses = head.loss_by_feat(*batch)
    assert losses["guided_ratio"].item() == 1
    assert head.num_unscaled.item() == 1


def test_log_entries_do_not_enter_the_total_loss():
    model = toys.build_model(toys.retinanet_config(head_type=SAMPLING_FREE))
    losses = model.bbox_head.loss_by_feat(*make_batch(BOXES))
    total, log = model.parse_losses(losses)
    wanted = sum(losses["loss_cls"]) + sum(losses["loss_bbox"])
    torch.testing.assert_close(total, wanted)
    assert {"guided_ratio", "num_unscaled", "loss_cls", "loss_bbox"} <= log.keys()


def test_count_is_in_the_checkpoint():
    head, other = build_head(), build_head()
    head.loss_by_feat(*make_batch([[]]))
    other.load_state_dict(head.state_dict())
    assert other.num_unscaled.item() == 1


@pytest.mark.parametrize("scale", [0, -1.0, math.nan])
def test_scale_must_be_positive(scale):
    with pytest.raises(ValueError, match="cls_loss_scale"):
        build_head(cls_loss_scale=scale)


def test_softmax_loss_is_refused():
    config = toys.retinanet_config(head_type=SAMPLING_FREE)
    config.bbox_head.loss_cls.use_sigmoid = False
    with pytest.raises(ValueError, match="use_sigmoid=True"):
        toys.build_model(config)


def test_a_head_without_anchors_is_refused():
    class Guided(GuidedDenseHead, DETRHead):
        pass

    loss = dict(type="CrossEntropyLoss", use_sigmoid=True)
    with pytest.raises(TypeError, match=r"Guided cannot be guided.* AnchorHead or "):
        Guided(num_classes=3, embed_dims=8, loss_cls=loss)


def test_losses_that_each_rank_averages_need_the_other_mixin():
    class Guided(GuidedDenseHead, RetinaHead):
        pass

    with pytest.raises(TypeError, match=r"Guided has .* from GuidedAnchorBasedHead"):
        Guided(num_classes=3, in_channels=8)


@pytest.mark.parametrize("base", [FoveaHead, PAAHead])
def test_other_losses_that_each_rank_averages_are_refused(base):
    class Guided(GuidedDenseHead, base):
        pass

    settings = dict(num_classes=3, in_channels=8)
    if base is FoveaHead:
        loss = dict(type="CrossEntropyLoss", use_sigmoid=True)
        settings.update(loss_cls=loss, loss_bbox=dict(type="SmoothL1Loss"))
    with pytest.raises(
        TypeError,
        match=rf"own, `{base.__name__}\.loss_by_feat`.*averaged_over = 'all_ranks'`",
    ):
        Guided(**settings)


@pytest.mark.parametrize("base", [FreeAnchorRetinaHead, PISARetinaHead])
def test_heads_with_anchors_and_losses_of_their_own_are_refused(base):
    class Guided(GuidedAnchorBasedHead, base):
        pass

    message = rf"own, `{base.__name__}\.loss_by_feat`.*averaged_over = 'own_rank'`"
    with pytest.raises(TypeError, match=message):
        Guided(num_classes=3, in_channels=8)


def test_a_head_of_qualities_needs_a_loss_of_qualities():
    loss = dict(type="CrossEntropyLoss", use_sigmoid=True)
    with pytest.raises(ValueError, match=r"QualityFocalLoss.*got CrossEntropyLoss"):
        CASES["GFLHead"].build(loss_cls=loss)


class AddingRetinaHead(RetinaHead):
    def loss_by_feat(self, *args, **kwargs):
        return {**super().loss_by_feat(*args, **kwargs), "loss_more": torch.zeros(1)}


class AddingFCOSHead(FCOSHead):
    def loss_by_feat(self, *args, **kwargs):
        return {**super().loss_by_feat(*args, **kwargs), "loss_more": torch.zeros(1)}


LIKE = [
    (GuidedAnchorBasedHead, AddingRetinaHead, "own_rank", "all_ranks"),
    (GuidedDenseHead, AddingFCOSHead, "all_ranks", "own_rank"),
]


@pytest.mark.parametrize(("mixin", "base", "over", "other"), LIKE)
def test_a_head_that_adds_to_known_losses_says_what_they_are_averaged_over(
    mixin, base, over, other
):
    class Guided(mixin, base):
        pass

    settings = dict(num_classes=3, in_channels=8)
    settings.update(loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=True))
    message = rf"`{base.__name__}.loss_by_feat`.*`losses_averaged_over = '{over}'`"
    with pytest.raises(TypeError, match=message):
        Guided(**settings)

    # In the guided class or in the head that it is derived from.
    Stating = type("Stating", (base,), dict(losses_averaged_over=over))
    type("Guided", (mixin, base), dict(losses_averaged_over=over))(**settings)
    type("Guided", (mixin, Stating), {})(**settings)

    # What overrides the losses again has to say it again.
    again = type("Again", (Stating,), dict(loss_by_feat=base.loss_by_feat))
    with pytest.raises(TypeError, match=r"`Again\.loss_by_feat`"):
        type("Guided", (mixin, again), {})(**settings)

    wrong = type("Wrong", (mixin, base), dict(losses_averaged_over=other))
    with pytest.raises(TypeError, match=f"'{other}': derive it from Guided.* not "):
        wrong(**settings)
    typo = type("Typo", (mixin, base), dict(losses_averaged_over="ranks"))
    with pytest.raises(ValueError, match=r"Typo: `losses_averaged_over` .* 'ranks'"):
        typo(**settings)


def test_losses_that_all_ranks_share_need_the_other_mixin():
    class Guided(GuidedAnchorBasedHead, ATSSHead):
        pass

    with pytest.raises(TypeError, match=r"of ATSSHead, .* from GuidedDenseHead, not"):
        Guided(num_classes=3, in_channels=8)


def test_the_table_says_what_mmdet_does():
    bases = (dense_heads.AnchorHead, dense_heads.AnchorFreeHead)
    heads = [
        kind
        for kind in vars(dense_heads).values()
        if isinstance(kind, type) and issubclass(kind, bases)
    ]
    shared = {
        kind
        for kind in heads
        if "loss_by_feat" in vars(kind)
        and "reduce_mean(" in inspect.getsource(kind.loss_by_feat)
    }
    assert {k for k, over in AVERAGED_OVER.items() if over == ALL_RANKS} == shared
    assert len(shared) > 3


@pytest.mark.parametrize("settings", [dict(momentum=0.9), dict(freeze_after=1)])
def test_another_training_can_be_forgotten(settings):
    first = build_head(**settings)
    fresh = {name: value.clone() for name, value in first.named_buffers()}
    first.loss_by_feat(*make_batch([[[0, 0, 30, 30]]]))
    first.loss_by_feat(*make_batch([[]]))
    changed = [n for n, v in first.named_buffers() if not torch.equal(v, fresh[n])]
    assert len(changed) >= 2
    first.forget_training()
    for name, value in first.named_buffers():
        assert torch.equal(value, fresh[name]), name


def test_a_head_without_a_module_for_the_loss_is_refused():
    class Guided(GuidedDenseHead, SSDHead):
        pass

    anchors = dict(type="AnchorGenerator", scales=[8], ratios=[1.0], strides=[8])
    with pytest.raises(
        TypeError, match=r"Guided cannot be guided.*a module `loss_cls`"
    ):
        Guided(num_classes=3, in_channels=(8,), anchor_generator=anchors)


def test_sampler_is_refused():
    config = toys.retinanet_config(head_type=SAMPLING_FREE)
    config.train_cfg.sampler = dict(type="RandomSampler", num=256, pos_fraction=0.5)
    with pytest.raises(ValueError, match="RandomSampler"):
        toys.build_model(config)


def test_both_heads_stay_reachable():
    assert type(build_head("RetinaHead")).__module__.startswith("mmdet")
    assert type(build_head(SAMPLING_FREE)).__module__.startswith("imb_det")


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (dict(type="FocalLoss", use_sigmoid=True), "FocalLoss"),
        (
            dict(type="CrossEntropyLoss", use_sigmoid=True, loss_weight=2.0),
            "cls_loss_scale",
        ),
    ],
)
def test_losses_that_miss_the_point_are_warned_of(loss, message, monkeypatch):
    said = []
    monkeypatch.setattr(
        "imb_det.heads.guided_heads.print_log",
        lambda text, *args: said.append(text),
    )
    config = toys.retinanet_config(head_type=SAMPLING_FREE)
    toys.build_model(config)
    assert said == []
    config.bbox_head.loss_cls = loss
    toys.build_model(config)
    assert len(said) == 1
    assert message in said[0]
