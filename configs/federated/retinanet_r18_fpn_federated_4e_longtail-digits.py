_base_ = "../long_tail/retinanet_r18_fpn_bce_4e_longtail-digits.py"
# 40 classes: the authors' 50 would be all of them.
model = dict(bbox_head=dict(loss_cls=dict(type="imb_det.FederatedLoss", num=10)))
