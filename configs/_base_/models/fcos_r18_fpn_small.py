# FCOS for two CPU cores.
_base_ = "./backbone_r18_fpn_small.py"
norm_cfg = dict(type="GN", num_groups=8, requires_grad=True)
model = dict(
    type="FCOS",
    bbox_head=dict(
        type="FCOSHead",
        num_classes=80,
        in_channels=48,
        feat_channels=48,
        stacked_convs=2,
        norm_cfg=norm_cfg,
        strides=[8, 16, 32],
        regress_ranges=((-1, 64), (64, 128), (128, 1e8)),
        loss_cls=dict(
            type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0
        ),
        loss_bbox=dict(type="IoULoss", loss_weight=1.0),
        loss_centerness=dict(
            type="CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0
        ),
    ),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        score_thr=0.001,
        nms=dict(type="nms", iou_threshold=0.5),
        max_per_img=100,
    ),
)
