_base_ = [
    "mmdet::_base_/models/mask-rcnn_r50_fpn.py",
    "mmdet::common/lsj-100e_coco-instance.py",
]
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
image_size = (1024, 1024)
model = dict(
    data_preprocessor=dict(
        # Large-scale jittering leaves small images, which are padded.
        batch_augments=[dict(type="BatchFixedSizePad", size=image_size, pad_mask=True)]
    )
)
*steps, pack = _base_.train_pipeline
# 1e-3, LVIS's threshold, is below every class of COCO.
rare = dict(repeat_thr=0.02)
train_dataloader = dict(
    # Four times the data set an epoch, as `RepeatDataset` of the base shows.
    sampler=dict(
        _delete_=True,
        type="imb_det.RepeatFactorSampler",
        num_samples=4 * 117266,
        **rare,
    ),
    dataset=dict(
        _delete_=True,
        type="MultiImageMixDataset",
        dataset=dict(_base_.train_dataloader.dataset.dataset, pipeline=steps),
        pipeline=[dict(type="imb_det.RareCopyPaste", **rare), pack],
    ),
)
val_evaluator = dict(type="imb_det.CocoMetric")
test_evaluator = val_evaluator
custom_hooks = [dict(type="imb_det.ImbalanceHook")]
