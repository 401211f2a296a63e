_base_ = "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
# The threshold of LVIS, 1e-3, is below every class of COCO. As many iterations as the
# base has, so that the schedule stays what it is.
train_dataloader = dict(
    sampler=dict(
        _delete_=True,
        type="imb_det.RepeatFactorSampler",
        repeat_thr=0.02,
        num_samples=117266,
    )
)
val_evaluator = dict(type="imb_det.CocoMetric")
test_evaluator = val_evaluator
custom_hooks = [dict(type="imb_det.ImbalanceHook")]
