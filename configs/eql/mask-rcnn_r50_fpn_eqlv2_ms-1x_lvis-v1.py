_base_ = "../long_tail/mask-rcnn_r50_fpn_softmax_ms-1x_lvis-v1.py"
model = dict(roi_head=dict(bbox_head=dict(loss_cls=dict(type="imb_det.EQLv2Loss"))))
