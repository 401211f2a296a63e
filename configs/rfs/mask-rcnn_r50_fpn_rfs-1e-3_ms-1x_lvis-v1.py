_base_ = "mmdet::lvis/mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
# In place of the wrapper of the base, which rounds every repeat factor up.
dataset = dict(_base_.train_dataloader.dataset.dataset, _delete_=True)
train_dataloader = dict(
    dataset=dataset,
    sampler=dict(_delete_=True, type="imb_det.RepeatFactorSampler", repeat_thr=1e-3),
)
val_evaluator = dict(type="imb_det.LVISMetric")
test_evaluator = val_evaluator
custom_hooks = [dict(type="imb_det.ImbalanceHook")]
