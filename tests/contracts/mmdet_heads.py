"""Heads of MMDetection as its own configs have them, small, with losses of ours.

``TRAINED`` and ``REFUSED`` are what the README says of heads; a head of mmdet that
takes a ``loss_cls`` and stands in neither, nor in ``LEFT_OUT``, fails a test.
"""

import inspect
from functools import cache
from pathlib import Path

import mmdet
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config, ConfigDict
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData

from imb_det.losses import manage_statistics
from tests.toys import MODELS

from .cases import NUM_CLASSES, STATS
from .head_batch import IMAGE, TRUTH
from .roi_heads import RoIHead

CONFIGS = Path(mmdet.__file__).parent / ".mim" / "configs"
SIZE, CHANNELS = 64, 32

#: Dense heads by the config of mmdet that has them, and strides of the maps they get.
DENSE = {
    "ATSSHead": "atss/atss_r50_fpn_1x_coco",
    "BoxInstBboxHead": "boxinst/boxinst_r50_fpn_ms-90k_coco",
    "CondInstBboxHead": "condinst/condinst_r50_fpn_ms-poly-90k_coco_instance",
    "DDODHead": "ddod/ddod_r50_fpn_1x_coco",
    "DecoupledSOLOHead": "solo/decoupled-solo_r50_fpn_3x_coco",
    "FCOSHead": "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco",
    "FSAFHead": "fsaf/fsaf_r50_fpn_1x_coco",
    "FoveaHead": "foveabox/fovea_r50_fpn_4xb4-1x_coco",
    "GARetinaHead": "guided_anchoring/ga-retinanet_r50-caffe_fpn_1x_coco",
    "NASFCOSHead": "nas_fcos/nas-fcos_r50-caffe_fpn_nashead-gn-head_4xb4-1x_coco",
    "PAAHead": "paa/paa_r50_fpn_1x_coco",
    "PISARetinaHead": "pisa/retinanet-r50_fpn_pisa_1x_coco",
    "RPNHead": "rpn/rpn_r50_fpn_1x_coco",
    "RepPointsHead": "reppoints/reppoints-moment_r50_fpn_1x_coco",
    "RetinaHead": "retinanet/retinanet_r50_fpn_1x_coco",
    "RetinaSepBNHead": "nas_fpn/retinanet_r50_nasfpn_crop640-50e_coco",
    "SABLRetinaHead": "sabl/sabl-retinanet_r50_fpn_1x_coco",
    "SOLOHead": "solo/solo_r50_fpn_1x_coco",
    "SOLOV2Head": "solov2/solov2_r50_fpn_1x_coco",
    "VFNetHead": "vfnet/vfnet_r50_fpn_1x_coco",
    "YOLACTHead": "yolact/yolact_r50_1xb8-55e_coco",
    "YOLOFHead": "yolof/yolof_r50-c5_8xb8-1x_coco",
    "YOLOXHead": "yolox/yolox_s_8xb8-300e_coco",
    "AutoAssignHead": "autoassign/autoassign_r50-caffe_fpn_1x_coco",
    "CenterNetHead": "centernet/centernet_r18_8xb16-crop512-140e_coco",
    "CenterNetUpdateHead": "centernet/centernet-update_r50-caffe_fpn_ms-1x_coco",
    "CornerHead": "cornernet/cornernet_hourglass104_10xb5-crop511-210e-mstest_coco",
    "FreeAnchorRetinaHead": "free_anchor/freeanchor_r50_fpn_1x_coco",
    "GFLHead": "gfl/gfl_r50_fpn_1x_coco",
    "RTMDetSepBNHead": "rtmdet/rtmdet_tiny_8xb32-300e_coco",
    "TOODHead": "tood/tood_r50_fpn_1x_coco",
    "YOLOV3Head": "yolo/yolov3_d53_8xb8-320-273e_coco",
}
PYRAMID = (4, 8, 16, 32, 64)
STRIDES = dict(
    CenterNetHead=(4,),
    CornerHead=(4,),
    SOLOHead=PYRAMID,
    DecoupledSOLOHead=PYRAMID,
    SOLOV2Head=PYRAMID,
    YOLACTHead=(8, 16, 32, 64, 128),
    GARetinaHead=(8, 16, 32, 64, 128),
    SABLRetinaHead=(8, 16, 32, 64, 128),
)
#: Heads whose only activation is the softmax.
SOFTMAX = ("YOLACTHead", "DoubleConvFCBBoxHead")
QUERIES = (
    "ConditionalDETRHead",
    "DABDETRHead",
    "DETRHead",
    "DINOHead",
    "DeformableDETRHead",
)
BOXES_OF_ROIS = (
    "ConvFCBBoxHead",
    "DoubleConvFCBBoxHead",
    "SCNetBBoxHead",
    "Shared2FCBBoxHead",
    "Shared4Conv1FCBBoxHead",
)

