_base_ = "../sampling_free/retinanet_r18_fpn_focal_bccd.py"
train_dataloader = dict(sampler=dict(_delete_=True, type="imb_det.CDBSampler"))
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.ClassDifficultyHook", source="score"),
    dict(type="imb_det.EpochSeedHook"),
]
