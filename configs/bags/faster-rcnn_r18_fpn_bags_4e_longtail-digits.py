_base_ = "../long_tail/faster-rcnn_r18_fpn_softmax_4e_longtail-digits.py"
model = dict(
    roi_head=dict(
        bbox_head=dict(loss_cls=dict(type="imb_det.BalancedGroupSoftmaxLoss"))
    )
)
