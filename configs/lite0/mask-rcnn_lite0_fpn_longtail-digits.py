_base_ = [
    "../_base_/models/mask-rcnn_lite0_fpn.py",
    "../_base_/datasets/longtail_digits_masks.py",
    "../_base_/schedules/schedule_4e.py",
    "../_base_/default_runtime.py",
]
# Digits are small: levels of stride 8 and 16.
strides = [8, 16]
model = dict(
    backbone=dict(out_indices=(3, 4), frozen_stages=5),
    neck=dict(in_channels=[40, 112]),
    rpn_head=dict(anchor_generator=dict(scales=[2, 3], strides=strides)),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=strides, finest_scale=32),
        bbox_head=dict(num_classes=40),
        mask_roi_extractor=dict(featmap_strides=strides, finest_scale=32),
        mask_head=dict(num_classes=40),
    ),
)
