_base_ = "mmdet::yolox/yolox_nano_8xb8-300e_coco.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
loss_cls = dict(type="imb_det.CrossEntropyLoss", class_weight="sqrt_inverse")
model = dict(bbox_head=dict(loss_cls=loss_cls))
val_evaluator = dict(type="imb_det.CocoMetric")
test_evaluator = val_evaluator
custom_hooks = [*_base_.custom_hooks, dict(type="imb_det.ImbalanceHook")]
