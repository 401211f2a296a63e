_base_ = "../long_tail/faster-rcnn_r18_fpn_softmax_4e_longtail-digits.py"
# Classes in less than 5 % of the images are rare; the authors' 0.1 % is LVIS's.
model = dict(
    roi_head=dict(
        bbox_head=dict(
            loss_cls=dict(type="imb_det.GumbelLoss", drop=True, threshold=0.05)
        )
    )
)
