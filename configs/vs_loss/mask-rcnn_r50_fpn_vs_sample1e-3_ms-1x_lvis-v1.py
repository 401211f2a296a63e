_base_ = "../long_tail/mask-rcnn_r50_fpn_softmax_sample1e-3_ms-1x_lvis-v1.py"
# The rows that are sampled know what the repeats of rare classes change.
model = dict(
    roi_head=dict(bbox_head=dict(loss_cls=dict(type="imb_det.VSLoss", prior="rows")))
)
