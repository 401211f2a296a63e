# Partners from the whole data set, by the weights of the sampler, in place of a cache.
_base_ = "./rtmdet_tiny_cached-rfs_8xb32-300e_coco.py"
*load, mosaic, resize, crop, colours, flip, pad, _, pack = _base_.train_pipeline
others = [resize, crop, colours, flip, pad]
size = dict(img_scale=(640, 640), ratio_range=(1.0, 1.0))
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="MultiImageMixDataset",
        dataset=dict(_base_.train_dataloader.dataset, pipeline=load),
        pipeline=[
            dict(type="imb_det.Mosaic", img_scale=(640, 640), pad_val=114.0),
            *others,
            dict(type="imb_det.MixUp", pad_val=114.0, **size),
            pack,
        ],
    )
)
# mmdet's hook knows nothing of the wrapper.
custom_hooks = [
    _base_.custom_hooks[0],
    dict(
        type="imb_det.PipelineSwitchHook",
        switch_epoch=280,
        switch_pipeline=_base_.train_pipeline_stage2[2:],
    ),
    dict(type="imb_det.ImbalanceHook"),
]
