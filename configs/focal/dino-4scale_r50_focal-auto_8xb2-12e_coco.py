_base_ = "mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
loss_cls = dict(type="imb_det.FocalLoss", alpha="auto")
model = dict(bbox_head=dict(loss_cls=loss_cls))
val_evaluator = dict(type="imb_det.CocoMetric")
test_evaluator = val_evaluator
custom_hooks = [dict(type="imb_det.ImbalanceHook")]