#: What is refused: the losses of a head, and what its error says of them.
REFUSED = {
    ("ATSSHead", "loss_centerness"): r"got \(\d+,\)",
    ("AutoAssignHead", "loss_cls"): None,
    ("BoxInstBboxHead", "loss_centerness"): r"got \(\d+,\)",
    ("CenterNetHead", "loss_center_heatmap"): r"got \(2, 3, 16, 16\)",
    ("CenterNetUpdateHead", "loss_cls"): r"\['pos_inds', 'pos_labels'\]",
    ("CondInstBboxHead", "loss_centerness"): r"got \(\d+,\)",
    ("CornerHead", "loss_heatmap"): r"got \(2, 3, 16, 16\)",
    ("DDODHead", "loss_iou"): r"got \(\d+,\)",
    ("FCOSHead", "loss_centerness"): r"got \(\d+,\)",
    ("FreeAnchorRetinaHead", "loss_cls"): None,
    ("NASFCOSHead", "loss_centerness"): r"got \(\d+,\)",
    ("SOLOHead", "loss_mask"): r"must have shape",
    ("SOLOV2Head", "loss_mask"): r"must have shape",
    ("TOODHead", "initial_loss_cls"): None,
    ("TOODHead", "loss_cls"): None,
    ("YOLOV3Head", "loss_conf"): None,
    ("YOLOV3Head", "loss_xy"): None,
}
#: Why, by the attribute; ``loss_cls`` has other reasons, by the head.
WHY = {
    "initial_loss_cls": "probabilities, but of `FocalLoss` with `activated=True`",
    "loss_center_heatmap": "heatmaps",
    "loss_centerness": "one number for each box",
    "loss_conf": "one number for each box",
    "loss_heatmap": "heatmaps",
    "loss_iou": "one number for each box",
    "loss_mask": "masks without classes",
    "loss_xy": "coordinates",
    "AutoAssignHead": "not used by the head",
    "CenterNetUpdateHead": "probabilities and heatmaps",
    "FreeAnchorRetinaHead": "not used by the head",
    "TOODHead": "probabilities, but of losses with `activated=True`",
}
#: Other losses of heads, beside ``loss_cls``, that train.
ALSO = {
    ("GARetinaHead", "loss_loc"),
    ("PAAHead", "loss_centerness"),
    ("SABLRetinaHead", "loss_bbox_cls"),
    ("YOLOXHead", "loss_obj"),
}
#: Heads that are refused too, and that no test here builds from a config of mmdet.
_WORDS = "logits of words, whose classes change with the prompt"
ALSO_REFUSED = {
    "ATSSVLFusionHead": _WORDS,
    "GroundingDINOHead": _WORDS,
    "MultiInstanceBBoxHead": "labels from 1 on, with 0 for background",
}
#: Heads whose classification loss is written in: nobody can give them another one.
NO_PLACE = ("PISASSDHead", "SSDHead")
#: Heads of masks, which ``test_mask_query_heads.py`` trains as those of ours, and heads
#: of semantic maps, with ``loss_seg``, which ``test_pixel_loss_contract.py`` does.
MASK_QUERIES = ("Mask2FormerHead", "MaskFormerHead")
MAPS = ("FusedSemanticHead", "PanopticFPNHead")
#: Heads that no test builds here, and why.
LEFT_OUT = {
    "ATSSVLFusionHead": "refused before training; needs a language model",
    "AnchorFreeHead": "a base class",
    "AnchorHead": "a base class",
    "BBoxHead": "a base class",
    "DDQDETRHead": "as DINOHead, of which it is one",
    "DIIHead": "as DETRHead, of queries",
    "DecoupledSOLOLightHead": "as DecoupledSOLOHead, of which it is one",
    "GARPNHead": "as GARetinaHead, with one class",
    "GroundingDINOHead": "refused before training; needs a language model",
    "GuidedAnchorHead": "a base class",
    "LADHead": "as PAAHead, of which it is one; needs a teacher",
    "LDHead": "as GFLHead, of which it is one; needs a teacher",
    "LinearReIDHead": "of tracking",
    "Mask2FormerHead": "of masks",
    "Mask2FormerTrackHead": "of tracking",
    "MaskFormerHead": "of masks",
    "MultiInstanceBBoxHead": "refused before training",
    "PISASSDHead": "takes no `loss_cls`",
    "RTMDetHead": "as RTMDetSepBNHead",
    "RTMDetInsHead": "as RTMDetSepBNHead",
    "RTMDetInsSepBNHead": "as RTMDetSepBNHead",
    "SABLHead": "predicts with a softmax of its own; a check refuses sigmoid",
    "SSDHead": "takes no `loss_cls`",
    "StageCascadeRPNHead": "as RPNHead, of which it is one",
}
TRAINED = [
    name
    for name in (*DENSE, *QUERIES, *BOXES_OF_ROIS)
    if (name, "loss_cls") not in REFUSED and name not in ("CenterNetHead", "CornerHead")
]


