_base_ = "../long_tail/mask-rcnn_r50_fpn_softmax_sample1e-3_ms-1x_lvis-v1.py"
classifier = dict(type="imb_det.NormedLinear", temperature=1, bias=False)
loss_cls = dict(type="imb_det.LDAMLoss")
model = dict(
    roi_head=dict(bbox_head=dict(cls_predictor_cfg=classifier, loss_cls=loss_cls))
)
