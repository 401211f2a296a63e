_base_ = "../sampling_free/retinanet_r18_fpn_focal_bccd.py"
# Nearly all images hold all three classes: boxes are counted, as images tell nothing,
# and still the receipt says that no sampler of images can balance these classes.
train_dataloader = dict(
    sampler=dict(
        _delete_=True,
        type="imb_det.RepeatFactorSampler",
        repeat_thr=0.5,
        by="instance",
        num_samples=876,  # as without the sampler
    )
)
