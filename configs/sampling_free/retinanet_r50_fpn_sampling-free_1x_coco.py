_base_ = "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
model = dict(
    bbox_head=dict(
        type="imb_det.SamplingFreeRetinaHead",
        loss_cls=dict(_delete_=True, type="CrossEntropyLoss", use_sigmoid=True),
        # The authors' box loss: units of 0.1 and 0.2, mean over the coordinates.
        bbox_coder=dict(target_stds=[0.1, 0.1, 0.2, 0.2]),
        loss_bbox=dict(type="SmoothL1Loss", beta=0.11, loss_weight=0.25),
    ),
    # Scores start near the prior; the authors keep all above a thousandth.
    test_cfg=dict(score_thr=0.001),
)
val_evaluator = dict(type="imb_det.CocoMetric")
test_evaluator = val_evaluator
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.PriorInitHook"),
]
