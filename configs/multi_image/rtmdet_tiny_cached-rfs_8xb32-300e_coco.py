# The partners of mmdet's cached mosaics are images that the sampler has drawn before.
_base_ = "mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
train_dataloader = dict(
    sampler=dict(
        _delete_=True,
        type="imb_det.RepeatFactorSampler",
        repeat_thr=0.02,
        num_samples="dataset",
    )
)
val_evaluator = dict(type="imb_det.CocoMetric")
test_evaluator = val_evaluator
custom_hooks = [*_base_.custom_hooks, dict(type="imb_det.ImbalanceHook")]
