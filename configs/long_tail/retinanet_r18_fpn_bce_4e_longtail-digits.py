# The reference for losses of dense heads, and their base: they change `loss_cls` alone.
_base_ = [
    "../_base_/models/retinanet_r18_fpn_small.py",
    "../_base_/datasets/longtail_digits.py",
    "../_base_/schedules/schedule_4e.py",
    "../_base_/default_runtime.py",
]
loss_cls = dict(_delete_=True, type="imb_det.CrossEntropyLoss", use_sigmoid=True)
model = dict(bbox_head=dict(num_classes=40, loss_cls=loss_cls))
