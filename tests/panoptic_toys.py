"""A Panoptic FPN that takes a second, from mmdet's own config."""

from pathlib import Path

import mmdet
from mmengine.config import Config

from tests.segmented_sets import STUFF, THINGS
from tests.toys import retinanet_config

CONFIG = "panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py"


def panoptic_fpn(loss_cls, loss_seg, loss_mask=None):
    """Config of the model for the sets of ``segmented_sets``, with these losses."""
    path = Path(mmdet.__file__).parent / ".mim" / "configs" / CONFIG
    model = Config.fromfile(path).model
    toy = retinanet_config()
    model.backbone = dict(toy.backbone, out_indices=(0, 1, 2, 3))
    model.neck.update(in_channels=[4, 8, 16, 32], out_channels=8, num_outs=5)
    model.rpn_head.update(in_channels=8, feat_channels=8)
    roi_head = model.roi_head
    for name in ("bbox_roi_extractor", "mask_roi_extractor"):
        roi_head[name].out_channels = 8
    roi_head.bbox_head.update(
        in_channels=8, fc_out_channels=16, num_classes=len(THINGS)
    )
    # Set, as `update` would merge them with mmdet's.
    roi_head.bbox_head.loss_cls = loss_cls
    roi_head.mask_head.update(
        in_channels=8, conv_out_channels=8, num_convs=1, num_classes=len(THINGS)
    )
    if loss_mask is not None:
        roi_head.mask_head.loss_mask = loss_mask
    counts = dict(num_things_classes=len(THINGS), num_stuff_classes=len(STUFF))
    model.semantic_head.update(
        in_channels=8,
        inner_channels=4,
        norm_cfg=dict(type="GN", num_groups=2),
        **counts,
    )
    model.semantic_head.loss_seg = loss_seg
    model.panoptic_fusion_head.update(counts)
    return model


PIPELINE = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadPanopticAnnotations", with_mask=True, with_seg=True),
    dict(type="PackDetInputs"),
]
