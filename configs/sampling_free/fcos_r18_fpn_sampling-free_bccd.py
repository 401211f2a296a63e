_base_ = "./fcos_r18_fpn_focal_bccd.py"
model = dict(
    bbox_head=dict(
        type="imb_det.SamplingFreeFCOSHead",
        loss_cls=dict(_delete_=True, type="CrossEntropyLoss", use_sigmoid=True),
    )
)
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.PriorInitHook"),
    dict(type="imb_det.GradientHook"),
    dict(type="imb_det.EpochSeedHook"),
]
