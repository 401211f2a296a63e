"""Small models and data sets that several test modules share."""

import json

import numpy as np
from mmdet.registry import DATASETS, MODELS
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from PIL import Image

import imb_det  # noqa: F401

register_all_modules(init_default_scope=True)

CLASSES = ("ant", "bee", "cat")


def retinanet_config(num_classes=3, head_type="RetinaHead", **head):
    """Configure a RetinaNet that takes milliseconds."""
    return ConfigDict(
        type="RetinaNet",
        data_preprocessor=dict(type="DetDataPreprocessor", pad_size_divisor=32),
        backbone=dict(
            type="ResNet",
            depth=18,
            stem_channels=4,
            base_channels=4,
            out_indices=(1, 2, 3),
            norm_cfg=dict(type="GN", num_groups=2),
            norm_eval=False,
            init_cfg=None,
        ),
        neck=dict(type="FPN", in_channels=[8, 16, 32], out_channels=8, num_outs=3),
        bbox_head=dict(
            type=head_type,
            num_classes=num_classes,
            in_channels=8,
            feat_channels=8,
            stacked_convs=1,
            anchor_generator=dict(
                type="AnchorGenerator",
                octave_base_scale=3,
                scales_per_octave=2,
                ratios=[0.5, 1.0, 2.0],
                strides=[8, 16, 32],
            ),
            loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=True),
            loss_bbox=dict(type="L1Loss"),
            **head,
        ),
        train_cfg=dict(
            assigner=dict(
                type="MaxIoUAssigner",
                pos_iou_thr=0.5,
                neg_iou_thr=0.4,
                min_pos_iou=0,
                ignore_iof_thr=-1,
            ),
            sampler=dict(type="PseudoSampler"),
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        ),
        test_cfg=dict(
            nms_pre=100,
            min_bbox_size=0,
            score_thr=0.0,
            nms=dict(type="nms", iou_threshold=0.5),
            max_per_img=10,
        ),
    )


def build_model(config):
    model = MODELS.build(config)
    model.init_weights()
    return model


def write_coco(root, num_images=6, seed=0, size=(96, 128), crowd=False):
    """Write a COCO set of coloured rectangles; classes get rarer by index."""
    rng = np.random.default_rng(seed)
    (root / "img").mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for index in range(num_images):
        height, width = (int(side - 16 * (index % 2)) for side in size)
        pixels = rng.integers(0, 80, (height, width, 3), dtype=np.uint8)
        for _ in range(int(rng.integers(1, 4))):
            w, h = (int(v) for v in rng.integers(14, 50, 2))
            x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
            label = int(rng.choice(3, p=[0.6, 0.3, 0.1]))
            pixels[y : y + h, x : x + w, label] = 230
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=index + 1,
                    category_id=label + 1,
                    bbox=[x, y, w, h],
                    area=w * h,
                    iscrowd=int(crowd and len(annotations) % 5 == 4),
                )
            )
        Image.fromarray(pixels).save(root / "img" / f"{index}.png")
        images.append(
            dict(id=index + 1, file_name=f"{index}.png", height=height, width=width)
        )
    content = dict(
        images=images,
        annotations=annotations,
        categories=[dict(id=i + 1, name=name) for i, name in enumerate(CLASSES)],
    )
    (root / "ann.json").write_text(json.dumps(content))
    return root / "ann.json"


RESIZE = dict(type="Resize", scale=(100, 90), keep_ratio=True)


def coco_dataset_config(root, transforms=(RESIZE,), **kwargs):
    return dict(
        type="CocoDataset",
        data_root=str(root),
        ann_file="ann.json",
        data_prefix=dict(img="img/"),
        metainfo=dict(classes=CLASSES),
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations", with_bbox=True),
            *transforms,
            dict(type="PackDetInputs"),
        ],
        **kwargs,
    )


def build_dataset(config):
    return DATASETS.build(config)