def heads_with_loss_cls():
    """Names of the heads of mmdet that take a ``loss_cls``, of their own or a base."""
    found = set()
    for name, kind in MODELS.module_dict.items():
        starts = [vars(k).get("__init__") for k in kind.__mro__]
        names = {p for s in starts if s for p in inspect.signature(s).parameters}
        if kind.__module__.startswith("mmdet.models.") and "loss_cls" in names:
            found.add(name)
    return found


@cache
def _config(name):
    return Config.fromfile(CONFIGS / f"{DENSE[name]}.py").model


def config_of(name):
    """The head in mmdet's config."""
    model = _config(name)
    return model[next(k for k in ("bbox_head", "mask_head", "rpn_head") if k in model)]


def build_dense(name, **losses):
    """A head as the config has it, with fewer channels and some losses replaced."""
    model = _config(name)
    head = dict(config_of(name))
    for k in ("in_channels", "feat_channels", "point_feat_channels", "out_channels"):
        if k in head:
            many = isinstance(head[k], (list, tuple))
            head[k] = [CHANNELS] * len(head[k]) if many else CHANNELS
    if name != "RPNHead":
        head["num_classes"] = NUM_CLASSES
    if "stacked_convs" in head:
        head["stacked_convs"] = 1
    head.pop("init_cfg", None)
    for key, loss in losses.items():
        given = head.get(key, {})
        head[key] = {**{k: given[k] for k in ("reduction",) if k in given}, **loss}
    train_cfg = model.get("train_cfg") or {}
    train_cfg = train_cfg.get("rpn", train_cfg)
    return ready(MODELS.build(ConfigDict(head, train_cfg=train_cfg)))


def ready(head):
    """Do what the hooks do at the start."""
    for part in head.modules():
        if hasattr(part, "set_class_difficulty_weights"):
            part.set_class_difficulty_weights(torch.ones(NUM_CLASSES))
        if hasattr(part, "set_class_stats"):
            part.set_class_stats(STATS)
    manage_statistics(head)
    return head.train()


