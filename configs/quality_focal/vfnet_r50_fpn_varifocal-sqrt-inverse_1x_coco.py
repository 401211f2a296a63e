_base_ = "mmdet::vfnet/vfnet_r50_fpn_1x_coco.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
loss_cls = dict(type="imb_det.VarifocalLoss", class_weight="sqrt_inverse")
model = dict(bbox_head=dict(loss_cls=loss_cls))
val_evaluator = dict(type="imb_det.CocoMetric")
test_evaluator = val_evaluator
custom_hooks = [dict(type="imb_det.ImbalanceHook")]
