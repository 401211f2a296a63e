"""Each row of a head is judged by the verified classes of its own image.

In every test one of two images has no verified class and no object: nothing that is
computed from it may get a gradient, in whatever order the head has its rows.
"""

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import nn

from imb_det.core import CheckContext
from imb_det.federated import FederatedHook
from imb_det.federated.row_watcher import watcher_of
from imb_det.registry import MODELS as OURS
from tests.contracts import mmdet_heads
from tests.contracts.cases import NUM_CLASSES
from tests.contracts.roi_heads import RoIHead
from tests.toys import MODELS

LOSS = dict(type="imb_det.FederatedLoss", use_sigmoid=True, source="annotation")
FOCAL = dict(LOSS, gamma=2.0)
EVERY, NONE = np.arange(NUM_CLASSES), np.arange(0)
each_silent = pytest.mark.parametrize("silent", [0, 1])


class Detector(nn.Module):
    """Something that has a head and computes its loss as a detector does."""

    def __init__(self, head, losses):
        super().__init__()
        self.head, self.losses = head, losses

    def forward(self, inputs, data_samples=None, mode="tensor"):
        return self.losses(self.head, inputs, data_samples)


def samples(objects=False):
    """Two images, without objects if not wanted."""
    found = mmdet_heads.samples(with_masks=False)
    for index, sample in enumerate(found):
        sample.set_metainfo(dict(img_id=10 + index))
        if not objects:
            sample.gt_instances = sample.gt_instances[:0]
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4))
    return found


def step(detector, inputs, silent, batch=None):
    """Losses of a step in which one image has nothing verified."""
    hook = FederatedHook()
    hook._num_classes = NUM_CLASSES
    hook._labels = {10 + i: NONE if i == silent else EVERY for i in range(2)}
    hook._watch(detector)
    found = detector(inputs, data_samples=batch or samples(), mode="loss")
    hook.after_train(None)
    loss = found["loss_cls"]
    total = sum(loss) if isinstance(loss, list) else loss
    return torch.autograd.grad(total, inputs, allow_unused=True)


def assert_silent(slopes, silent, dim=0):
    """Only the other image has a gradient."""
    for slope in slopes:
        assert slope.select(dim, silent).abs().max() == 0
        assert slope.select(dim, 1 - silent).abs().max() > 0


def maps(sides=(16, 8, 4, 2, 2), channels=mmdet_heads.CHANNELS):
    return [torch.randn(2, channels, s, s, requires_grad=True) for s in sides]


@each_silent
@pytest.mark.parametrize("loss", [LOSS, FOCAL], ids=["plain", "focal"])
@pytest.mark.parametrize("name", ["RetinaHead", "ATSSHead", "FCOSHead", "NASFCOSHead"])
def test_dense_heads(name, loss, silent):
    head = mmdet_heads.build_dense(name, loss_cls=loss)
    for part in head.modules():  # which would mix the images
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()
    inputs = maps()
    detector = Detector(head, lambda head, x, batch: head.loss(tuple(x), batch))
    assert_silent(step(detector, inputs, silent), silent)


SAMPLERS = dict(
    RandomSampler=dict(type="RandomSampler"),
    OHEMSampler=dict(type="OHEMSampler"),
)


def roi_head(sampler, kind="StandardRoIHead", stages=1):
    """A RoI head that has more proposals than it samples."""
    box = dict(RoIHead.config, loss_cls=LOSS)
    extractor = dict(
        type="SingleRoIExtractor",
        roi_layer=dict(type="RoIAlign", output_size=2, sampling_ratio=0),
        out_channels=4,
        featmap_strides=[4],
    )
    settings = dict(num=8, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False)
    train = dict(
        assigner=dict(
            type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5
        ),
        sampler=dict(SAMPLERS[sampler], **settings),
        pos_weight=-1,
    )
    config = dict(type=kind, bbox_roi_extractor=extractor, bbox_head=box)
    if kind == "CascadeRoIHead":
        config.update(num_stages=stages, stage_loss_weights=[1.0] * stages)
        config.update(bbox_roi_extractor=[extractor] * stages, bbox_head=[box] * stages)
        train = [train] * stages
        for each in config["bbox_head"]:
            each["reg_class_agnostic"] = True
    return MODELS.build(ConfigDict(config, train_cfg=train, test_cfg=None)).train()


def proposals(count):
    corner = 3.0 * torch.arange(count)[:, None]
    boxes = torch.cat([corner, corner, corner + 9, corner + 9], 1)
    return [InstanceData(bboxes=boxes.clone()) for _ in range(2)]


def roi_losses(head, x, batch):
    found = head.loss(tuple(x), proposals(12), batch)
    if "loss_cls" not in found:
        found["loss_cls"] = [v for k, v in found.items() if k.endswith("loss_cls")]
    return found


@each_silent
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_roi_heads(sampler, silent):
    head = roi_head(sampler)
    mined = []
    loss = head.bbox_head.loss_cls
    loss.register_forward_hook(
        lambda _, args, kwargs, rows: (
            mined.append(rows.sum().item())
            if kwargs.get("reduction_override") == "none"
            else None
        ),
        with_kwargs=True,
    )
    inputs = maps([16], 4)
    assert_silent(step(Detector(head, roi_losses), inputs, silent), silent)
    if sampler == "OHEMSampler":  # which asks for one image after the other
        assert [value > 0 for value in mined] == [silent == 1, silent == 0]


