_base_ = "mmdet::yolox/yolox_nano_8xb8-300e_coco.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
loss_cls = dict(
    _delete_=True,
    type="imb_det.EqualizedQualityFocalLoss",
    use_sigmoid=True,
    reduction="sum",
    scale=4.0,
)
model = dict(
    bbox_head=dict(num_classes=1203, loss_cls=loss_cls),
    test_cfg=dict(score_thr=1e-4, max_per_img=300),
)
mosaic, *others = _base_.train_pipeline
mosaic["type"] = "imb_det.Mosaic"
lvis = dict(type="LVISV1Dataset", data_root="data/lvis_v1/", data_prefix=dict(img=""))
train_dataloader = dict(
    dataset=dict(
        dataset=dict(ann_file="annotations/lvis_v1_train.json", **lvis),
        pipeline=[mosaic, *others],
    ),
    sampler=dict(_delete_=True, type="imb_det.RepeatFactorSampler", repeat_thr=1e-3),
)
val_dataloader = dict(dataset=dict(ann_file="annotations/lvis_v1_val.json", **lvis))
test_dataloader = val_dataloader
val_evaluator = dict(
    _delete_=True,
    type="imb_det.LVISMetric",
    ann_file="data/lvis_v1/annotations/lvis_v1_val.json",
    metric="bbox",
)
test_evaluator = val_evaluator
custom_hooks = [*_base_.custom_hooks, dict(type="imb_det.ImbalanceHook")]
