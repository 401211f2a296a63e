_base_ = "mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
rpn_loss = dict(type="SmoothL1Loss", beta=1 / 9)  # the authors' box losses
roi_loss = dict(type="SmoothL1Loss", beta=1.0)
rpn_sampler = dict(_delete_=True, type="PseudoSampler")
roi_sampler = dict(_delete_=True, type="imb_det.AllSampler")
model = dict(
    rpn_head=dict(type="imb_det.SamplingFreeRPNHead", loss_bbox=rpn_loss),
    roi_head=dict(
        bbox_head=dict(type="imb_det.SamplingFreeShared2FCBBoxHead", loss_bbox=roi_loss)
    ),
    train_cfg=dict(rpn=dict(sampler=rpn_sampler), rcnn=dict(sampler=roi_sampler)),
    test_cfg=dict(rcnn=dict(score_thr=0.001)),
)
val_evaluator = dict(type="imb_det.CocoMetric")
test_evaluator = val_evaluator
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.PriorInitHook", head="rpn_head"),
]
