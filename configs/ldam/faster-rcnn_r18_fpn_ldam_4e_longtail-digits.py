_base_ = "../long_tail/faster-rcnn_r18_fpn_softmax_4e_longtail-digits.py"
# The loss has the scale, and wants cosines: no temperature, no bias.
classifier = dict(type="imb_det.NormedLinear", temperature=1, bias=False)
loss_cls = dict(type="imb_det.LDAMLoss")
model = dict(
    roi_head=dict(bbox_head=dict(cls_predictor_cfg=classifier, loss_cls=loss_cls))
)
