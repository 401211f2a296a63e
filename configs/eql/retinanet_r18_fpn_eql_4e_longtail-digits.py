_base_ = "../long_tail/retinanet_r18_fpn_bce_4e_longtail-digits.py"
# Classes in less than 5 % of the images are rare; the authors' 0.1 % is LVIS's.
model = dict(bbox_head=dict(loss_cls=dict(type="imb_det.EQLLoss", threshold=0.05)))
