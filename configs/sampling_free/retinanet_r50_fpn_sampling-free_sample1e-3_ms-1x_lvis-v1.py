_base_ = "../focal/retinanet_r50_fpn_focal_sample1e-3_ms-1x_lvis-v1.py"
model = dict(
    bbox_head=dict(
        type="imb_det.SamplingFreeRetinaHead",
        loss_cls=dict(_delete_=True, type="CrossEntropyLoss", use_sigmoid=True),
        # Smooth L1 with this beta is the authors' box loss.
        loss_bbox=dict(_delete_=True, type="SmoothL1Loss", beta=0.11),
    )
)
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.PriorInitHook"),
]
