# FCOS for two CPU cores.
_base_ = "./dense_r18_fpn_small.py"
model = dict(
    type="FCOS",
    bbox_head=dict(
        type="FCOSHead",
        strides=[8, 16, 32],
        regress_ranges=((-1, 64), (64, 128), (128, 1e8)),
        loss_bbox=dict(type="IoULoss", loss_weight=1.0),
        loss_centerness=dict(
            type="CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0
        ),
    ),
)
