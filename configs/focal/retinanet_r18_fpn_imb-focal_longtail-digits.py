# The same training as with mmdet's focal loss, with the one of this library.
_base_ = "../sampling_free/retinanet_r18_fpn_focal_longtail-digits.py"
model = dict(
    bbox_head=dict(
        loss_cls=dict(type="imb_det.FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25)
    )
)
