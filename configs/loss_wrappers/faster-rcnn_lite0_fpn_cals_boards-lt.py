_base_ = "../lite0/faster-rcnn_lite0_fpn_boards-lt.py"
loss_cls = dict(type="imb_det.CALSLoss", loss=dict(type="imb_det.CrossEntropyLoss"))
model = dict(
    roi_head=dict(bbox_head=dict(loss_cls=dict(loss_cls, _delete_=True))),
)
# Every tenth of the 322 training images only tells the multipliers of the classes; 27
# epochs of the others are as many iterations as 24 of all.
max_epochs = 27
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
warm_up, cosine = _base_.param_scheduler
param_scheduler = [warm_up, dict(cosine, end=max_epochs, T_max=max_epochs)]
train_dataloader = dict(dataset=dict(indices=[i for i in range(322) if i % 10 != 6]))
held_out = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(_base_.train_dataloader.dataset, indices=[*range(6, 322, 10)]),
)
custom_hooks = [
    *_base_.custom_hooks,
    dict(type="imb_det.CALSHook", held_out=held_out),
]
