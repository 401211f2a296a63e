_base_ = "./faster-rcnn_r18_fpn_softmax_4e_longtail-digits.py"
classifier = dict(type="imb_det.NormedLinear", temperature=20)
model = dict(roi_head=dict(bbox_head=dict(cls_predictor_cfg=classifier)))
