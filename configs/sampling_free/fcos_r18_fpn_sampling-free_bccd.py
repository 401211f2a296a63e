_base_ = "./fcos_r18_fpn_focal_bccd.py"
model = dict(
    bbox_head=dict(
        type="imb_det.SamplingFreeFCOSHead",
        # Few objects say little about the size of a loss: average over 100 iterations.
        momentum=0.99,
        # Centerness has soft targets, so that its loss never gets small.
        regression_losses=["loss_bbox"],
        loss_cls=dict(_delete_=True, type="CrossEntropyLoss", use_sigmoid=True),
    )
)
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.PriorInitHook"),
    dict(type="imb_det.GradientHook"),
    dict(type="imb_det.EpochSeedHook"),
]
