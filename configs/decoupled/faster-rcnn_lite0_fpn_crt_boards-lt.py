# cRT: the classifier alone, anew, from classes alike.
_base_ = [
    "../_base_/models/faster-rcnn_lite0_fpn.py",
    "../_base_/datasets/boards_lt.py",
    "../_base_/schedules/two_stages_24e.py",
    "../_base_/default_runtime.py",
]
model = dict(roi_head=dict(bbox_head=dict(num_classes=32)))
aware = dict(type="imb_det.ClassAwareSampler")
train_dataloader = dict(
    sampler=dict(
        _delete_=True,
        type="imb_det.StagedSampler",
        stages=dict(features=None, classifier=aware),
    )
)
fc_cls = "roi_head.bbox_head.fc_cls"
custom_hooks = [
    dict(type="imb_det.ImbalanceHook", group_thresholds=(5, 13)),
    dict(type="imb_det.EpochSeedHook"),
    dict(
        type="imb_det.StageHook",
        stages=[dict(name="features", epochs=18), dict(name="classifier", epochs=6)],
    ),
    dict(
        type="imb_det.FreezeHook",
        stages=dict(classifier=dict(train_only=[fc_cls], reinit=True)),
    ),
]
find_unused_parameters = True  # ranks do not wait for what is frozen
