_base_ = "../lite0/mask-rcnn_lite0_fpn_boards-lt.py"
*steps, pack = _base_.train_pipeline
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="MultiImageMixDataset",
        dataset=dict(_base_.train_dataloader.dataset, pipeline=steps),
        pipeline=[dict(type="imb_det.RareCopyPaste", repeat_thr="auto"), pack],
    )
)
model = dict(backbone=dict(frozen_cache=None))  # images are others each time
