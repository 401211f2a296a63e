_base_ = "../long_tail/mask-rcnn_r50_fpn_softmax_sample1e-3_ms-2x_lvis-v1.py"
classifier = dict(type="imb_det.NormedLinear", temperature=20)
predictor = dict(type="imb_det.NormedConv2d", temperature=20)
loss_cls = dict(type="imb_det.ECMLoss")
model = dict(
    roi_head=dict(
        bbox_head=dict(cls_predictor_cfg=classifier, loss_cls=loss_cls),
        mask_head=dict(predictor_cfg=predictor),
    )
)
optim_wrapper = dict(clip_grad=dict(max_norm=5, norm_type=2))
param_scheduler = [
    dict(_base_.param_scheduler[0], start_factor=1e-4, end=10000),
    dict(_base_.param_scheduler[1], milestones=[20, 22]),
]
