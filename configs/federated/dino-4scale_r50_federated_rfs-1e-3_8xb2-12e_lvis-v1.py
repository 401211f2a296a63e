_base_ = "mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
# The focal form, which these heads are trained with; their matching stays mmdet's.
loss_cls = dict(
    _delete_=True,
    type="imb_det.FederatedLoss",
    use_sigmoid=True,
    num=50,
    gamma=2.0,
    loss_weight=1.0,
)
model = dict(
    bbox_head=dict(num_classes=1203, loss_cls=loss_cls),
    test_cfg=dict(max_per_img=300),
)
lvis = dict(type="LVISV1Dataset", data_root="data/lvis_v1/", data_prefix=dict(img=""))
train_dataloader = dict(
    dataset=dict(ann_file="annotations/lvis_v1_train.json", **lvis),
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
custom_hooks = [dict(type="imb_det.ImbalanceHook")]
