# Deformable DETR on a pretrained, frozen backbone, for one CPU core; large objects
# alone: levels of stride 16 and 32.
embed_dims = 64
attention = dict(embed_dims=embed_dims, num_heads=4, num_levels=2, batch_first=True)
ffn_cfg = dict(embed_dims=embed_dims, feedforward_channels=256, ffn_drop=0.0)
model = dict(
    type="DeformableDETR",
    num_queries=50,
    num_feature_levels=2,
    with_box_refine=True,
    as_two_stage=False,  # mmdet has two stages for 256 channels alone
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[127.0] * 3,
        std=[128.0] * 3,
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type="imb_det.EfficientNetLite",
        out_indices=(4, 5),
        frozen_stages=6,
        frozen_cache="work_dirs/frozen_features",
    ),
    neck=dict(
        type="ChannelMapper",
        in_channels=[112, 320],
        kernel_size=1,
        out_channels=embed_dims,
        act_cfg=None,
        norm_cfg=dict(type="GN", num_groups=16),
        num_outs=2,
    ),
    encoder=dict(
        num_layers=2,
        layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=ffn_cfg),
    ),
    decoder=dict(
        num_layers=3,
        return_intermediate=True,
        layer_cfg=dict(
            self_attn_cfg=dict(
                embed_dims=embed_dims, num_heads=4, dropout=0.0, batch_first=True
            ),
            cross_attn_cfg=attention,
            ffn_cfg=ffn_cfg,
        ),
        post_norm_cfg=None,
    ),
    positional_encoding=dict(num_feats=embed_dims // 2, normalize=True, offset=-0.5),
    bbox_head=dict(
        type="imb_det.DeformableDETRHead",
        num_classes=80,
        embed_dims=embed_dims,
        sync_cls_avg_factor=True,
        loss_cls=dict(
            type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=2.0
        ),
        loss_bbox=dict(type="L1Loss", loss_weight=5.0),
        loss_iou=dict(type="GIoULoss", loss_weight=2.0),
    ),
    train_cfg=dict(
        assigner=dict(
            type="HungarianAssigner",
            match_costs=[
                dict(type="FocalLossCost", weight=2.0),
                dict(type="BBoxL1Cost", weight=5.0, box_format="xywh"),
                dict(type="IoUCost", iou_mode="giou", weight=2.0),
            ],
        )
    ),
    test_cfg=dict(max_per_img=100),
)
