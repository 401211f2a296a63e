_base_ = "./retinanet_r18_fpn_bce_4e_longtail-digits.py"
model = dict(bbox_head=dict(loss_cls=dict(type="imb_det.FocalLoss")))
