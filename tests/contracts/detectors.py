"""Whole detectors from MMDetection's own configs, shrunk to take milliseconds."""

from functools import cache

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config, ConfigDict
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData

from tests.toys import MODELS

from .cases import NUM_CLASSES
from .mmdet_heads import CONFIGS, ready

SIZE, WIDTH = 64, 16
_RESNET = dict(depth=18, base_channels=4, stem_channels=4, init_cfg=None)
_ATTENTION = dict(embed_dims=WIDTH, num_heads=2, num_points=2)
_FFN = dict(embed_dims=WIDTH, feedforward_channels=WIDTH)
_QUERIES = {
    "backbone": dict(_RESNET, frozen_stages=-1),
    "neck": dict(
        in_channels=[8, 16, 32], out_channels=WIDTH, norm_cfg=dict(num_groups=4)
    ),
    "num_queries": 10,
    "encoder": dict(
        num_layers=1, layer_cfg=dict(self_attn_cfg=_ATTENTION, ffn_cfg=_FFN)
    ),
    "decoder": dict(
        num_layers=2,
        layer_cfg=dict(
            self_attn_cfg=dict(embed_dims=WIDTH, num_heads=2),
            cross_attn_cfg=_ATTENTION,
            ffn_cfg=_FFN,
        ),
    ),
    "positional_encoding": dict(num_feats=WIDTH // 2),
    "bbox_head": dict(num_classes=NUM_CLASSES, embed_dims=WIDTH),
    "test_cfg": dict(max_per_img=10),
}
_MASK_FFN = dict(embed_dims=WIDTH, feedforward_channels=WIDTH)
_HEADS = dict(embed_dims=WIDTH, num_heads=2)

#: mmdet's config of a detector, and what makes it small.
FAMILIES = {
    "RTMDet": (
        "rtmdet/rtmdet_tiny_8xb32-300e_coco",
        {
            "data_preprocessor": dict(batch_augments=None),
            "backbone": dict(widen_factor=0.0625, init_cfg=None),
            "neck": dict(in_channels=[16, 32, 64], out_channels=WIDTH),
            "bbox_head": dict(
                num_classes=NUM_CLASSES, in_channels=WIDTH, feat_channels=WIDTH
            ),
        },
    ),
    "YOLOX": (
        "yolox/yolox_tiny_8xb8-300e_coco",
        {
            "data_preprocessor": dict(batch_augments=None),
            "backbone": dict(widen_factor=0.0625),
            "neck": dict(in_channels=[16, 32, 64], out_channels=WIDTH),
            "bbox_head": dict(
                num_classes=NUM_CLASSES, in_channels=WIDTH, feat_channels=WIDTH
            ),
            "test_cfg": dict(score_thr=0.0),
        },
    ),
    "DeformableDETR": (
        "deformable_detr/deformable-detr_r50_16xb2-50e_coco",
        _QUERIES,
    ),
    "DINO": (
        "dino/dino-4scale_r50_8xb2-12e_coco",
        {
            **_QUERIES,
            "dn_cfg": dict(group_cfg=dict(num_dn_queries=4)),
        },
    ),
    "Mask2Former": (
        "mask2former/mask2former_r50_8xb2-lsj-50e_coco",
        {
            "data_preprocessor": dict(batch_augments=None),
            "backbone": _RESNET,
            "panoptic_head": dict(
                in_channels=[4, 8, 16, 32],
                feat_channels=WIDTH,
                out_channels=WIDTH,
                num_things_classes=NUM_CLASSES,
                num_queries=10,
                pixel_decoder=dict(
                    norm_cfg=dict(num_groups=4),
                    encoder=dict(
                        num_layers=1,
                        layer_cfg=dict(self_attn_cfg=_ATTENTION, ffn_cfg=_MASK_FFN),
                    ),
                    positional_encoding=dict(num_feats=WIDTH // 2),
                ),
                positional_encoding=dict(num_feats=WIDTH // 2),
                transformer_decoder=dict(
                    num_layers=3,
                    layer_cfg=dict(
                        self_attn_cfg=_HEADS, cross_attn_cfg=_HEADS, ffn_cfg=_MASK_FFN
                    ),
                ),
                loss_cls=dict(class_weight=[1.0] * NUM_CLASSES + [0.1]),
            ),
            "panoptic_fusion_head": dict(num_things_classes=NUM_CLASSES),
            "train_cfg": dict(num_points=64),
            "test_cfg": dict(max_per_image=10),
        },
    ),
}
#: Where a family has its classification loss.
HEAD_OF = {"Mask2Former": "panoptic_head"}


@cache
def _config(name):
    path, smaller = FAMILIES[name]
    config = Config.fromfile(CONFIGS / f"{path}.py")
    config.merge_from_dict(dict(model=smaller))
    return config.model


def config_of(name):
    """Configuration of a small detector of a family, to be changed at will."""
    return ConfigDict(_config(name).to_dict())


def head_of(name, model):
    """The head with the classification loss, of a config or of a detector."""
    part = HEAD_OF.get(name, "bbox_head")
    return model[part] if isinstance(model, dict) else getattr(model, part)


def built(config, seed=0):
    """Return a detector in training, told what the hooks tell it."""
    torch.manual_seed(seed)
    model = MODELS.build(config)
    model.init_weights()
    return ready(model)


def batch(seed, with_masks=False):
    """Two images with one to three objects each, as the preprocessor wants them."""
    generator = np.random.default_rng(seed)
    images, samples = [], []
    for _ in range(2):
        count = generator.integers(1, 4)
        corner = generator.integers(0, SIZE // 2, (count, 2))
        side = generator.integers(12, SIZE // 2, (count, 2))
        boxes = np.concatenate([corner, corner + side], 1)
        masks = np.zeros((count, SIZE, SIZE), np.uint8)
        for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
            mask[top:bottom, left:right] = 1
        shape = (SIZE, SIZE)
        meta = dict(
            img_shape=shape,
            ori_shape=shape,
            pad_shape=shape,
            batch_input_shape=shape,
            scale_factor=(1.0, 1.0),
        )
        sample = DetDataSample(metainfo=meta)
        sample.gt_instances = InstanceData(
            bboxes=torch.from_numpy(boxes).float(),
            labels=torch.from_numpy(generator.integers(0, NUM_CLASSES, count)),
        )
        if with_masks:
            sample.gt_instances.masks = BitmapMasks(masks, *shape)
        samples.append(sample)
        pixels = generator.integers(0, 255, (3, *shape), np.uint8)
        images.append(torch.from_numpy(pixels))
    return dict(inputs=images, data_samples=samples)


def curve(model, steps, lr=0.003):
    """Losses by name of each step of a training with plain gradient descent."""
    hub = MessageHub.get_current_instance()
    hub.update_info("epoch", 0)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    found = []
    for number in range(steps):
        torch.manual_seed(number)  # dropout, denoising and sampled points draw from it
        data = batch(number, with_masks=hasattr(model, "panoptic_head"))
        data = model.data_preprocessor(data, training=True)
        total, values = model.parse_losses(model(**data, mode="loss"))
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        found.append({key: float(value) for key, value in values.items()})
    return found


@torch.no_grad()
def predicted(model):
    """Predictions of two images."""
    data = batch(0)
    for sample in data["data_samples"]:
        del sample.gt_instances
    return [result.pred_instances for result in model.eval().val_step(data)]
