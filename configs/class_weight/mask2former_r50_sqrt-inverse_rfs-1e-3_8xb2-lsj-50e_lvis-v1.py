_base_ = "./mask2former_r50_sqrt-inverse_8xb2-lsj-50e_coco.py"
model = dict(
    panoptic_head=dict(num_things_classes=1203),
    panoptic_fusion_head=dict(num_things_classes=1203),
    test_cfg=dict(max_per_image=300),
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
    metric=["bbox", "segm"],
)
test_evaluator = val_evaluator
