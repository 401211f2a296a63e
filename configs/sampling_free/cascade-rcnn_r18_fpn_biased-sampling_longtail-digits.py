_base_ = [
    "../_base_/models/cascade-rcnn_r18_fpn_small.py",
    "../_base_/datasets/longtail_digits.py",
    "../_base_/schedules/schedule_8e.py",
    "../_base_/default_runtime.py",
]
bbox_head = [dict(head, num_classes=40) for head in _base_.model.roi_head.bbox_head]
model = dict(roi_head=dict(bbox_head=bbox_head))
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.GradientHook"),
    dict(type="imb_det.EpochSeedHook"),
]
