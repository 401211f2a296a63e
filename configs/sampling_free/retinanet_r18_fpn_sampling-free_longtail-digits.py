_base_ = "./retinanet_r18_fpn_focal_longtail-digits.py"
model = dict(
    bbox_head=dict(
        type="imb_det.SamplingFreeRetinaHead",
        # Eight objects say little about the size of a loss: average it over about 100
        # iterations, else every batch with a rare class is scaled down.
        momentum=0.99,
        loss_cls=dict(_delete_=True, type="CrossEntropyLoss", use_sigmoid=True),
    )
)
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.PriorInitHook"),
    dict(type="imb_det.EpochSeedHook"),
]
