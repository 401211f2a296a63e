_base_ = "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
train_dataloader = dict(sampler=dict(_delete_=True, type="imb_det.CDBSampler"))
val_evaluator = dict(type="imb_det.CocoMetric")
test_evaluator = val_evaluator
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.ClassDifficultyHook", source="score"),
]
