_base_ = "../class_weight/mask2former_r50_sqrt-inverse_rfs-1e-3_8xb2-lsj-50e_lvis-v1.py"
*steps, pack = _base_.train_pipeline
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="MultiImageMixDataset",
        dataset=dict(_base_.train_dataloader.dataset, pipeline=steps),
        pipeline=[dict(type="imb_det.RareCopyPaste", repeat_thr=1e-3), pack],
    )
)
# Rare classes are raised by pictures and by objects: weights would raise them again.
loss_cls = dict(class_weight=None)
model = dict(panoptic_head=dict(loss_cls=loss_cls))
