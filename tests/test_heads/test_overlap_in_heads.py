"""Losses of masks as wholes in mmdet's heads: they train, or are refused before."""

from types import SimpleNamespace

import pytest
import torch
from mmdet.models.dense_heads import RTMDetInsHead
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData, PixelData

from imb_det.checks import check_loss_callers
from imb_det.core import CheckContext
from imb_det.losses import manage_statistics
from tests.contracts import mmdet_heads
from tests.contracts.case import NUM_CLASSES, STATS
from tests.contracts.roi_heads import MaskHead
from tests.test_heads.test_mask_query_heads import build, losses_of, plain
from tests.toys import MODELS

LOSSES = {
    "DiceLoss": {},
    "LovaszLoss": {},
    "SelfAdjustingDiceLoss": dict(alpha=0.3),
    "SpatialClassBalancedLoss": dict(grid=4),
    "TverskyLoss": dict(gamma=4 / 3),
}
ENTROPY = dict(type="imb_det.CrossEntropyLoss", use_mask=True)
PIXELS = {k: v for k, v in LOSSES.items() if k != "SpatialClassBalancedLoss"}
BY_CLASS = dict(class_weight=dict(cat=3.0))
each = pytest.mark.parametrize("name", LOSSES)
anywhere = pytest.mark.parametrize("name", PIXELS)


def config(name, **options):
    return dict(type=f"imb_det.{name}", **LOSSES[name], **options)


def findings(head):
    return list(check_loss_callers(CheckContext(model=head)))


def trains(head, value):
    value.backward()
    slopes = [p.grad for p in head.parameters() if p.grad is not None]
    assert value.isfinite()
    assert slopes
    assert all(slope.isfinite().all() for slope in slopes)
    assert findings(head) == []


def ready(head):
    for part in head.modules():
        if hasattr(part, "set_class_stats"):
            part.set_class_stats(STATS)
    manage_statistics(head)
    return head


# Heads of queries, in which objects are of the classes 0 and 2.


def queries(kind, scope="imb_det", **losses):
    """A head with losses in place of its own; the others as they were."""
    head = build(kind, plain(bg_weight=0.1) if scope == "imb_det" else MMDET, scope)
    for attribute, loss in losses.items():
        setattr(head, attribute, MODELS.build(loss))
    return ready(head)


MMDET = dict(type="CrossEntropyLoss", use_sigmoid=False, class_weight=[1.0] * 4)
KINDS = ("Mask2FormerHead", "MaskFormerHead")


@pytest.mark.parametrize("kind", KINDS)
def test_neutral_dice_is_that_of_mmdet(kind):
    options = dict(naive_dice=True, eps=1.0, loss_weight=5.0)
    wanted = losses_of(queries(kind, loss_dice=dict(type="mmdet.DiceLoss", **options)))
    for name in ("DiceLoss", "TverskyLoss"):
        if name == "TverskyLoss":
            options = dict(fn_weight=0.5, fp_weight=0.5, loss_weight=5.0)
        dice = dict(type=f"imb_det.{name}", **options)
        found = losses_of(queries(kind, loss_dice=dice))
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            torch.testing.assert_close(found[key], value.reshape(found[key].shape))


def test_neutral_cross_entropy_is_that_of_mmdet():
    theirs = dict(type="mmdet.CrossEntropyLoss", use_sigmoid=True, loss_weight=5.0)
    wanted = losses_of(queries("Mask2FormerHead", loss_mask=theirs))
    for weights in (None, [1.0] * 3):
        ours = dict(type="imb_det.CrossEntropyLoss", use_mask=True, loss_weight=5.0)
        head = queries("Mask2FormerHead", loss_mask=dict(ours, class_weight=weights))
        found = losses_of(head)
        for key, value in wanted.items():
            torch.testing.assert_close(found[key], value.reshape(found[key].shape))
        assert findings(head) == []


