# mmdet's baseline, and the base of the losses: they change little more than `loss_cls`.
_base_ = "mmdet::lvis/mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
loss_cls = dict(_delete_=True, type="imb_det.CrossEntropyLoss")
model = dict(roi_head=dict(bbox_head=dict(loss_cls=loss_cls)))
val_evaluator = dict(type="imb_det.LVISMetric")
test_evaluator = val_evaluator
custom_hooks = [dict(type="imb_det.ImbalanceHook")]
