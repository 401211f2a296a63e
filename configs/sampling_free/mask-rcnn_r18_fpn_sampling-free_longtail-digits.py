_base_ = "./mask-rcnn_r18_fpn_biased-sampling_longtail-digits.py"
rpn_loss = dict(type="SmoothL1Loss", beta=1 / 9)  # the authors' box losses
roi_loss = dict(type="SmoothL1Loss", beta=1.0)
# Few objects say little about the size of a loss: average over 100 iterations.
model = dict(
    rpn_head=dict(
        type="imb_det.SamplingFreeRPNHead", momentum=0.99, loss_bbox=rpn_loss
    ),
    roi_head=dict(
        bbox_head=dict(
            type="imb_det.SamplingFreeShared2FCBBoxHead",
            momentum=0.99,
            loss_bbox=roi_loss,
        )
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(_delete_=True, type="PseudoSampler")),
        rcnn=dict(sampler=dict(_delete_=True, type="imb_det.AllSampler")),
    ),
)
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.PriorInitHook", head="rpn_head"),
    dict(type="imb_det.GradientHook"),
    dict(type="imb_det.EpochSeedHook"),
]
