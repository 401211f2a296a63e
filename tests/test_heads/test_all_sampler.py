"""Proposals without sampling: none is dropped, and what drops some is refused."""

from types import SimpleNamespace

import pytest
import torch
from mmdet.models.roi_heads.bbox_heads import (
    DIIHead,
    MultiInstanceBBoxHead,
    SABLHead,
    Shared2FCBBoxHead,
)
from mmdet.registry import TASK_UTILS
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData

from imb_det.checks import check_samplers
from imb_det.core import CheckContext, raise_findings
from imb_det.heads import GuidedBBoxHead
from imb_det.hooks import ImbalanceHook
from imb_det.task_modules import AllSampler
from tests import toys
from tests.test_heads.guided_cases import CASES
from tests.toys import MODELS

ROI_HEAD = "imb_det.SamplingFreeShared2FCBBoxHead"


@pytest.mark.parametrize("add_gt", [True, False, None])
def test_keeps_everything_but_what_is_ignored(add_gt):
    assigner = TASK_UTILS.build(
        dict(type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.3, min_pos_iou=0.5)
    )
    settings = {} if add_gt is None else dict(add_gt_as_proposals=add_gt)
    sampler = TASK_UTILS.build(dict(type="imb_det.AllSampler", **settings))
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(1500, 2, generator=generator) * 40
    proposals = torch.cat([corners, corners + 20], 1)
    truth = InstanceData(
        bboxes=torch.tensor([[10.0, 10, 30, 30], [300, 300, 310, 310]]),
        labels=torch.tensor([1, 0]),
    )
    priors = InstanceData(priors=proposals)
    assigned = assigner.assign(priors, truth)
    ignored = int((assigned.gt_inds < 0).sum())
    positive = int((assigned.gt_inds > 0).sum())
    assert ignored > 0
    assert positive > 0
    result = sampler.sample(assigned, priors, truth)
    added = 0 if add_gt is False else 2  # the default adds them
    assert len(result.pos_priors) == positive + added
    assert len(result.pos_priors) + len(result.neg_priors) == 1500 - ignored + added
    assert int(result.pos_is_gt.sum()) == added


def roi_head(sampler, stages=None, head=ROI_HEAD):
    """Build a RoI head, or a cascade of as many stages, on top of one sampler each."""
    box_head = dict(
        type=head, in_channels=4, fc_out_channels=8, roi_feat_size=2, num_classes=3
    )
    assigner = dict(
        type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5
    )
    train = dict(assigner=assigner, sampler=sampler, pos_weight=-1, debug=False)
    config = dict(
        type="StandardRoIHead",
        bbox_roi_extractor=dict(
            type="SingleRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=2),
            out_channels=4,
            featmap_strides=[8],
        ),
        bbox_head=box_head,
        train_cfg=train,
    )
    if stages is not None:
        every = dict(train, sampler=dict(type="imb_det.AllSampler"))
        config.update(
            type="CascadeRoIHead",
            num_stages=stages,
            stage_loss_weights=[1] * stages,
            bbox_head=[box_head] * stages,
            train_cfg=[every] * (stages - 1) + [train],
        )
    model = torch.nn.Module()
    model.roi_head = MODELS.build(ConfigDict(config))
    return model


def refuse_samplers(model):
    raise_findings(check_samplers(CheckContext(model, dict(train=None))))


RANDOM = dict(type="RandomSampler", num=512, pos_fraction=0.25)
OHEM = dict(type="OHEMSampler", num=512, pos_fraction=0.25)


@pytest.mark.parametrize("sampler", [RANDOM, OHEM], ids=["random", "hard"])
@pytest.mark.parametrize("stages", [None, 2])
def test_samplers_that_drop_are_refused(sampler, stages):
    model = roi_head(sampler, stages)
    message = rf"SamplingFreeShared2FCBBoxHead.*{sampler['type']}.*imb_det\.AllSampler"
    with pytest.raises(ValueError, match=message):
        refuse_samplers(model)
    # Without the hook it is the first iteration that tells.
    head = model.roi_head.bbox_head
    head = head if stages is None else head[-1]
    with pytest.raises(ValueError, match=message):
        head.loss_and_target(
            None, None, None, [], rcnn_train_cfg=ConfigDict(sampler=sampler)
        )