@pytest.mark.parametrize("kind", KINDS)
@anywhere
def test_instances_of_queries_have_the_weight_of_their_class(kind, name):
    """Of weight 0 they are as if not there."""
    found = {}
    for weights in ([1.0, 9.0, 1.0], [1.0, 9.0, 0.0], [0.0, 9.0, 1.0]):
        loss = config(name, class_weight=weights)
        head = queries(kind, loss_dice=loss, loss_mask=loss)
        losses = losses_of(head)
        assert losses["loss_mask"].item() == pytest.approx(losses["loss_dice"].item())
        found[tuple(weights)] = losses["loss_dice"].item()
    parts = [found[1.0, 9.0, 0.0], found[0.0, 9.0, 1.0]]
    assert sum(parts) == pytest.approx(found[1.0, 9.0, 1.0], rel=1e-5)
    assert min(parts) > 0
    trains(head, sum(losses.values()))


def test_masks_of_images_have_places():
    """In ``loss_dice`` of MaskFormer, and nowhere in Mask2Former, which has points."""
    place = config("SpatialClassBalancedLoss", **BY_CLASS)
    head = queries("MaskFormerHead", loss_dice=place)
    trains(head, sum(losses_of(head).values()))
    (found,) = findings(queries("MaskFormerHead", loss_mask=place))
    assert "goes by the place" in found.evidence
    for attribute in ("loss_mask", "loss_dice"):
        (found,) = findings(queries("Mask2FormerHead", **{attribute: place}))
        assert f"Write `{attribute}=dict(type=" in found.remedy


@pytest.mark.parametrize("kind", KINDS)
def test_heads_of_mmdet_that_do_not_tell_the_classes(kind):
    head = queries(kind, "mmdet", loss_dice=config("TverskyLoss", class_weight=2.0))
    trains(head, sum(losses_of(head).values()))
    for losses in (
        dict(loss_dice=config("TverskyLoss", **BY_CLASS)),
        dict(loss_mask=config("TverskyLoss")),
    ):
        head = queries(kind, "mmdet", **losses)
        (found,) = findings(head)
        assert f"type='imb_det.{kind}'" in found.remedy
        with pytest.raises(RuntimeError, match=rf"of {kind}.*imb_det.Mask2FormerHead"):
            losses_of(head)


# Heads of RoIs.


@each
def test_masks_of_rois(name):
    values = []
    for weights in ([1.0, 9.0, 1.0], [2.0, 9.0, 0.0]):  # of the classes 0 and 2
        torch.manual_seed(0)
        head = MaskHead(config(name, class_weight=weights))
        ready(head.head)
        loss = head.losses()["loss_mask"]
        values.append(loss.item())
    assert 0 < values[1] < 2 * values[0]
    trains(head.head, loss)


def test_class_agnostic_masks_of_rois():
    one = MaskHead(config("TverskyLoss", class_weight=2.0), class_agnostic=True)
    trains(one.head, one.losses()["loss_mask"])
    several = MaskHead(config("TverskyLoss", **BY_CLASS), class_agnostic=True)
    (found,) = findings(several.head)
    assert "class_agnostic=False" in found.remedy


def dynamic_head(loss):
    inner = dict(
        type="DynamicConv",
        in_channels=4,
        feat_channels=4,
        out_channels=4,
        input_feat_shape=2,
        with_proj=False,
    )
    return ready(
        MODELS.build(
            ConfigDict(
                {**MaskHead.config, "type": "DynamicMaskHead"},
                loss_mask=loss,
                dynamic_conv_cfg=inner,
            )
        )
    )


@anywhere
def test_masks_of_query_inst_are_probabilities(name):
    head = dynamic_head(config(name, activate=False))
    wrapped = MaskHead(dict(type="mmdet.CrossEntropyLoss", use_mask=True))
    known, wrapped.head = wrapped.head, head
    head.forward = known.forward  # of masks; there are no proposals here
    loss = wrapped.losses()["loss_mask"]
    assert loss.isfinite()
    assert findings(head) == []
    (found,) = findings(dynamic_head(config(name)))
    assert "`activate=False`" in found.remedy
    (found,) = findings(dynamic_head(config(name, activate=False, **BY_CLASS)))
    assert "one number" in found.remedy


