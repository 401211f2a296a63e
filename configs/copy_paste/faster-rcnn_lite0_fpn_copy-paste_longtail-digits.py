# Digits are cut along their masks, which the detector itself does not need.
_base_ = "../lite0/faster-rcnn_lite0_fpn_longtail-digits.py"
load, _, *others, pack = _base_.train_pipeline
steps = [load, dict(type="LoadAnnotations", with_bbox=True, with_mask=True), *others]
paste = dict(type="imb_det.RareCopyPaste", repeat_thr="auto", flip_prob=0)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="MultiImageMixDataset",
        dataset=dict(_base_.train_dataloader.dataset, pipeline=steps),
        pipeline=[paste, pack],
    )
)
model = dict(backbone=dict(frozen_cache=None))  # images are others each time
