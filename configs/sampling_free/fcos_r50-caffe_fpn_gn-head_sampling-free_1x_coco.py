_base_ = "mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
model = dict(
    bbox_head=dict(
        type="imb_det.SamplingFreeFCOSHead",
        loss_cls=dict(_delete_=True, type="CrossEntropyLoss", use_sigmoid=True),
    ),
    # Scores start near the prior; the authors keep all above a thousandth.
    test_cfg=dict(score_thr=0.001),
)
val_evaluator = dict(type="imb_det.CocoMetric")
test_evaluator = val_evaluator
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    # Every image takes the head's own assigner: one percent is near enough.
    dict(type="imb_det.PriorInitHook", max_relative_error=0.01),
]
