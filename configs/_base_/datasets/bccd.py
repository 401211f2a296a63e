# Blood cells: 364 images of 640 x 480, 3 classes, PASCAL VOC form, two boxes without
# area. Link or copy the set to `data/bccd`.
_base_ = "./small_set.py"
data_root = "data/bccd/"
metainfo = dict(
    classes=("RBC", "WBC", "Platelets"),
    palette=[(220, 20, 60), (60, 60, 220), (240, 170, 30)],
)
train_dataloader = dict(
    # 73 batches make a short epoch: three passes count as one.
    dataset=dict(
        type="RepeatDataset",
        times=3,
        dataset=dict(
            type="imb_det.VOCDataset",
            data_root=data_root,
            metainfo=metainfo,
            ann_file="ImageSets/Main/trainval.txt",
            data_prefix=dict(sub_data_root=""),
            filter_cfg=dict(filter_empty_gt=True, min_size=32),
            pipeline=_base_.train_pipeline,
        ),
    ),
)
val_dataloader = dict(
    dataset=dict(
        type="imb_det.VOCDataset",
        data_root=data_root,
        metainfo=metainfo,
        ann_file="ImageSets/Main/test.txt",
        data_prefix=dict(sub_data_root=""),
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="imb_det.VOCMetric", eval_mode="area")
test_evaluator = val_evaluator
