# 40 classes (digit x colour) with a Zipf tail; `tools/make_longtail_digits.py`.
_base_ = "./small_set.py"
data_root = "data/longtail_digits/"
metainfo = dict(
    classes=tuple(
        f"{digit}_{colour}"
        for digit in range(10)
        for colour in ("red", "yellow", "green", "blue")
    )
)
# A digit in the mirror is another character, or none.
train_pipeline = [s for s in _base_.train_pipeline if s.type != "RandomFlip"]
train_dataloader = dict(
    dataset=dict(
        type="imb_det.CocoDataset",
        data_root=data_root,
        metainfo=metainfo,
        ann_file="annotations/train.json",
        data_prefix=dict(img="JPEGImages/"),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        type="imb_det.CocoDataset",
        data_root=data_root,
        metainfo=metainfo,
        ann_file="annotations/val.json",
        data_prefix=dict(img="JPEGImages/"),
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type="imb_det.CocoMetric",
    ann_file=data_root + "annotations/val.json",
    metric="bbox",
)
test_evaluator = val_evaluator