def test_probabilities_are_not_taken_by_all():
    (found,) = findings(dynamic_head(ENTROPY))
    assert "activate=False)" in found.remedy
    (found,) = findings(dynamic_head(config("SpatialClassBalancedLoss")))
    assert "activate=False)" in found.remedy
    (found,) = findings(MaskHead(config("DiceLoss", activate=False)).head)
    assert "`activate=True`" in found.remedy


@anywhere
def test_points_of_rois(name):
    loss = config(name, **BY_CLASS)
    head = MODELS.build(
        dict(type="MaskPointHead", num_classes=NUM_CLASSES, num_fcs=1, loss_point=loss)
    )
    ready(head)
    logits = torch.randn(2, NUM_CLASSES, 5, requires_grad=True)
    sampled = SimpleNamespace(
        pos_bboxes=torch.tensor([[0.0, 0, 20, 20], [10, 10, 40, 40]]),
        pos_gt_labels=torch.tensor([0, 2]),
        pos_assigned_gt_inds=torch.tensor([0, 0]),
    )
    truth = mmdet_heads.samples()[0].gt_instances
    points = torch.rand(2, 5, 2)
    args = [sampled], [truth], ConfigDict(num_points=5)
    head.loss_and_target(logits, points, *args)["loss_point"].backward()
    assert logits.grad.isfinite().all()
    assert findings(head) == []


# Heads of locations, which do not tell the classes of their masks.


@pytest.mark.parametrize("head_name", ["SOLOHead", "DecoupledSOLOHead", "SOLOV2Head"])
@pytest.mark.parametrize("name", ["LovaszLoss", "SpatialClassBalancedLoss"])
def test_masks_of_locations(head_name, name):
    options = dict(class_weight=2.0)
    if head_name == "DecoupledSOLOHead":
        if name == "SpatialClassBalancedLoss":
            return
        options["activate"] = False
    head = mmdet_heads.build_dense(head_name, loss_mask=config(name, **options))
    losses = mmdet_heads.dense_losses(head_name, head)
    trains(head, mmdet_heads.total(losses))
    head.loss_mask = MODELS.build({**config(name, **options), **BY_CLASS})
    (found,) = findings(head)
    assert "one number" in found.remedy


@pytest.mark.parametrize("is_told", [True, False])
def test_what_stands_in_place_of_a_loss_that_is_told_of_instances(is_told):
    """Heads of RoIs pass the classes to losses that take them, others to none."""
    loss = dict(type="imb_det.InstanceWeightedLoss", loss=dict(type="DiceLoss"))
    if is_told:
        head = MODELS.build(dict(type="FCNMaskHead", loss_mask=loss))
    else:
        head = mmdet_heads.build_dense("SOLOHead", loss_mask=loss)
    (found,) = findings(head)
    assert "Mask2FormerHead" not in found.remedy
    line = "CrossEntropyLoss', use_mask=True" if is_told else "the loss inside of it"
    assert line in found.remedy


def conditional(kind, loss):
    """``CondInstMaskHead`` with what it predicts of three masks of an image."""
    feature = dict(
        in_channels=8,
        feat_channels=8,
        start_level=0,
        end_level=2,
        out_channels=8,
        mask_stride=8,
        num_stacked_convs=1,
        norm_cfg=dict(type="BN"),
    )
    more = dict(pairwise_size=3, pairwise_dilation=2) if "Box" in kind else {}
    head = MODELS.build(
        dict(type=kind, mask_feature_head=feature, loss_mask=loss, **more)
    )
    ready(head)
    return head


def test_masks_of_cond_inst():
    head = conditional("CondInstMaskHead", config("TverskyLoss", class_weight=2.0))
    truth = mmdet_heads.samples()[0].gt_instances
    info = InstanceData(pos_assigned_gt_inds=torch.tensor([0, 1, 1]))
    masks = torch.randn(3, 16, 16, requires_grad=True)
    losses = head.loss_by_feat([masks], [truth], [{}], positive_infos=[info])
    losses["loss_mask"].backward()
    assert masks.grad.isfinite().all()
    assert findings(head) == []
    (found,) = findings(conditional("CondInstMaskHead", config("DiceLoss", **BY_CLASS)))
    assert "one number" in found.remedy
    places = config("SpatialClassBalancedLoss")
    assert not findings(conditional("CondInstMaskHead", places))
    (found,) = findings(conditional("BoxInstMaskHead", places))
    assert "projections" in found.evidence


