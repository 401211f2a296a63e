_base_ = "../lite0/rtmdet_lite0_boards-lt.py"
loss_cls = dict(type="imb_det.QualityFocalLoss", class_weight="sqrt_inverse")
model = dict(bbox_head=dict(loss_cls=loss_cls))
