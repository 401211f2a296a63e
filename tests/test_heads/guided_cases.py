"""Every guided head in its smallest form, beside mmdet's own, on drawn outputs."""

from dataclasses import dataclass, field

import torch
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from imb_det.heads import GuidedLossScaling
from imb_det.registry import MODELS
from tests import toys

SIZE = 64
NUM_CLASSES = 3
STRIDES = (8, 16, 32)
IMAGES = {
    "two": [[4, 6, 40, 30], [20, 20, 60, 60]],
    "one": [[8, 8, 30, 34]],
    "other": [[30, 4, 60, 50]],
    "empty": [],
    "empty too": [],
}
IOU = dict(type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0)
TRAIN = dict(allowed_border=-1, pos_weight=-1)
BCE = dict(type="CrossEntropyLoss", use_sigmoid=True)
ANCHORS = dict(type="AnchorGenerator", ratios=[0.5, 1.0], strides=list(STRIDES))


def boxes_of(name):
    return torch.tensor(IMAGES[name], dtype=torch.float32).reshape(-1, 4)


def draw(name, *shape):
    """Numbers that depend on the image alone, not on its batch."""
    seed = 1 + list(IMAGES).index(name)
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@dataclass
class DenseCase:
    """A dense head on three levels."""

    kind: str
    config: dict
    regression: tuple = ("loss_bbox",)
    classification: str = "loss_cls"
    positive_boxes: bool = False  # whether box outputs are distances
    box_factor: float = 1.0  # our box loss over mmdet's
    dtype: torch.dtype = torch.float64

    def build(self, type_=None, **settings):
        sizes = dict(in_channels=8, feat_channels=8)
        if self.kind != "RPNHead":
            sizes.update(num_classes=NUM_CLASSES)
        type_ = type_ or f"imb_det.SamplingFree{self.kind}"
        torch.manual_seed(0)
        config = {**self.config, **sizes, **settings, "type": type_}
        return toys.MODELS.build(ConfigDict(config))

    def inputs(self, head, names):
        with torch.no_grad():
            maps = [torch.zeros(1, 8, SIZE // s, SIZE // s) for s in STRIDES]
            shapes = [[x.shape[1:] for x in levels] for levels in head(tuple(maps))]
        outputs = []
        for kind, levels in enumerate(shapes):
            drawn = [torch.stack([draw(n, *shape) for n in names]) for shape in levels]
            if self.positive_boxes and kind == 1:
                drawn = [20 * x.abs() + 1 for x in drawn]
            outputs.append([x.to(self.dtype).requires_grad_() for x in drawn])
        return outputs

    def losses(self, head, inputs, names):
        truth = [
            InstanceData(
                bboxes=boxes_of(name),
                labels=torch.arange(len(IMAGES[name])) % head.num_classes,
            )
            for name in names
        ]
        metas = [dict(img_shape=(SIZE, SIZE), pad_shape=(SIZE, SIZE))] * len(names)
        return head.loss_by_feat(*inputs, truth, metas)

    def scores(self, inputs):
        return inputs[0]


@dataclass
class BoxCase:
    """A box head; a quarter of the RoIs of an image with boxes are positive."""

    kind: str
    config: dict = field(default_factory=dict)
    regression: tuple = ("loss_bbox",)
    classification: str = "loss_cls"
    values_per_box: int = 4
    rois_per_image: int = 12

    def build(self, type_=None, **settings):
        type_ = type_ or f"imb_det.SamplingFree{self.kind}"
        config = dict(
            num_classes=NUM_CLASSES,
            in_channels=8,
            fc_out_channels=8,
            roi_feat_size=2,
            loss_cls=dict(type="CrossEntropyLoss"),
            loss_bbox=dict(type="L1Loss"),
        )
        torch.manual_seed(0)
        return toys.MODELS.build(
            ConfigDict({**config, **self.config, **settings, "type": type_})
        )

    def inputs(self, head, names):
        n, columns = self.rois_per_image, head.fc_cls.out_features
        scores = torch.cat([draw(name, n, columns) for name in names])
        boxes = torch.cat([draw(name, n, 4 * NUM_CLASSES) for name in names])
        return [[scores.requires_grad_()], [boxes.requires_grad_()]]

    def targets(self, names):
        """RoIs, labels, label weights, box targets and weights."""
        n = self.rois_per_image
        corner = torch.arange(n * len(names))[:, None] % 40.0
        rois = torch.cat([0 * corner, corner, corner, corner + 9, corner + 7], 1)
        labels = [
            torch.tensor([k % NUM_CLASSES for k in range(3 * len(IMAGES[name]))])
            for name in names
        ]
        labels = [torch.nn.functional.pad(x, (0, n - len(x)), value=3) for x in labels]
        labels = torch.cat(labels).long()
        positive = (labels < NUM_CLASSES).double()[:, None]
        targets = torch.cat([draw(name, n, 4).flip(0) for name in names]) * positive
        if self.values_per_box == 1:  # boxes, not deltas
            targets = rois[:, 1:] + targets
        return rois, labels, torch.ones(len(labels)), targets, positive.expand(-1, 4)

    def losses(self, head, inputs, names):
        (scores,), (boxes,) = inputs
        return head.loss(scores, boxes, *self.targets(names))

    def scores(self, inputs):
        return inputs[0]


GIOU = dict(type="GIoULoss")
CASES = {
    "RetinaHead": DenseCase(
        "RetinaHead",
        dict(
            anchor_generator=dict(ANCHORS, octave_base_scale=3, scales_per_octave=2),
            stacked_convs=1,
            loss_cls=BCE,
            loss_bbox=dict(type="L1Loss"),
            train_cfg=dict(TRAIN, assigner=IOU),
        ),
    ),
    "RPNHead": DenseCase(
        "RPNHead",
        dict(
            anchor_generator=dict(ANCHORS, scales=[3, 4]),
            loss_cls=BCE,
            loss_bbox=dict(type="SmoothL1Loss", beta=1 / 9),
            train_cfg=dict(TRAIN, assigner=IOU, sampler=dict(type="PseudoSampler")),
        ),
        regression=("loss_rpn_bbox",),
        classification="loss_rpn_cls",
        box_factor=1 / 8,
    ),
    "RPNHead, GIoU": DenseCase(
        "RPNHead",
        dict(
            anchor_generator=dict(ANCHORS, scales=[3, 4]),
            reg_decoded_bbox=True,
            loss_cls=BCE,
            loss_bbox=GIOU,
            train_cfg=dict(TRAIN, assigner=IOU, sampler=dict(type="PseudoSampler")),
        ),
        regression=("loss_rpn_bbox",),
        classification="loss_rpn_cls",
        box_factor=1 / 2,
        dtype=torch.float32,  # mmdet's own targets are
    ),
    "FCOSHead": DenseCase(
        "FCOSHead",
        dict(
            strides=STRIDES,
            regress_ranges=((-1, 24), (24, 48), (48, 1e8)),
            norm_cfg=None,
            stacked_convs=1,
            loss_cls=BCE,
        ),
        regression=("loss_bbox", "loss_centerness"),
        positive_boxes=True,
        dtype=torch.float32,  # mmdet reduces a zero of that type without positives
    ),
    "ATSSHead": DenseCase(
        "ATSSHead",
        dict(
            anchor_generator=dict(
                type="AnchorGenerator",
                ratios=[1.0],
                octave_base_scale=4,
                scales_per_octave=1,
                strides=list(STRIDES),
            ),
            norm_cfg=None,
            stacked_convs=1,
            loss_cls=BCE,
            loss_bbox=GIOU,
            train_cfg=dict(TRAIN, assigner=dict(type="ATSSAssigner", topk=4)),
        ),
        regression=("loss_bbox", "loss_centerness"),
        dtype=torch.float32,  # mmdet reduces a zero of that type without positives
    ),
    "GFLHead": DenseCase(
        "GFLHead",
        dict(
            anchor_generator=dict(
                type="AnchorGenerator",
                ratios=[1.0],
                octave_base_scale=4,
                scales_per_octave=1,
                strides=list(STRIDES),
            ),
            norm_cfg=None,
            stacked_convs=1,
            loss_cls=dict(type="QualityFocalLoss", use_sigmoid=True, beta=0.0),
            loss_dfl=dict(type="DistributionFocalLoss", loss_weight=0.25),
            loss_bbox=GIOU,
            reg_max=8,
            train_cfg=dict(TRAIN, assigner=dict(type="ATSSAssigner", topk=4)),
        ),
        regression=("loss_bbox", "loss_dfl"),
        dtype=torch.float32,  # mmdet's own targets are
    ),
    "Shared2FCBBoxHead": BoxCase("Shared2FCBBoxHead"),
    "Shared4Conv1FCBBoxHead": BoxCase(
        "Shared4Conv1FCBBoxHead", dict(conv_out_channels=8)
    ),
    "ConvFCBBoxHead": BoxCase(
        "ConvFCBBoxHead", dict(num_shared_fcs=1, loss_bbox=dict(type="SmoothL1Loss"))
    ),
    "Shared2FCBBoxHead, GIoU": BoxCase(
        "Shared2FCBBoxHead",
        dict(reg_decoded_bbox=True, loss_bbox=GIOU),
        values_per_box=1,
    ),
    "Shared2FCBBoxHead, sigmoid": BoxCase(
        "Shared2FCBBoxHead",
        dict(loss_cls=dict(type="imb_det.CrossEntropyLoss", use_sigmoid=True)),
    ),
}


def registered():
    """Names of all guided heads of the library."""
    return {
        name.removeprefix("SamplingFree")
        for name, kind in MODELS.module_dict.items()
        if isinstance(kind, type) and issubclass(kind, GuidedLossScaling)
    }


def total(losses, name):
    """Sum of a loss over its levels."""
    parts = losses[name]
    return sum(parts) if isinstance(parts, (list, tuple)) else parts