def test_masks_of_rtmdet():
    head = SimpleNamespace(
        loss_mask=MODELS.build(config("LovaszLoss")),
        mask_loss_stride=4,
        prior_generator=SimpleNamespace(strides=[(16, 16)]),
    )
    logits = torch.randn(2, 4, 4, requires_grad=True)
    head._mask_predict_by_feat_single = lambda feat, kernels, priors: logits
    sampled = SimpleNamespace(
        pos_priors=None,
        pos_inds=torch.tensor([0, 1]),
        pos_assigned_gt_inds=torch.tensor([0, 1]),
    )
    truth = InstanceData(masks=torch.rand(2, 64, 64) > 0.5)
    maps = torch.zeros(1, 2, 4, 4), torch.zeros(1, 3, 5)
    value = RTMDetInsHead.loss_mask_by_feat(head, *maps, [sampled], [truth])
    value.backward()
    assert logits.grad.isfinite().all()


# Semantic heads.


def panoptic(loss):
    return ready(
        MODELS.build(
            dict(
                type="PanopticFPNHead",
                num_things_classes=2,
                num_stuff_classes=2,
                in_channels=4,
                inner_channels=4,
                start_level=0,
                end_level=1,
                norm_cfg=dict(type="GN", num_groups=2),
                loss_seg=loss,
            )
        )
    )


@anywhere
def test_maps_of_panoptic_fpn(name):
    head = panoptic(config(name, use_sigmoid=False, class_weight=[1.0, 3.0, 0.5]))
    labels = torch.randint(4, (1, 16, 16))
    labels[:, :4] = 255
    sample = DetDataSample(gt_sem_seg=PixelData(sem_seg=labels))
    losses = head.loss((torch.randn(2, 4, 4, 4),), [sample, sample])
    trains(head, losses["loss_seg"])
    (found,) = findings(panoptic(config(name)))
    assert "`use_sigmoid=False`" in found.remedy


@anywhere
def test_maps_of_fused_semantic_heads(name):
    sizes = dict(num_ins=1, fusion_level=0, num_convs=1, in_channels=4)
    head = MODELS.build(
        ConfigDict(
            sizes,
            type="FusedSemanticHead",
            conv_out_channels=4,
            num_classes=3,
            loss_seg=config(name, use_sigmoid=False, loss_weight=0.2),
        )
    )
    maps, _ = head((torch.randn(2, 4, 4, 4),))
    labels = torch.randint(3, (2, 1, 32, 32))
    labels[:, :, :8] = 255
    trains(head, head.loss(maps, labels))
    head.criterion = MODELS.build(config(name))
    (found,) = findings(head)
    assert "`use_sigmoid=False` into `loss_seg`" in found.remedy


def test_masks_in_place_of_maps_and_other_places():
    (found,) = findings(panoptic(config("SpatialClassBalancedLoss")))
    assert "imb_det.DiceLoss', use_sigmoid=False" in found.remedy
    (found,) = findings(panoptic(ENTROPY))
    assert "imb_det.DiceLoss', use_sigmoid=False" in found.remedy
    (found,) = findings(MaskHead(config("DiceLoss", use_sigmoid=False)).head)
    assert "`use_sigmoid=True`" in found.remedy
    head = mmdet_heads.build_dense("RetinaHead")
    head.loss_cls = MODELS.build(config("DiceLoss"))
    (found,) = findings(head)
    assert "no masks to DiceLoss" in found.evidence
    head = torch.nn.Module()  # of a user: nobody knows what it passes
    head.loss_mask = MODELS.build(config("DiceLoss"))
    assert findings(head) == []
