_base_ = "../focal/retinanet_r50_fpn_focal_sample1e-3_ms-1x_lvis-v1.py"
model = dict(bbox_head=dict(loss_cls=dict(type="imb_det.EqualizedFocalLoss")))
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
train_cfg = dict(max_epochs=24)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=24, milestones=[16, 22]),
]
