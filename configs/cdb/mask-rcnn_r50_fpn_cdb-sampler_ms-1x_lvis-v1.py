_base_ = "mmdet::lvis/mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
# First a class by its difficulty, then an image: in place of repeat factors.
dataset = dict(_base_.train_dataloader.dataset.dataset, _delete_=True)
train_dataloader = dict(
    dataset=dataset,
    sampler=dict(_delete_=True, type="imb_det.CDBSampler", by="class"),
)
val_evaluator = dict(type="imb_det.LVISMetric")
test_evaluator = val_evaluator
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.ClassDifficultyHook", source="score"),
]
