# Faster R-CNN on a pretrained, frozen backbone, for one CPU core: with `frozen_cache`
# an image goes through it once, however many epochs and trainings there are. Large
# objects alone: levels of stride 16 and 32, 32 of 100 proposals are trained on.
_base_ = "./faster-rcnn_r18_fpn_small.py"
model = dict(
    data_preprocessor=dict(mean=[127.0] * 3, std=[128.0] * 3),
    backbone=dict(
        _delete_=True,
        type="imb_det.EfficientNetLite",
        out_indices=(4, 5),
        frozen_stages=6,
        frozen_cache="work_dirs/frozen_features",
    ),
    neck=dict(in_channels=[112, 320], out_channels=64, num_outs=2),
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(scales=[6, 8.5], strides=[16, 32]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            roi_layer=dict(sampling_ratio=1),  # a bin is about one cell
            out_channels=64,
            featmap_strides=[16, 32],
        ),
        bbox_head=dict(in_channels=64, reg_class_agnostic=True),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(sampler=dict(num=32)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=100)),
)
