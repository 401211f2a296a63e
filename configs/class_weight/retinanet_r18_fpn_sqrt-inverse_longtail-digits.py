_base_ = "../sampling_free/retinanet_r18_fpn_bce_longtail-digits.py"
model = dict(
    bbox_head=dict(
        loss_cls=dict(
            _delete_=True,
            type="imb_det.CrossEntropyLoss",
            use_sigmoid=True,
            class_weight="sqrt_inverse",
            normalize="classes",  # weights of positives weigh less on the whole
        )
    )
)
