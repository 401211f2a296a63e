_base_ = [
    "../_base_/models/faster-rcnn_r18_fpn_small.py",
    "../_base_/datasets/tiny_coco.py",
    "../_base_/schedules/schedule_8e.py",
    "../_base_/default_runtime.py",
]
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.GradientHook"),
    dict(type="imb_det.EpochSeedHook"),
]
