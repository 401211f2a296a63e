_base_ = "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
model = dict(
    roi_head=dict(
        bbox_head=dict(
            loss_cls=dict(
                type="imb_det.CrossEntropyLoss",
                use_sigmoid=False,
                class_weight="sqrt_inverse",
            )
        )
    )
)
val_evaluator = dict(type="imb_det.CocoMetric")
test_evaluator = val_evaluator
custom_hooks = [dict(type="imb_det.ImbalanceHook")]
