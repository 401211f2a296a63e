"""Samplers and heads that call a loss for more than training on it."""

from types import SimpleNamespace

import pytest
import torch
from mmdet.models.task_modules.samplers import OHEMSampler
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from tests.toys import MODELS

from .cases import NUM_CLASSES, of_activation
from .head_batch import BOXES, IMAGE, known_logits
from .heads import DETRHead, MaskHead, RoIHead

each = pytest.mark.parametrize("case", of_activation("softmax", "sigmoid"), ids=str)
each_dense = pytest.mark.parametrize(
    "case",
    [
        case
        for case in of_activation("sigmoid")
        if not case.only_in_roi_heads and not case.of_rows
    ],
    ids=str,
)


@each
def test_accuracy_in_roi_heads(case):
    head = RoIHead(case.config)
    loss = case.start(head.head.loss_cls)
    assert 0 <= head.losses()["acc"].item() <= 100
    logits = 2 * torch.randn(200, loss.get_cls_channels(NUM_CLASSES))
    labels = case.best(logits)
    assert set(labels.tolist()) == {*range(NUM_CLASSES), NUM_CLASSES}
    assert loss.get_accuracy(logits, labels) == {"acc": torch.tensor([100.0])}
    labels[:50] = (labels[:50] + 1) % (NUM_CLASSES + 1)
    assert loss.get_accuracy(logits, labels) == {"acc": torch.tensor([75.0])}


@each
def test_ohem_gets_a_loss_of_each_row(case):
    head = RoIHead(case.config).head
    case.start(head.loss_cls)
    features = torch.randn(12, 4, 2, 2)
    asked = []

    def bbox_forward(feats, rois):
        asked.append(len(rois))
        cls_score, _ = head(features[: len(rois)])
        return dict(cls_score=cls_score)

    sampler = OHEMSampler(
        num=4,
        pos_fraction=0.5,
        context=SimpleNamespace(bbox_head=head, _bbox_forward=bbox_forward),
        add_gt_as_proposals=False,
    )
    # Six proposals are positives of classes 0, 2, 0, ...; six are background.
    assigned = torch.tensor([1, 2, 1, 2, 1, 2, 0, 0, 0, 0, 0, 0])
    classes = torch.tensor([-1, 0, 2])[assigned]
    before = {k: v.clone() for k, v in head.named_buffers()}
    result = sampler.sample(
        SimpleNamespace(gt_inds=assigned, labels=classes),
        InstanceData(priors=RoIHead.rois_of(12)[:, 1:]),
        InstanceData(bboxes=BOXES, labels=torch.tensor([0, 2])),
        feats=None,
    )
    assert asked == [6, 6]
    assert (len(result.pos_inds), len(result.neg_inds)) == (2, 2)
    with torch.no_grad():
        cls_score, _ = head(features[:6])
        rows = head.loss_cls(cls_score, classes[:6], reduction_override="none")
    assert sorted(result.pos_inds.tolist()) == sorted(rows.topk(2).indices.tolist())
    assert all(torch.equal(v, before[k]) for k, v in head.named_buffers())


@each_dense
def test_paa_gets_a_loss_of_each_element(case):
    head = MODELS.build(
        ConfigDict(
            type="PAAHead",
            num_classes=NUM_CLASSES,
            in_channels=4,
            feat_channels=4,
            stacked_convs=1,
            norm_cfg=None,
            reg_decoded_bbox=True,
            loss_cls=case.config,
            loss_bbox=dict(type="GIoULoss"),
        )
    )
    loss = case.start(head.loss_cls)
    logits = torch.randn(6, NUM_CLASSES)
    boxes, labels = BOXES.repeat(3, 1), torch.tensor([0, 3, 2, 3, 1, 3])
    positive = torch.tensor([0, 2, 4])
    (found,) = head.get_pos_loss(
        [boxes],
        logits,
        torch.zeros(6, 4),
        labels,
        torch.ones(6),
        boxes,
        torch.ones(6),
        positive,
    )
    rows = loss(logits[positive], labels[positive], reduction_override="none")
    torch.testing.assert_close(found, rows.sum(1))


@each
def test_cascade_refines_by_the_best_foreground_class(case):
    head = RoIHead(case.config)
    case.start(head.head.loss_cls)
    logits = known_logits(case, head)
    if not case.sigmoid:
        logits[:, -1] += 20  # surely background
    wanted = case.probabilities(logits).argmax(1)
    assert len(wanted.unique()) > 1
    # The delta of class c moves a box by 0.1 (c + 1) of its width.
    deltas = torch.zeros(head.candidates, NUM_CLASSES, 4)
    deltas[..., 0] = torch.arange(1.0, NUM_CLASSES + 1)
    background = torch.full((head.candidates,), NUM_CLASSES)
    (refined,) = head.head.refine_bboxes(
        [SimpleNamespace(pos_is_gt=torch.zeros(0, dtype=torch.uint8))],
        dict(
            rois=head.rois(),
            cls_score=logits,
            bbox_pred=deltas.flatten(1),
            bbox_targets=(background,),
        ),
        [IMAGE],
    )
    moved = refined.bboxes[:, 0] - head.rois()[:, 1]
    torch.testing.assert_close(moved, 0.1 * 6 * (wanted + 1.0))


def test_detr_config_of_mmdet():
    # DETRHead makes a tensor of C + 1 weights out of its two numbers.
    head = DETRHead(
        dict(
            type="imb_det.CrossEntropyLoss",
            use_sigmoid=False,
            class_weight=1.0,
            bg_cls_weight=0.1,
        )
    )
    assert all(value.isfinite() for value in head.losses().values())
    logits, labels = torch.zeros(2, 4), torch.tensor([0, 3])
    rows = head.head.loss_cls(logits, labels, reduction_override="none")
    torch.testing.assert_close(rows[1], 0.1 * rows[0])


def test_class_agnostic_masks():
    config = dict(type="imb_det.CrossEntropyLoss", use_mask=True)
    head = MaskHead(config, class_agnostic=True)
    assert head.losses()["loss_mask"].isfinite()
