_base_ = "../long_tail/mask-rcnn_r50_fpn_softmax_ms-1x_lvis-v1.py"
# Second stage: the classifier alone, from the checkpoint of the base.
load_from = "work_dirs/mask-rcnn_r50_fpn_softmax_ms-1x_lvis-v1/epoch_12.pth"
loss_cls = dict(type="imb_det.ACSLLoss")
model = dict(
    backbone=dict(frozen_stages=4), roi_head=dict(bbox_head=dict(loss_cls=loss_cls))
)
frozen = ("neck", "rpn_head", "shared_fcs", "fc_reg", "mask_head")
custom_keys = {name: dict(lr_mult=0) for name in frozen}
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=custom_keys))
