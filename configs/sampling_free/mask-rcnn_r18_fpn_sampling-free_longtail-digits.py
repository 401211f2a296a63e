_base_ = "./mask-rcnn_r18_fpn_biased-sampling_longtail-digits.py"
model = dict(
    # Few objects say little about the size of a loss: average over 100 iterations.
    rpn_head=dict(type="imb_det.SamplingFreeRPNHead", momentum=0.99),
    roi_head=dict(
        bbox_head=dict(type="imb_det.SamplingFreeShared2FCBBoxHead", momentum=0.99)
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
