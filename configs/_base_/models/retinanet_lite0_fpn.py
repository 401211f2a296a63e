# RetinaNet on a pretrained, frozen backbone, for one CPU core; large objects alone.
_base_ = "./retinanet_r18_fpn_small.py"
model = dict(
    data_preprocessor=dict(mean=[127.0] * 3, std=[128.0] * 3),
    backbone=dict(
        _delete_=True,
        type="imb_det.EfficientNetLite",
        out_indices=(4, 5),
        frozen_stages=6,
        frozen_cache="work_dirs/frozen_features",
    ),
    neck=dict(in_channels=[112, 320], out_channels=64, num_outs=2),
    bbox_head=dict(
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(octave_base_scale=6, strides=[16, 32]),
    ),
)
