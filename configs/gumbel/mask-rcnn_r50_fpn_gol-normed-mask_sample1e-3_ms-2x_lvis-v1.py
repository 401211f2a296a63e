_base_ = "../long_tail/mask-rcnn_r50_fpn_softmax_sample1e-3_ms-2x_lvis-v1.py"
predictor = dict(type="imb_det.NormedConv2d", temperature=20)
loss_cls = dict(type="imb_det.GumbelLoss", drop=True)
model = dict(
    roi_head=dict(
        bbox_head=dict(loss_cls=loss_cls), mask_head=dict(predictor_cfg=predictor)
    ),
    test_cfg=dict(rcnn=dict(nms=dict(iou_threshold=0.3))),
)
