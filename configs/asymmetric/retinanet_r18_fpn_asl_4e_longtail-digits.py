_base_ = "../long_tail/retinanet_r18_fpn_bce_4e_longtail-digits.py"
# As focal loss without alpha: same exponent for both, and no margin.
model = dict(
    bbox_head=dict(
        loss_cls=dict(
            type="imb_det.AsymmetricLoss", margin=0.0, gamma_neg=2.0, gamma_pos=2.0
        )
    )
)