def test_the_hook_of_every_training_checks_samplers(tmp_path):
    toys.write_coco(tmp_path)
    dataset = toys.build_dataset(toys.coco_dataset_config(tmp_path))
    loader = SimpleNamespace(dataset=dataset)
    runner = SimpleNamespace(
        model=roi_head(RANDOM),
        iter=0,
        param_schedulers=None,
        train_dataloader=loader,
        val_loop=None,
    )
    with pytest.raises(ValueError, match=r"RandomSampler.*imb_det\.AllSampler"):
        ImbalanceHook(check_images=False).before_train(runner)


def test_settings_left_over_from_another_sampler_are_named():
    with pytest.raises(TypeError, match=r"\['num', 'pos_fraction'\].*_delete_=True"):
        TASK_UTILS.build(dict(RANDOM, type="imb_det.AllSampler"))


def test_delete_in_the_list_of_a_cascade_is_explained():
    cfg = Config(dict(rcnn=[RANDOM, RANDOM]))
    sampler = dict(_delete_=True, type="imb_det.AllSampler")
    cfg.merge_from_dict(dict(rcnn=[sampler] * 2))
    with pytest.raises(TypeError, match=r"\['_delete_'\].*cascade without `_delete_`"):
        TASK_UTILS.build(cfg.rcnn[0])


class Everything(AllSampler):
    """As a config in Python has it: by class."""


@pytest.mark.parametrize("stages", [None, 3])
@pytest.mark.parametrize(
    "kind", ["imb_det.AllSampler", "PseudoSampler", AllSampler, Everything]
)
def test_samplers_that_keep_all_pass(stages, kind):
    refuse_samplers(roi_head(dict(type=kind), stages))


def test_a_roi_head_without_boxes_has_nothing_to_check():
    model = roi_head(RANDOM)
    del model.roi_head.bbox_head
    refuse_samplers(model)


def test_other_heads_take_what_they_like():
    refuse_samplers(roi_head(RANDOM, head="Shared2FCBBoxHead"))
    refuse_samplers(toys.build_model(toys.retinanet_config()))


@pytest.mark.parametrize("missing", ["with_cls", "with_reg"])
def test_a_head_without_both_branches_is_refused(missing):
    config = dict(type="imb_det.SamplingFreeConvFCBBoxHead", num_shared_fcs=1)
    with pytest.raises(ValueError, match=f"{missing}=False"):
        MODELS.build({**config, missing: False})


def test_a_head_with_branches_of_its_own_is_refused():
    class Guided(GuidedBBoxHead, SABLHead):
        pass

    with pytest.raises(ValueError, match=r"Guided scales.*with_cls=False"):
        Guided(num_classes=3)


@pytest.mark.parametrize(
    ("base", "settings", "method"),
    [
        (DIIHead, {}, "DIIHead.loss_and_target"),
        (
            MultiInstanceBBoxHead,
            dict(num_classes=1, num_shared_fcs=1, reg_class_agnostic=True),
            "MultiInstanceBBoxHead.loss",
        ),
    ],
)
def test_a_head_with_losses_of_its_own_is_refused(base, settings, method):
    class Guided(GuidedBBoxHead, base):
        pass

    with pytest.raises(TypeError, match=f"Guided cannot be guided.*`{method}`"):
        Guided(**settings)


class AddingHead(Shared2FCBBoxHead):
    def loss(self, *args, **kwargs):
        return {**super().loss(*args, **kwargs), "loss_more": torch.zeros(1)}


