# Blood cells: 364 images of 640 x 480, 3 classes, PASCAL VOC form, two boxes without
# area. Link or copy the set to `data/bccd`.
data_root = "data/bccd/"
metainfo = dict(
    classes=("RBC", "WBC", "Platelets"),
    palette=[(220, 20, 60), (60, 60, 220), (240, 170, 30)],
)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=(320, 240), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(320, 240), keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(
        type="PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
    ),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=False,  # fresh workers each epoch: resuming is exact
    sampler=dict(type="DefaultSampler", shuffle=True),
    batch_sampler=dict(type="AspectRatioBatchSampler"),
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
            pipeline=train_pipeline,
        ),
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=False,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="imb_det.VOCDataset",
        data_root=data_root,
        metainfo=metainfo,
        ann_file="ImageSets/Main/test.txt",
        data_prefix=dict(sub_data_root=""),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="imb_det.VOCMetric", eval_mode="area")
test_evaluator = val_evaluator
