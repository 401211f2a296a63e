"""Dense and query-based heads of MMDetection in their smallest form."""

from typing import ClassVar

import torch
from mmengine.config import ConfigDict

from tests.toys import MODELS

from .cases import NUM_CLASSES
from .head_batch import IMAGE, TRUTH, score_table


class DenseHead:
    """A head with 4 x 4 and 2 x 2 candidates on two levels."""

    candidates = 20
    keeps_all = True

    def __init__(self, config, loss):
        settings = dict(num_classes=NUM_CLASSES, in_channels=4, feat_channels=4)
        config = dict(config, stacked_convs=1, loss_cls=loss, **settings)
        self.head = MODELS.build(ConfigDict(config))

    def losses(self):
        outputs = self.head((torch.randn(1, 4, 4, 4), torch.randn(1, 4, 2, 2)))
        return self.head.loss_by_feat(*outputs, [TRUTH], [IMAGE])

    def scores(self, logits):
        sides = (4, 2)
        boxes = [torch.ones(1, 4, n, n) for n in sides]
        maps = [
            part.T.reshape(1, -1, n, n)
            for part, n in zip(logits.split([16, 4]), sides, strict=True)
        ]
        certain = [torch.full((1, 1, n, n), 40.0) for n in sides]
        (results,) = self.head.predict_by_feat(
            maps,
            boxes,
            *([certain] if hasattr(self.head, "loss_centerness") else []),
            batch_img_metas=[IMAGE],
            cfg=ConfigDict(nms_pre=1000, score_thr=-1.0),
            with_nms=False,
        )
        grid_priors = self.head.prior_generator.grid_priors
        priors = torch.cat(grid_priors([(n, n) for n in sides], device="cpu"))
        decode = self.head.bbox_coder.decode
        boxes = decode(priors, torch.ones(self.candidates, 4), max_shape=(64, 64))
        return score_table(results, boxes)


class RetinaHead(DenseHead):
    """A head that calls its loss once a level."""

    config: ClassVar = dict(
        type="RetinaHead",
        anchor_generator=dict(
            type="AnchorGenerator", scales=[1.0], ratios=[1.0], strides=[16, 32]
        ),
        loss_bbox=dict(type="L1Loss"),
        train_cfg=dict(
            assigner=dict(
                type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0
            ),
            allowed_border=-1,
            pos_weight=-1,
        ),
    )

    def __init__(self, loss):
        super().__init__(self.config, loss)


class FCOSHead(DenseHead):
    """A head that calls its loss once for all levels, without weights."""

    config: ClassVar = dict(
        type="FCOSHead",
        strides=[16, 32],
        regress_ranges=((-1, 16), (16, 1e8)),
        norm_cfg=None,
    )

    def __init__(self, loss):
        super().__init__(self.config, loss)


class DETRHead:
    """A query-based head; softmax keeps the best class of each query only."""

    candidates = 6
    config: ClassVar = dict(
        type="DETRHead",
        num_classes=NUM_CLASSES,
        embed_dims=8,
        test_cfg=dict(max_per_img=6 * NUM_CLASSES),
    )

    def __init__(self, loss):
        self.head = MODELS.build(ConfigDict(self.config, loss_cls=loss))
        self.keeps_all = self.head.loss_cls.use_sigmoid
        if not self.keeps_all:
            self.head.test_cfg.max_per_img = self.candidates

    def losses(self):
        outputs = self.head(torch.randn(2, 1, self.candidates, 8))
        return self.head.loss_by_feat(*outputs, [TRUTH], [IMAGE])

    def scores(self, logits):
        corner = 0.1 + 0.1 * torch.arange(self.candidates)[:, None]
        boxes = torch.cat([corner, corner, 0 * corner + 0.1, 0 * corner + 0.1], 1)
        (results,) = self.head.predict_by_feat(
            logits[None, None], boxes[None, None], [IMAGE], rescale=False
        )
        edges = torch.cat(
            [corner - 0.05, corner - 0.05, corner + 0.05, corner + 0.05], 1
        )
        return score_table(results, 64 * edges)
