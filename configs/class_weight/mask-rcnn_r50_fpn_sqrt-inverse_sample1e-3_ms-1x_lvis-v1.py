_base_ = "mmdet::lvis/mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1.py"
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
val_evaluator = dict(type="imb_det.LVISMetric")
test_evaluator = val_evaluator
custom_hooks = [dict(type="imb_det.ImbalanceHook")]
