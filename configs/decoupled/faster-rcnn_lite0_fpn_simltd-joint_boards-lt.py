# SimLTD, the third step: the classifiers of both in one, and boxes, at a twentieth of
# the rate, from classes alike.
_base_ = [
    "../_base_/models/faster-rcnn_lite0_fpn.py",
    "../_base_/datasets/boards_lt.py",
    "../_base_/schedules/schedule_8e.py",
    "../_base_/default_runtime.py",
]
model = dict(roi_head=dict(bbox_head=dict(num_classes=32)))
train_dataloader = dict(
    sampler=dict(_delete_=True, type="imb_det.ClassAwareSampler"),
)
optim_wrapper = dict(optimizer=dict(lr=5e-5))
outputs = ["roi_head.bbox_head.fc_cls", "roi_head.bbox_head.fc_reg"]
custom_hooks = [
    dict(type="imb_det.ImbalanceHook", group_thresholds=(5, 13)),
    dict(type="imb_det.EpochSeedHook"),
    dict(
        type="imb_det.StageHook",
        stages=[dict(name="joint", epochs=_base_.train_cfg.max_epochs)],
    ),
    dict(type="imb_det.FreezeHook", stages=dict(joint=dict(train_only=outputs))),
]
find_unused_parameters = True  # ranks do not wait for what is frozen
load_from = "work_dirs/simltd_joint.pth"
