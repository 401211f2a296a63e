_base_ = "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
model = dict(
    bbox_head=dict(
        loss_cls=dict(type="imb_det.FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25)
    )
)
val_evaluator = dict(type="imb_det.CocoMetric")
test_evaluator = val_evaluator
custom_hooks = [dict(type="imb_det.ImbalanceHook")]
