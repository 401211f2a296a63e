# Label-aware smoothing of the second stage of LWS (MiSLAS, without MixUp).
_base_ = "./faster-rcnn_lite0_fpn_lws_boards-lt.py"
loss_cls = dict(
    type="imb_det.LabelAwareSmoothingLoss",
    loss=dict(type="imb_det.CrossEntropyLoss"),
    smoothing=dict(stages=dict(features=0.0, classifier="concave")),
)
model = dict(roi_head=dict(bbox_head=dict(loss_cls=dict(loss_cls, _delete_=True))))
