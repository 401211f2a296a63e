_base_ = "./fcos_r18_fpn_focal_bccd.py"
model = dict(
    bbox_head=dict(
        loss_cls=dict(
            _delete_=True,
            type="imb_det.GHMCLoss",
            bins=30,
            momentum=0.75,
            use_sigmoid=True,
            loss_weight=1.0,
        )
    )
)