def samples(with_masks=True):
    """Two images with objects."""
    found = []
    for boxes, labels in (
        ([[4, 6, 40, 30], [20, 20, 60, 60]], [0, 2]),
        ([[8, 8, 30, 34]], [1]),
    ):
        shape = (SIZE, SIZE)
        meta = dict(img_shape=shape, pad_shape=shape, batch_input_shape=shape)
        sample = DetDataSample(metainfo=meta)
        truth = InstanceData(bboxes=torch.tensor(boxes).float())
        truth.labels = torch.tensor(labels)
        if with_masks:
            masks = np.zeros((len(boxes), SIZE, SIZE), np.uint8)
            for mask, (x, y, right, bottom) in zip(masks, boxes, strict=True):
                mask[y:bottom, x:right] = 1
            truth.masks = BitmapMasks(masks, SIZE, SIZE)
        sample.gt_instances = truth
        found.append(sample)
    return found


def dense_losses(name, head, epoch=None):
    """Losses of a step on the maps of two images."""
    strides = STRIDES.get(name) or head.prior_generator.strides
    strides = [s[0] if isinstance(s, (tuple, list)) else s for s in strides]
    least = 4 if name == "DDODHead" else 1
    sides = [max(SIZE // int(s), least) for s in strides]
    batch = samples(with_masks=not name.startswith("RTMDet"))
    if name == "RPNHead":
        for sample in batch:
            sample.gt_instances.labels *= 0
    if name == "TOODHead":  # which asks the runner's hub for the epoch
        hub = MessageHub.get_current_instance()
        hub.update_info("epoch", head.initial_epoch if epoch is None else epoch)
    maps = tuple(torch.randn(2, CHANNELS, side, side) for side in sides)
    found = head.loss(maps, batch)
    return found[0] if isinstance(found, tuple) else found


def query_losses(name, loss):
    """Losses of six queries of one image, in two decoder layers."""
    more = dict(num_pred_layer=2) if name in ("DINOHead", "DeformableDETRHead") else {}
    config = dict(
        type=name, num_classes=NUM_CLASSES, embed_dims=8, loss_cls=loss, **more
    )
    head = ready(MODELS.build(ConfigDict(config)))
    queries = 10 if name == "DINOHead" else 6
    scores = torch.randn(2, 1, queries, head.cls_out_channels, requires_grad=True)
    boxes = torch.rand(2, 1, queries, 4, requires_grad=True)
    rest = ([TRUTH], [IMAGE])
    if name == "DINOHead":
        # Two objects, each once as it is and once as background, before the others.
        noise = dict(num_denoising_queries=4, num_denoising_groups=1)
        found = head.loss_by_feat(scores, boxes, None, None, *rest, dn_meta=noise)
    elif name == "DeformableDETRHead":
        found = head.loss_by_feat(scores, boxes, None, None, *rest)
    else:
        found = head.loss_by_feat(scores, boxes, *rest)
    return head, found


def box_losses(name, loss):
    """Losses of eight RoIs."""
    config = dict(RoIHead.config, type=name, loss_cls=loss)
    if name in ("ConvFCBBoxHead", "SCNetBBoxHead"):
        config.update(num_shared_fcs=1)
    if name == "DoubleConvFCBBoxHead":
        config.update(num_convs=1, num_fcs=1, conv_out_channels=8)
        config.pop("roi_feat_size")
    head = ready(MODELS.build(ConfigDict(config)))
    channels = head.fc_cls.out_features
    labels = torch.tensor([0, 2, 1, 3, 3, 3, 3, 3])
    found = head.loss(
        torch.randn(8, channels, requires_grad=True),
        torch.randn(8, 4 * NUM_CLASSES, requires_grad=True),
        rois=RoIHead.rois_of(8),
        labels=labels,
        label_weights=torch.ones(8),
        bbox_targets=torch.zeros(8, 4),
        bbox_weights=(labels < NUM_CLASSES).float()[:, None].expand(8, 4),
    )
    return head, found


def step(name, loss):
    """Losses of a step of any trained head, and what they are to be finite for."""
    if name in DENSE:
        head = build_dense(name, loss_cls=loss)
        return head, dense_losses(name, head)
    return query_losses(name, loss) if name in QUERIES else box_losses(name, loss)


def total(losses):
    """Sum of all losses, as a runner takes them."""
    parts = [
        part
        for key, value in losses.items()
        if "loss" in key
        for part in (value if isinstance(value, (list, tuple)) else [value])
    ]
    return sum(part.sum() for part in parts)
