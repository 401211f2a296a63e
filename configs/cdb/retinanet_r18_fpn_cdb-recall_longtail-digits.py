_base_ = "./retinanet_r18_fpn_cdb-score_longtail-digits.py"
# The last 150 of the 1,500 training images only tell how difficult the classes are.
# Six of the rarest classes are on none of them: they take the mean of their group.
train_dataloader = dict(dataset=dict(indices=1350))
held_out = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(_base_.train_dataloader.dataset, indices=-150),
)
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.ClassDifficultyHook", source="recall", held_out=held_out),
    dict(type="imb_det.EpochSeedHook"),
]
