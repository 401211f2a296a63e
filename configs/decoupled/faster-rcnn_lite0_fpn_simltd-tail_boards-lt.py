# SimLTD, the second step: a new classifier for the other classes, at half the rate, on
# the features of the first step.
_base_ = "./faster-rcnn_lite0_fpn_simltd-head_boards-lt.py"
tail_classes = _base_.tail_classes
own = dict(metainfo=dict(_delete_=True, classes=tail_classes))
model = dict(roi_head=dict(bbox_head=dict(num_classes=len(tail_classes))))
train_dataloader = dict(dataset=own)
val_dataloader = dict(dataset=own)
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(lr=5e-4))
custom_hooks = [
    *_base_.custom_hooks,
    dict(
        type="imb_det.StageHook",
        stages=[dict(name="tail", epochs=_base_.train_cfg.max_epochs)],
    ),
    dict(
        type="imb_det.FreezeHook",
        stages=dict(tail=dict(train_only=["roi_head.bbox_head.fc_cls"])),
    ),
]
find_unused_parameters = True  # ranks do not wait for what is frozen
load_from = "work_dirs/simltd_tail.pth"
