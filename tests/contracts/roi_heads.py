"""RoI heads of MMDetection in their smallest form: boxes and masks."""

from typing import ClassVar

import torch
from mmdet.structures.mask import BitmapMasks
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from tests.toys import MODELS

from .cases import NUM_CLASSES
from .head_batch import BOXES, IMAGE, TRUTH, score_table


class RoIHead:
    """Classification in an RoI head; every row is a candidate."""

    candidates = 8
    keeps_all = True
    config: ClassVar = dict(
        type="Shared2FCBBoxHead",
        in_channels=4,
        fc_out_channels=8,
        roi_feat_size=2,
        num_classes=NUM_CLASSES,
        loss_bbox=dict(type="L1Loss"),
    )

    def __init__(self, loss):
        self.head = MODELS.build(ConfigDict(self.config, loss_cls=loss))

    def losses(self):
        cls_score, bbox_pred = self.head(torch.randn(8, 4, 2, 2))
        labels = torch.tensor([0, 2, 1, 3, 3, 3, 3, 3])
        return self.head.loss(
            cls_score,
            bbox_pred,
            rois=self.rois(),
            labels=labels,
            label_weights=torch.ones(8),
            bbox_targets=torch.zeros(8, 4),
            bbox_weights=(labels < NUM_CLASSES).float()[:, None].expand(8, 4),
        )

    @staticmethod
    def rois_of(count):
        """Boxes of 6 x 6, one beside the other, of image 0."""
        corner = 7.0 * torch.arange(count)[:, None]
        return torch.cat([0 * corner, corner, corner, corner + 6, corner + 6], 1)

    def rois(self):
        return self.rois_of(self.candidates)

    def scores(self, logits):
        rois = self.rois()
        settings = dict(score_thr=-1.0, nms=dict(type="nms", iou_threshold=0.9))
        (results,) = self.head.predict_by_feat(
            (rois,),
            (logits,),
            (torch.zeros(len(logits), 4 * NUM_CLASSES),),
            [IMAGE],
            rcnn_test_cfg=ConfigDict(**settings, max_per_img=1000),
        )
        return score_table(results, rois[:, 1:])


class MaskHead:
    """``FCNMaskHead``; its loss gets the classes of the RoIs in place of weights."""

    config: ClassVar = dict(
        type="FCNMaskHead",
        num_convs=0,
        in_channels=4,
        conv_out_channels=4,
        num_classes=NUM_CLASSES,
    )

    def __init__(self, loss, **settings):
        config = dict(self.config, loss_mask=loss, **settings)
        self.head = MODELS.build(ConfigDict(config))

    def losses(self):
        sampled = InstanceData(
            pos_priors=BOXES,
            pos_assigned_gt_inds=torch.tensor([0, 1]),
            pos_gt_labels=TRUTH.labels,
        )
        shapes = torch.zeros(2, 64, 64, dtype=torch.uint8)
        shapes[:, 10:30, 10:40] = 1
        truth = InstanceData(masks=BitmapMasks(shapes.numpy(), 64, 64))
        return self.head.loss_and_target(
            self.head(torch.randn(2, 4, 2, 2)),
            [sampled],
            [truth],
            ConfigDict(mask_size=(4, 4)),
        )["loss_mask"]
