_base_ = "mmdet::mm_grounding_dino/lvis/grounding_dino_swin-t_finetune_16xb4_1x_lvis.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
# In place of the wrapper of the base, which rounds every repeat factor up.
dataset = dict(_base_.train_dataloader.dataset.dataset, _delete_=True)
dataset["type"] = "imb_det.ODVGDataset"
train_dataloader = dict(
    dataset=dataset,
    sampler=dict(_delete_=True, type="imb_det.RepeatFactorSampler", repeat_thr=1e-3),
)
val_evaluator = dict(type="imb_det.LVISMetric", metric="bbox", fixed_ap=True)
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best="lvis/bbox_AP"))
custom_hooks = [dict(type="imb_det.ImbalanceHook")]
