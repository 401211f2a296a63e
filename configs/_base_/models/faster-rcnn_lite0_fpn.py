# Faster R-CNN on a pretrained backbone that is frozen, for one CPU core: each image goes
# through the backbone once, and 50 proposals are classified.
_base_ = "./faster-rcnn_r18_fpn_small.py"
model = dict(
    data_preprocessor=dict(mean=[127.0] * 3, std=[128.0] * 3),
    backbone=dict(
        _delete_=True,
        type="imb_det.EfficientNetLite",
        frozen_stages=6,
        frozen_cache="work_dirs/frozen_features",
    ),
)
