# Boxes by class, with a part that all classes share.
_base_ = "../lite0/faster-rcnn_lite0_fpn_boards-lt.py"
regression = dict(type="imb_det.CABLinear", alpha=0.5)
model = dict(
    roi_head=dict(
        bbox_head=dict(reg_class_agnostic=False, reg_predictor_cfg=regression)
    )
)
