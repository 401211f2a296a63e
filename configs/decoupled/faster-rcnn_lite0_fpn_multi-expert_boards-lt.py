# Three classifiers on the same features: for frequent classes, for all alike, for rare
# ones.
_base_ = "../lite0/faster-rcnn_lite0_fpn_boards-lt.py"
model = dict(
    roi_head=dict(
        bbox_head=dict(
            type="imb_det.MultiExpertShared2FCBBoxHead",
            loss_cls=None,
            losses=[
                dict(type="imb_det.CrossEntropyLoss"),
                dict(type="imb_det.LogitAdjustmentLoss", tau=1.0),
                dict(type="imb_det.LogitAdjustmentLoss", tau=2.0),
            ],
        )
    )
)
