# Step by step: images as they are, then the box head from classes alike, then all from
# rare images more often.
_base_ = "./faster-rcnn_lite0_fpn_crt_boards-lt.py"
samplers = dict(
    head=None,
    tail=dict(type="imb_det.ClassAwareSampler"),
    joint=dict(type="imb_det.RepeatFactorSampler", repeat_thr="auto"),
)
train_dataloader = dict(sampler=dict(stages=dict(samplers, _delete_=True)))
warm_up, cosine, restart = _base_.param_scheduler
param_scheduler = [
    warm_up,
    dict(cosine, end=12, T_max=12),
    dict(restart, begin=12, end=24, periods=[6, 6], restart_weights=[1.0, 0.3]),
]
counting, seeds, staging, freezing = _base_.custom_hooks
lengths = dict(head=12, tail=6, joint=6)
custom_hooks = [
    counting,
    seeds,
    dict(staging, stages=[dict(name=n, epochs=e) for n, e in lengths.items()]),
    dict(freezing, stages=dict(tail=dict(train_only=["roi_head.bbox_head"]))),
]
