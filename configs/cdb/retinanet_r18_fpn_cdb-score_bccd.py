_base_ = "../sampling_free/retinanet_r18_fpn_focal_bccd.py"
model = dict(
    bbox_head=dict(
        loss_cls=dict(
            _delete_=True, type="imb_det.CDBLoss", use_sigmoid=True, gamma=0.0
        )
    )
)
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.ClassDifficultyHook", source="score"),
    dict(type="imb_det.EpochSeedHook"),
]