def test_a_head_that_adds_to_the_losses_says_that_they_are_averaged_alike():
    class Guided(GuidedBBoxHead, AddingHead):
        pass

    class Stating(Guided):
        losses_averaged_over = "own_rank"

    class Wrong(Guided):
        losses_averaged_over = "all_ranks"

    settings = dict(num_classes=3, in_channels=4, fc_out_channels=8, roi_feat_size=2)
    Stating(**settings)
    message = r"`AddingHead\.loss`.* BBoxHead's.*`losses_averaged_over = 'own_rank'`"
    with pytest.raises(TypeError, match=message):
        Guided(**settings)
    with pytest.raises(TypeError, match=r"'all_ranks': this mixin takes .* for itself"):
        Wrong(**settings)


@pytest.mark.parametrize("kind", ["CrossEntropyLoss", "FocalLoss"])
def test_a_sigmoid_that_mmdet_predicts_with_a_softmax_is_refused(kind):
    loss = dict(type=kind, use_sigmoid=True)
    message = rf"`loss_cls` is {kind}.*imb_det\.CrossEntropyLoss"
    with pytest.raises(ValueError, match=message):
        CASES["Shared2FCBBoxHead"].build(loss_cls=loss)


@pytest.mark.parametrize("name", ["RetinaHead", "RPNHead"])
def test_dense_box_losses_with_a_divisor_of_their_own_are_refused(name):
    with pytest.raises(ValueError, match="`loss_bbox` is GHMR, which divides"):
        CASES[name].build(loss_bbox=dict(type="GHMR"))


@pytest.mark.parametrize("kind", ["GHMR", "imb_det.GHMRLoss"])
def test_a_box_loss_with_a_divisor_of_its_own_is_refused(kind):
    name = kind.rpartition(".")[2]
    with pytest.raises(ValueError, match=f"`loss_bbox` is {name}, which divides"):
        CASES["Shared2FCBBoxHead"].build(loss_bbox=dict(type=kind))


def test_a_loss_of_several_parts_is_refused():
    case = CASES["Shared2FCBBoxHead"]
    head = case.build(loss_cls=dict(type="SeesawLoss", num_classes=3))
    inputs = case.inputs(head, ["two"])
    with pytest.raises(TypeError, match=r"loss_cls_classes.*but not \['loss_cls'\]"):
        case.losses(head, inputs, ["two"])


def test_losses_of_single_boxes_are_those_of_mmdet():
    # Samplers ask for them, to compare boxes: unscaled, and counted nowhere.
    case = CASES["Shared2FCBBoxHead"]
    head, plain = case.build(), case.build(case.kind)
    (scores,), (boxes,) = case.inputs(head, ["two"])
    before = {name: value.clone() for name, value in head.state_dict().items()}
    found, wanted = (
        h.loss(scores, boxes, *case.targets(["two"]), reduction_override="none")
        for h in (head, plain)
    )
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(found[name], value)
    for name, value in head.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_rank_without_proposals_still_takes_part():
    case = CASES["Shared2FCBBoxHead"]
    head = case.build()
    scores = torch.zeros(0, 4, requires_grad=True)
    boxes = torch.zeros(0, 12, requires_grad=True)
    losses = head.loss(
        scores,
        boxes,
        torch.zeros(0, 5),
        torch.zeros(0, dtype=torch.long),
        torch.zeros(0),
        torch.zeros(0, 4),
        torch.zeros(0, 4),
    )
    assert {"loss_cls", "loss_bbox", "guided_ratio"} <= losses.keys()
    total = losses["loss_cls"] + losses["loss_bbox"]
    assert total.item() == 0
    total.backward()
    assert losses["guided_ratio"].item() == 1


@pytest.mark.parametrize("name", ["faster-rcnn", "mask-rcnn", "cascade-rcnn"])
def test_configs_keep_all_proposals(name):
    config = Config.fromfile(
        f"configs/sampling_free/{name}_r50_fpn_sampling-free_1x_coco.py"
    )
    stages = config.model.train_cfg.rcnn
    for stage in stages if isinstance(stages, list) else [stages]:
        assert stage.sampler == dict(type="imb_det.AllSampler")
