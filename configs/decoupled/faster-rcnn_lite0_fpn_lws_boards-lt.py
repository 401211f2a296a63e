# LWS: a scale for each row of the classifier, from classes alike.
_base_ = "./faster-rcnn_lite0_fpn_crt_boards-lt.py"
scaled = dict(type="imb_det.ScaledLinear")
model = dict(roi_head=dict(bbox_head=dict(cls_predictor_cfg=scaled)))
scales = ["roi_head.bbox_head.fc_cls.scale"]
*others, freezing = _base_.custom_hooks
stages = dict(features=dict(freeze=scales), classifier=dict(train_only=scales))
custom_hooks = [*others, dict(freezing, stages=stages)]
