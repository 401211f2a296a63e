_base_ = "./mask-rcnn_r50_fpn_softmax-normed-mask_ms-2x_lvis-v1.py"
# Second stage: six epochs of RPN, classifier, boxes and masks.
load_from = "work_dirs/mask-rcnn_r50_fpn_softmax-normed-mask_ms-2x_lvis-v1/epoch_24.pth"
model = dict(
    backbone=dict(frozen_stages=4),
    roi_head=dict(bbox_head=dict(loss_cls=dict(type="imb_det.EBLLoss"))),
)
custom_keys = {name: dict(lr_mult=0) for name in ("neck", "shared_fcs")}
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=custom_keys))
train_cfg = dict(max_epochs=6)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=6, milestones=[3, 5]),
]
