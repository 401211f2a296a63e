_base_ = "../long_tail/faster-rcnn_r18_fpn_softmax_4e_longtail-digits.py"
loss_cls = dict(type="imb_det.CALSLoss", loss=dict(type="imb_det.CrossEntropyLoss"))
model = dict(roi_head=dict(bbox_head=dict(loss_cls=loss_cls)))
# The last 150 of the 1,500 training images only tell the multipliers of the classes.
train_dataloader = dict(dataset=dict(indices=1350))
held_out = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(_base_.train_dataloader.dataset, indices=-150),
)
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.CALSHook", held_out=held_out),
    dict(type="imb_det.EpochSeedHook"),
]
