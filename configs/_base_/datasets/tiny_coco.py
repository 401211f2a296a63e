# 50 training and 50 validation images of COCO 2017: enough to see that everything runs,
# far too few to learn from. Link or copy the set to `data/tiny_coco`.
_base_ = "./small_set.py"
data_root = "data/tiny_coco/"
train_dataloader = dict(
    # 13 batches make a short epoch: ten passes count as one.
    dataset=dict(
        type="RepeatDataset",
        times=10,
        dataset=dict(
            type="imb_det.CocoDataset",
            data_root=data_root,
            ann_file="annotations/instances_train2017.json",
            data_prefix=dict(img="train2017/"),
            filter_cfg=dict(filter_empty_gt=True, min_size=32),
            pipeline=_base_.train_pipeline,
        ),
    ),
)
val_dataloader = dict(
    dataset=dict(
        type="imb_det.CocoDataset",
        data_root=data_root,
        ann_file="annotations/instances_val2017.json",
        data_prefix=dict(img="val2017/"),
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type="imb_det.CocoMetric",
    ann_file=data_root + "annotations/instances_val2017.json",
    metric="bbox",
)
test_evaluator = val_evaluator
