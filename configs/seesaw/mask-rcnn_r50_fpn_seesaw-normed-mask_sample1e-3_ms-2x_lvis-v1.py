_base_ = "../long_tail/mask-rcnn_r50_fpn_softmax_sample1e-3_ms-2x_lvis-v1.py"
classifier = dict(type="imb_det.NormedLinear", temperature=20)
predictor = dict(type="imb_det.NormedConv2d", temperature=20)
loss_cls = dict(type="imb_det.SeesawLoss")
model = dict(
    roi_head=dict(
        bbox_head=dict(cls_predictor_cfg=classifier, loss_cls=loss_cls),
        mask_head=dict(predictor_cfg=predictor),
    )
)
