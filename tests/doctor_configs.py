"""Small configs of plain mmdet that are in order, for traps to be planted in."""

import copy

from mmengine.config import Config

from imb_det.checks import ALL_CHECKS, run_checks
from imb_det.doctor.building import build_context
from imb_det.doctor.config_checks import CONFIG_CHECKS
from tests import toys

PRELUDE = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
]
OURS = [dict(type="imb_det.ImbalanceHook")]


def examine_config(config):
    """Return what the doctor has built and found, but for what is about data alone."""
    context, found = build_context(config)
    return context, [*found, *run_checks(context, (*ALL_CHECKS, *CONFIG_CHECKS))]


def sound_config(root, model=None, **changes):
    """Return the config of a training that nothing is wrong with.

    Args:
        root: Folder of ``toys.write_coco``.
        model: Config of the model. Default: a RetinaNet.
        **changes: What is merged into it.
    """
    quick = dict(serialize_data=False)  # which collects garbage
    flip = dict(type="RandomFlip", prob=0.5)
    train = toys.coco_dataset_config(root, [toys.RESIZE, flip], **quick)
    val = toys.coco_dataset_config(root, [toys.RESIZE], test_mode=True, **quick)
    loader = dict(batch_size=2, num_workers=0, persistent_workers=False)
    config = dict(
        default_scope="mmdet",
        model=copy.deepcopy(model) or toys.retinanet_config().to_dict(),
        train_dataloader=dict(
            **loader,
            sampler=dict(type="DefaultSampler", shuffle=True),
            dataset=train,
        ),
        val_dataloader=dict(
            **loader,
            sampler=dict(type="DefaultSampler", shuffle=False),
            dataset=val,
        ),
        val_evaluator=dict(type="CocoMetric", ann_file=f"{root}/ann.json"),
        val_cfg=dict(type="ValLoop"),
        train_cfg=dict(type="EpochBasedTrainLoop", max_epochs=4, val_interval=1),
        optim_wrapper=dict(
            type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01, momentum=0.9)
        ),
        param_scheduler=[
            dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=2),
            dict(type="MultiStepLR", by_epoch=True, begin=0, end=4, milestones=[3]),
        ],
        default_hooks=dict(
            logger=dict(type="LoggerHook", interval=1),
            param_scheduler=dict(type="ParamSchedulerHook"),
            checkpoint=dict(type="CheckpointHook", interval=1),
            sampler_seed=dict(type="DistSamplerSeedHook"),
        ),
    )
    cfg = Config(config)
    cfg.merge_from_dict(changes)
    return cfg


def faster_rcnn(num_classes=3):
    """Configure a Faster R-CNN that takes milliseconds."""
    one = toys.retinanet_config().to_dict()
    assigner = dict(
        type="MaxIoUAssigner",
        pos_iou_thr=0.5,
        neg_iou_thr=0.5,
        min_pos_iou=0.5,
        match_low_quality=False,
    )
    coder = dict(type="DeltaXYWHBBoxCoder", target_stds=[0.1, 0.1, 0.2, 0.2])
    return dict(
        type="FasterRCNN",
        data_preprocessor=one["data_preprocessor"],
        backbone=one["backbone"],
        neck=one["neck"],
        rpn_head=dict(
            type="RPNHead",
            in_channels=8,
            feat_channels=8,
            anchor_generator=dict(
                type="AnchorGenerator",
                scales=[4],
                ratios=[0.5, 1.0, 2.0],
                strides=[8, 16, 32],
            ),
            loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=True),
            loss_bbox=dict(type="L1Loss"),
        ),
        roi_head=dict(
            type="StandardRoIHead",
            bbox_roi_extractor=dict(
                type="SingleRoIExtractor",
                roi_layer=dict(type="RoIAlign", output_size=7, sampling_ratio=0),
                out_channels=8,
                featmap_strides=[8, 16, 32],
            ),
            bbox_head=dict(
                type="Shared2FCBBoxHead",
                in_channels=8,
                fc_out_channels=16,
                num_classes=num_classes,
                bbox_coder=coder,
                loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=False),
                loss_bbox=dict(type="L1Loss"),
            ),
        ),
        train_cfg=dict(
            rpn=dict(
                assigner=dict(
                    type="MaxIoUAssigner",
                    pos_iou_thr=0.7,
                    neg_iou_thr=0.3,
                    min_pos_iou=0.3,
                ),
                sampler=dict(
                    type="RandomSampler",
                    num=64,
                    pos_fraction=0.5,
                    add_gt_as_proposals=False,
                ),
                allowed_border=-1,
                pos_weight=-1,
                debug=False,
            ),
            rpn_proposal=dict(
                nms_pre=100,
                max_per_img=50,
                nms=dict(type="nms", iou_threshold=0.7),
                min_bbox_size=0,
            ),
            rcnn=dict(
                assigner=assigner,
                sampler=dict(type="RandomSampler", num=32, pos_fraction=0.25),
                pos_weight=-1,
                debug=False,
            ),
        ),
        test_cfg=dict(
            rpn=dict(
                nms_pre=100,
                max_per_img=50,
                nms=dict(type="nms", iou_threshold=0.7),
                min_bbox_size=0,
            ),
            rcnn=dict(
                score_thr=0.05,
                nms=dict(type="nms", iou_threshold=0.5),
                max_per_img=100,
            ),
        ),
    )
