_base_ = [
    "../_base_/models/fcos_r18_fpn_small.py",
    "../_base_/datasets/bccd.py",
    "../_base_/schedules/schedule_8e.py",
    "../_base_/default_runtime.py",
]
# Cells overlap: points in the corner of a box are often on another cell.
model = dict(bbox_head=dict(num_classes=3, center_sampling=True))
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.GradientHook"),
    dict(type="imb_det.EpochSeedHook"),
]
