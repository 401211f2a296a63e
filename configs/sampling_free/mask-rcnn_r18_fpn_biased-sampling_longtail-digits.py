_base_ = [
    "../_base_/models/mask-rcnn_r18_fpn_small.py",
    "../_base_/datasets/longtail_digits_masks.py",
    "../_base_/schedules/schedule_8e.py",
    "../_base_/default_runtime.py",
]
# The authors' box losses: L1, whose gradient does not fade, costs the masks.
rpn_loss = dict(type="SmoothL1Loss", beta=1 / 9)
roi_loss = dict(type="SmoothL1Loss", beta=1.0)
model = dict(
    rpn_head=dict(loss_bbox=rpn_loss),
    roi_head=dict(
        bbox_head=dict(num_classes=40, loss_bbox=roi_loss),
        mask_head=dict(num_classes=40),
    ),
)
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.GradientHook"),
    dict(type="imb_det.EpochSeedHook"),
]
