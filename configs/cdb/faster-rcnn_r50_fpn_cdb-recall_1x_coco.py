_base_ = "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
model = dict(
    roi_head=dict(
        bbox_head=dict(loss_cls=dict(type="imb_det.CDBLoss", use_sigmoid=False))
    )
)
# The last 5,000 of the 117,266 images with boxes only tell how difficult the classes
# are. Without flips, but not by the test pipeline, which leaves boxes unresized.
train_dataloader = dict(dataset=dict(indices=112266))
pipeline = [step for step in _base_.train_pipeline if step.type != "RandomFlip"]
dataset = dict(_base_.train_dataloader.dataset, indices=-5000, pipeline=pipeline)
held_out = dict(batch_size=2, num_workers=2, dataset=dataset)
val_evaluator = dict(type="imb_det.CocoMetric")
test_evaluator = val_evaluator
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.ClassDifficultyHook", source="recall", held_out=held_out),
]
