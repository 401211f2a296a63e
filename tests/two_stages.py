"""Two-stage detectors of milliseconds, from the small models of the configs."""

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import Runner

from tests import toys

MODELS_OF_CONFIGS = Path(__file__).parents[1] / "configs" / "_base_" / "models"
BACKBONE = toys.retinanet_config().backbone
ANCHORS = dict(
    type="AnchorGenerator", scales=[4], ratios=[0.5, 1.0, 2.0], strides=[8, 16, 32]
)


def model_config(name="faster-rcnn", num_classes=3, **bbox_head):
    """Config of the model: ``faster-rcnn`` or ``mask-rcnn``."""
    model = Config.fromfile(MODELS_OF_CONFIGS / f"{name}_r18_fpn_small.py").model
    model.backbone = BACKBONE
    model.neck = dict(toys.retinanet_config().neck)
    model.rpn_head.update(in_channels=8, feat_channels=8)
    model.rpn_head.anchor_generator = ANCHORS
    for part in ("bbox", "mask"):
        if extractor := model.roi_head.get(f"{part}_roi_extractor"):
            extractor.update(out_channels=8, featmap_strides=[8, 16, 32])
            extractor.roi_layer.output_size = 2
    model.roi_head.bbox_head.update(
        in_channels=8,
        fc_out_channels=8,
        roi_feat_size=2,
        num_classes=num_classes,
        **bbox_head,
    )
    if "mask_head" in model.roi_head:
        model.roi_head.mask_head.update(
            in_channels=8, conv_out_channels=8, num_convs=1, num_classes=num_classes
        )
        model.train_cfg.rcnn.mask_size = 4
    return model


def config_of(root, name="faster-rcnn", **bbox_head):
    """Config of such a detector on a toy data set; all images are tested too."""
    dataset = toys.coco_dataset_config(root)
    loader = dict(
        batch_size=2,
        num_workers=0,
        sampler=dict(type="DefaultSampler", shuffle=False),
        dataset=dict(dataset, test_mode=True),
    )
    meta = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")
    pipeline = [
        dict(type="LoadImageFromFile"),
        toys.RESIZE,
        dict(type="PackDetInputs", meta_keys=meta),
    ]
    test = dict(loader, dataset=dict(dataset, test_mode=True, pipeline=pipeline))
    return Config(
        dict(
            model=model_config(name, **bbox_head).to_dict(),
            default_scope="mmdet",
            train_dataloader=loader,
            val_dataloader=test,
            test_dataloader=test,
        )
    )


def started(config, seed=0):
    """Build a detector whose classes differ, as if it were trained."""
    torch.manual_seed(seed)
    model = MODELS.build(config)
    model.init_weights()
    with torch.no_grad():
        model.roi_head.bbox_head.fc_cls.weight.normal_()
    return model.eval()


def write_weights(config, path, seed=0, classes=toys.CLASSES):
    """Write a checkpoint of such a detector; return its path."""
    model = started(config.model, seed)
    meta = dict(dataset_meta=dict(classes=classes))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return path


def figures_of(file, weights, **options):
    """Return the figures, as ``tools/test.py`` finds them."""
    config = Config.fromfile(file)
    config.model.test_cfg.rcnn.update(options)
    config.update(train_dataloader=None, val_dataloader=None, load_from=str(weights))
    return Runner.from_cfg(config).test()
