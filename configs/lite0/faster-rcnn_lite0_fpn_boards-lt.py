_base_ = [
    "../_base_/models/faster-rcnn_r18_fpn_small.py",
    "../_base_/datasets/boards_lt.py",
    "../_base_/schedules/schedule_8e.py",
    "../_base_/default_runtime.py",
]
max_epochs = 24
model = dict(
    data_preprocessor=dict(mean=[127.0] * 3, std=[128.0] * 3),
    backbone=dict(
        _delete_=True,
        type="imb_det.EfficientNetLite",
        frozen_stages=5,
        frozen_cache="work_dirs/frozen_features",
    ),
    neck=dict(in_channels=[40, 112, 320]),
    rpn_head=dict(anchor_generator=dict(scales=[4, 8])),
    roi_head=dict(bbox_head=dict(num_classes=32)),
)
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type="CosineAnnealingLR",
        by_epoch=True,
        begin=0,
        end=max_epochs,
        T_max=max_epochs,
        eta_min=0,
        convert_to_iter_based=True,
    ),
]
custom_hooks = [
    dict(type="imb_det.ImbalanceHook", group_thresholds=(5, 13)),
    dict(type="imb_det.EpochSeedHook"),
]
