_base_ = "mmdet::yolox/yolox_s_8xb8-300e_coco.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
train_pipeline = _base_.train_pipeline
for step in train_pipeline:
    if step["type"] in ("Mosaic", "MixUp"):
        step["type"] = f"imb_det.{step['type']}"
# As many iterations as the base has; YOLOXModeSwitchHook finds ours by mmdet's names.
train_dataloader = dict(
    dataset=dict(pipeline=train_pipeline),
    sampler=dict(
        _delete_=True,
        type="imb_det.RepeatFactorSampler",
        repeat_thr=0.02,
        num_samples="dataset",
    ),
)
val_evaluator = dict(type="imb_det.CocoMetric")
test_evaluator = val_evaluator
custom_hooks = [*_base_.custom_hooks, dict(type="imb_det.ImbalanceHook")]
