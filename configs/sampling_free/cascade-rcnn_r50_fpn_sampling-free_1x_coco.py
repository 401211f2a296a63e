_base_ = "mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
ours = "imb_det.SamplingFreeShared2FCBBoxHead"
every = dict(type="imb_det.AllSampler")
model = dict(
    rpn_head=dict(type="imb_det.SamplingFreeRPNHead"),
    roi_head=dict(
        bbox_head=[dict(head, type=ours) for head in _base_.model.roi_head.bbox_head]
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(_delete_=True, type="PseudoSampler")),
        rcnn=[dict(stage, sampler=every) for stage in _base_.model.train_cfg.rcnn],
    ),
    test_cfg=dict(rcnn=dict(score_thr=0.001)),
)
val_evaluator = test_evaluator = dict(type="imb_det.CocoMetric")
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.PriorInitHook", head="rpn_head"),
]
