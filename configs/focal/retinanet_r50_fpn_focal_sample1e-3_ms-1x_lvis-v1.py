_base_ = [
    "mmdet::_base_/models/retinanet_r50_fpn.py",
    "mmdet::_base_/datasets/lvis_v1_instance.py",
    "mmdet::_base_/schedules/schedule_1x.py",
    "mmdet::_base_/default_runtime.py",
]
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
model = dict(
    bbox_head=dict(
        num_classes=1203,
        loss_cls=dict(
            type="imb_det.FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25
        ),
    ),
    # As mmdet's Mask R-CNN for LVIS, which counts up to 300 boxes an image.
    test_cfg=dict(score_thr=0.0001, max_per_img=300),
)
optim_wrapper = dict(optimizer=dict(lr=0.01))  # RetinaNet's
# Boxes alone: RetinaNet has no use for the masks that these pipelines load.
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[1] = test_pipeline[2] = dict(type="LoadAnnotations", with_bbox=True)
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type="imb_det.LVISMetric", metric="bbox")
test_evaluator = val_evaluator
custom_hooks = [dict(type="imb_det.ImbalanceHook")]
