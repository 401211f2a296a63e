_base_ = "./cascade-rcnn_r18_fpn_biased-sampling_longtail-digits.py"
ours = dict(
    type="imb_det.SamplingFreeShared2FCBBoxHead",
    momentum=0.99,
    cls_loss_scale=0.5,  # with 2 the boxes of the later stages get less precise
)
every = dict(type="imb_det.AllSampler")
model = dict(
    # Few objects say little about the size of a loss: average over 100 iterations.
    rpn_head=dict(type="imb_det.SamplingFreeRPNHead", momentum=0.99),
    roi_head=dict(
        bbox_head=[{**head, **ours} for head in _base_.model.roi_head.bbox_head]
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(_delete_=True, type="PseudoSampler")),
        rcnn=[dict(stage, sampler=every) for stage in _base_.model.train_cfg.rcnn],
    ),
)
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.PriorInitHook", head="rpn_head"),
    dict(type="imb_det.GradientHook"),
    dict(type="imb_det.EpochSeedHook"),
]
