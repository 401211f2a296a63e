_base_ = [
    "../_base_/models/mask-rcnn_r18_fpn_small.py",
    "../_base_/datasets/longtail_digits_masks.py",
    "../_base_/schedules/schedule_8e.py",
    "../_base_/default_runtime.py",
]
model = dict(
    roi_head=dict(bbox_head=dict(num_classes=40), mask_head=dict(num_classes=40))
)
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.GradientHook"),
    dict(type="imb_det.EpochSeedHook"),
]
