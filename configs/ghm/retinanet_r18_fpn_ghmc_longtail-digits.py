_base_ = "../sampling_free/retinanet_r18_fpn_focal_longtail-digits.py"
model = dict(
    bbox_head=dict(
        loss_cls=dict(
            _delete_=True,
            type="imb_det.GHMCLoss",
            bins=30,
            momentum=0.75,
            use_sigmoid=True,
            # Three FPN levels: about as large as the authors' loss, which divides each
            # level by its own number of examples and not by that of all levels.
            loss_weight=3.0,
        )
    )
)
