# Two trainings of some minutes on the embedded digits, side by side on two cores: one
# plain, and one with what helps most.
seeds = [0]
work_dir = "work_dirs/quickstart"
_data = "data/longtail_digits/annotations/"
datasets = dict(
    digits=dict(
        title="Handwritten digits, long-tailed",
        config="configs/lite0/faster-rcnn_lite0_fpn_longtail-digits.py",
        ann_file=_data + "val.json",
        train_ann=_data + "train.json",
        options={
            "train_cfg.max_epochs": 2,
            "train_cfg.val_interval": 1000,  # the test comes after the training
            "param_scheduler.1.end": 2,
            "param_scheduler.1.T_max": 2,
        },
    )
)
_sampler = dict(
    _delete_=True,
    type="imb_det.RepeatFactorSampler",
    repeat_thr="auto",
    num_samples="dataset",
)
_cosine = dict(type="imb_det.NormedLinear", temperature=20)
methods = dict(
    plain=dict(title="plain training"),
    rfs_cosine=dict(
        title="RFS and a cosine classifier",
        options={
            "train_dataloader.sampler": _sampler,
            "model.roi_head.bbox_head.cls_predictor_cfg": _cosine,
        },
    ),
)
