_base_ = "../long_tail/faster-rcnn_r18_fpn_softmax_4e_longtail-digits.py"
# 40 classes: the authors' 50 would be all of them.
model = dict(
    roi_head=dict(bbox_head=dict(loss_cls=dict(type="imb_det.FederatedLoss", num=10)))
)
