# For two CPU cores: a quarter of ResNet-18's channels, GroupNorm everywhere (nothing is
# pretrained), levels of stride 8, 16 and 32 only.
norm_cfg = dict(type="GN", num_groups=8, requires_grad=True)
model = dict(
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type="ResNet",
        depth=18,
        stem_channels=16,
        base_channels=16,
        num_stages=4,
        out_indices=(1, 2, 3),
        frozen_stages=-1,
        norm_cfg=norm_cfg,
        norm_eval=False,
        style="pytorch",
        init_cfg=None,
    ),
    neck=dict(
        type="FPN",
        in_channels=[32, 64, 128],
        out_channels=48,
        num_outs=3,
        norm_cfg=norm_cfg,
    ),
)