@each_silent
def test_cascades(silent):
    head = roi_head("RandomSampler", "CascadeRoIHead", stages=2)
    inputs = maps([16], 4)
    assert_silent(step(Detector(head, roi_losses), inputs, silent), silent)


@each_silent
@pytest.mark.parametrize("name", ["DETRHead", "DeformableDETRHead", "DINOHead"])
def test_heads_of_queries(name, silent):
    more = {} if name == "DETRHead" else dict(num_pred_layer=2)
    config = dict(type=name, num_classes=NUM_CLASSES, embed_dims=8, **more)
    head = MODELS.build(ConfigDict(config, loss_cls=FOCAL)).train()
    queries = 10 if name == "DINOHead" else 6

    def losses(head, x, batch):
        boxes = torch.rand(2, 2, queries, 4)
        truth = [sample.gt_instances for sample in batch]
        rest = [truth, [sample.metainfo for sample in batch]]
        if name == "DINOHead":
            noise = dict(num_denoising_queries=4, num_denoising_groups=1)
            found = head.loss_by_feat(x[0], boxes, None, None, *rest, dn_meta=noise)
        elif name == "DeformableDETRHead":
            found = head.loss_by_feat(x[0], boxes, None, None, *rest)
        else:
            found = head.loss_by_feat(x[0], boxes, *rest)
        parts = [v for k, v in found.items() if k.endswith("loss_cls")]
        return dict(loss_cls=parts)

    inputs = [torch.randn(2, 2, queries, NUM_CLASSES, requires_grad=True)]
    assert_silent(step(Detector(head, losses), inputs, silent), silent, dim=1)


def test_own_classes_are_positives_and_only_verified_ones_negatives():
    head = mmdet_heads.build_dense("RetinaHead", loss_cls=LOSS)
    seen = []
    head.loss_cls.register_forward_hook(
        lambda loss, args, value: seen.append((*args[:3], value))
    )
    hook = FederatedHook()
    hook._num_classes = NUM_CLASSES
    hook._labels = {10: np.array([1]), 11: np.array([0, 2])}
    detector = Detector(head, lambda head, x, batch: head.loss(tuple(x), batch))
    hook._watch(detector)
    detector(maps(), data_samples=samples(objects=True), mode="loss")
    wanted = torch.tensor([[0.0, 1, 0], [1, 0, 1]])
    positives = 0
    for logits, labels, weights, value in seen:
        slope = torch.autograd.grad(value, logits, retain_graph=True)[0]
        image = torch.arange(2).repeat_interleave(len(logits) // 2)
        is_own = labels[:, None] == torch.arange(NUM_CLASSES)
        positives += is_own.sum()
        used = (is_own | (wanted[image] > 0)) & (weights > 0)[:, None]
        assert torch.equal(slope != 0, used)
    assert positives > 0
    # After the step nothing stays behind.
    assert head.loss_cls.images.num_images == 0
    with pytest.raises(RuntimeError, match=r"type='imb_det.FederatedHook'"):
        head.loss_cls(torch.zeros(1, NUM_CLASSES), torch.tensor([0]))


def test_a_failing_step_leaves_nothing_behind():
    head = mmdet_heads.build_dense("RetinaHead", loss_cls=LOSS)
    detector = Detector(head, lambda head, x, batch: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        step(detector, maps(), 0)
    assert head.loss_cls.images.num_images == 0


@pytest.mark.parametrize(
    "name", ["FoveaHead", "PAAHead", "RepPointsHead", "YOLOXHead", "VFNetHead"]
)
def test_other_heads_are_refused(name):
    head = mmdet_heads.build_dense(name, loss_cls=LOSS)
    model = nn.ModuleDict(dict(bbox_head=head))
    dataset = type("NoFile", (), dict(pipeline=[], get_data_info=None))()
    context = CheckContext(model=model, datasets=dict(train=dataset))
    found, of_file = FederatedHook().findings(context)
    assert "NoFile (None): an annotation file of LVIS" in of_file.evidence
    assert found.code == "federated_head"
    assert found.where == f"`bbox_head` ({name})"
    assert "RetinaHead" in found.evidence
    assert "source='counts'" in found.remedy


def test_queries_of_two_stages_are_refused():
    # The first takes one class for all objects.
    config = dict(
        num_classes=NUM_CLASSES, embed_dims=8, num_pred_layer=3, loss_cls=LOSS
    )
    for two_stages in (False, True):
        head = MODELS.build(
            ConfigDict(config, type="DeformableDETRHead", as_two_stage=two_stages)
        )
        watcher = watcher_of(nn.ModuleDict(dict(bbox_head=head)), head)
        assert (watcher is None) == two_stages


def test_what_is_not_used_is_refused():
    for wrong in (dict(num=10), dict(power=1.0), dict(weight=[1, 2, 3]), dict(seed=1)):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}.*nothing is drawn"):
            OURS.build(dict(LOSS, **wrong))
    with pytest.raises(ValueError, match=r"`source` must be one of"):
        OURS.build(dict(LOSS, source="file"))
