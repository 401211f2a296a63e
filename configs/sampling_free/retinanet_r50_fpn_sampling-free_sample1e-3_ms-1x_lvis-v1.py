_base_ = "../focal/retinanet_r50_fpn_focal_sample1e-3_ms-1x_lvis-v1.py"
model = dict(
    bbox_head=dict(
        type="imb_det.SamplingFreeRetinaHead",
        loss_cls=dict(_delete_=True, type="CrossEntropyLoss", use_sigmoid=True),
        # The authors' box loss: units of 0.1 and 0.2, mean over the coordinates.
        bbox_coder=dict(target_stds=[0.1, 0.1, 0.2, 0.2]),
        loss_bbox=dict(type="SmoothL1Loss", beta=0.11, loss_weight=0.25),
    )
)
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.PriorInitHook"),
]
