_base_ = "./mask-rcnn_r50_fpn_softmax_sample1e-3_ms-1x_lvis-v1.py"
train_cfg = dict(max_epochs=24)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=24, milestones=[16, 22]),
]
