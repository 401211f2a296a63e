"""Configs with one trap each, by the code of the finding that is meant."""

import copy

from tests import toys
from tests.doctor_configs import OURS, PRELUDE, faster_rcnn, sound_config

RETINA = toys.retinanet_config().to_dict()
#: Without an inner pipeline's end, for a wrapper.
INNER = [*PRELUDE, toys.RESIZE]
OUTER = [
    dict(type="Mosaic", img_scale=(64, 64), prob=1.0),
    dict(type="RandomAffine", border=(-32, -32)),
    dict(type="FilterAnnotations", min_gt_bbox_wh=(1, 1)),
    dict(type="PackDetInputs"),
]
BN = dict(type="BN", requires_grad=True)
RFS = dict(type="imb_det.RepeatFactorSampler", repeat_thr=0.9)
FOCAL = dict(type="FocalLoss", use_sigmoid=True)


def retina(**head):
    model = copy.deepcopy(RETINA)
    model["bbox_head"].update(head)
    return model


def rcnn(**head):
    model = faster_rcnn()
    model["roi_head"]["bbox_head"].update(head)
    return model


def own(kind="CrossEntropyLoss", use_sigmoid=True, **options):
    return dict(type=f"imb_det.{kind}", use_sigmoid=use_sigmoid, **options)


def with_pipeline(root, *steps):
    """Return changes that put steps between loading and packing."""
    pipeline = [*PRELUDE, *steps, dict(type="PackDetInputs")]
    return {"train_dataloader.dataset.pipeline": pipeline}


def mixed(root, mosaic="Mosaic"):
    """Return a data set in a multi-image wrapper."""
    inner = toys.coco_dataset_config(root)
    inner["pipeline"] = INNER
    outer = [{**OUTER[0], "type": mosaic}, *OUTER[1:]]
    return dict(type="MultiImageMixDataset", dataset=inner, pipeline=outer)


def balanced(root, thr=0.9):
    inner = toys.coco_dataset_config(root)
    return dict(type="ClassBalancedDataset", oversample_thr=thr, dataset=inner)


def train_on(dataset, **loader):
    """Return changes that set the data set of the training, whole."""
    changes = {f"train_dataloader.{key}": value for key, value in loader.items()}
    return {"train_dataloader.dataset": {"_delete_": True, **dataset}, **changes}


def batch_norm():
    model = copy.deepcopy(RETINA)
    model["backbone"]["norm_cfg"] = BN
    return model


def test_cfg(**changes):
    model = copy.deepcopy(RETINA)
    model["test_cfg"].update(changes)
    return model


def anchors(**generator):
    """Configure a RetinaNet whose boxes claim no anchor of a low overlap."""
    model = copy.deepcopy(RETINA)
    model["bbox_head"]["anchor_generator"].update(generator)
    model["train_cfg"]["assigner"].update(min_pos_iou=0.3)
    return model


def rcnn_test_cfg(outside=None, **rcnn_part):
    model = faster_rcnn()
    model["test_cfg"]["rcnn"].update(rcnn_part)
    model["test_cfg"].update(outside or {})
    return model


#: Name: code, part of the text, model, function of the folder that returns changes.
TRAPS = {
    "classes of a dense head": ("num_classes", "5", retina(num_classes=5), None),
    "classes of a box head": ("num_classes", "80", faster_rcnn(80), None),
    "C weights in softmax": (
        "class_weight_length",
        "4 are needed",
        rcnn(
            loss_cls=dict(
                type="CrossEntropyLoss", use_sigmoid=False, class_weight=[1.0, 2.0, 4.0]
            )
        ),
        None,
    ),
    "C + 1 weights in sigmoid": (
        "class_weight_length",
        "3 are needed",
        retina(
            loss_cls=dict(
                type="CrossEntropyLoss",
                use_sigmoid=True,
                class_weight=[1.0, 2.0, 4.0, 1.0],
            )
        ),
        None,
    ),
    "weights that are no numbers": (
        "class_weight_length",
        "takes a list of numbers",
        retina(
            loss_cls=dict(
                type="CrossEntropyLoss", use_sigmoid=True, class_weight="inverse"
            )
        ),
        None,
    ),
    "own weights of another length": (
        "set_class_stats_refused",
        "class_weight",
        retina(loss_cls=own(class_weight=[1.0, 2.0])),
        lambda root: dict(custom_hooks=OURS),
    ),
    "mmdet's weights in the wrong order": (
        "class_weight_order",
        "'ant' 4",
        retina(
            loss_cls=dict(
                type="CrossEntropyLoss", use_sigmoid=True, class_weight=[4.0, 2.0, 1.0]
            )
        ),
        None,
    ),
    "own weights in the wrong order": (
        "class_weight_order",
        "'ant' 4",
        retina(loss_cls=own(class_weight=dict(ant=4.0, bee=2.0, cat=1.0))),
        lambda root: dict(custom_hooks=OURS),
    ),
    "mmdet's sigmoid in a softmax head": (
        "activation",
        "4 sigmoids",
        rcnn(loss_cls=FOCAL),
        None,
    ),
    "use_sigmoid left out": (
        "activation",
        "FocalLoss trains a sigmoid",
        retina(loss_cls=dict(type="FocalLoss")),
        None,
    ),
    "mosaic without a wrapper": (
        "multi_image",
        "Mosaic",
        None,
        lambda root: with_pipeline(root, OUTER[0]),
    ),
    "sampler beside mmdet's mosaic": (
        "even_partners",
        "evenly",
        None,
        lambda root: train_on(mixed(root), sampler={"_delete_": True, **RFS}),
    ),
    "repeats around mosaics": (
        "repeats_outside",
        "MultiImageMixDataset",
        None,
        lambda root: train_on(
            dict(type="ClassBalancedDataset", oversample_thr=0.9, dataset=mixed(root))
        ),
    ),
    "repeats and a sampler": (
        "repeated_twice",
        "ClassBalancedDataset",
        None,
        lambda root: train_on(balanced(root), sampler={"_delete_": True, **RFS}),
    ),
    "a sampler and weights": (
        "counts_twice",
        "RepeatFactorSampler and CrossEntropyLoss",
        retina(loss_cls=own(class_weight="inverse")),
        lambda root: {
            "train_dataloader.sampler": {"_delete_": True, **RFS},
            "custom_hooks": OURS,
        },
    ),
    "repeats and mmdet's weights": (
        "counts_twice",
        "ClassBalancedDataset",
        retina(
            loss_cls=dict(
                type="CrossEntropyLoss", use_sigmoid=True, class_weight=[1.0, 2.0, 4.0]
            )
        ),
        lambda root: train_on(balanced(root)),
    ),
    "validation without empty images": (
        "filtered_evaluation",
        "1 of 9",
        None,
        lambda root: {
            "val_dataloader.dataset.test_mode": False,
            "val_dataloader.dataset.filter_cfg": dict(filter_empty_gt=True),
        },
    ),
    "training without empty images": (
        "filtered_training",
        "1 of 9",
        None,
        lambda root: {
            "train_dataloader.dataset.filter_cfg": dict(filter_empty_gt=True),
        },
    ),
    "a filter nobody reads": (
        "unread_option",
        "filter_empty",
        None,
        lambda root: {"train_dataloader.dataset.filter_cfg": dict(filter_empty=True)},
    ),
    "max_per_img": (
        "few_detections",
        "max_per_img=1",
        test_cfg(max_per_img=1),
        None,
    ),
    "max_per_img of proposals": (
        "few_detections",
        "`model.test_cfg.rpn.max_per_img`",
        rcnn_test_cfg(dict(rpn=dict(max_per_img=1, nms_pre=100, min_bbox_size=0))),
        None,
    ),
    "nms_pre": ("few_candidates", "nms_pre", test_cfg(nms_pre=1), None),
    "LVIS with 100 detections": (
        "few_detections",
        "LVISMetric",
        test_cfg(max_per_img=100),
        lambda root: dict(
            val_evaluator=dict(
                _delete_=True, type="imb_det.LVISMetric", ann_file=f"{root}/lvis.json"
            )
        ),
    ),
    "score_thr": ("high_score_thr", "0.5", test_cfg(score_thr=0.5), None),
    "learning rate": (
        "learning_rate",
        "lr=0.01: the config says that it is for 16 images",
        None,
        lambda root: dict(auto_scale_lr=dict(enable=False, base_batch_size=16)),
    ),
    "weights without ImbalanceHook": (
        "absent_hook",
        "ImbalanceHook",
        retina(loss_cls=own(class_weight="inverse")),
        None,
    ),
    "statistics without ImbalanceHook": (
        "absent_hook",
        "ImbalanceHook",
        rcnn(loss_cls=own("SeesawLoss", False)),
        None,
    ),
    "difficulty without its hook": (
        "absent_hook",
        "ClassDifficultyHook",
        retina(loss_cls=own("CDBLoss")),
        lambda root: dict(custom_hooks=OURS),
    ),
    "multipliers without their hook": (
        "absent_hook",
        "CALSHook",
        rcnn(
            loss_cls=dict(
                type="imb_det.CALSLoss", loss=dict(type="imb_det.CrossEntropyLoss")
            )
        ),
        lambda root: dict(custom_hooks=OURS),
    ),
    "a sampler by difficulty without its hook": (
        "absent_hook",
        "CDBSampler",
        None,
        lambda root: {
            "train_dataloader.sampler": {
                "_delete_": True,
                "type": "imb_det.CDBSampler",
            },
            "custom_hooks": OURS,
        },
    ),
    "stages without their hook": (
        "stage_names",
        "StageHook",
        retina(loss_cls=own(class_weight=dict(stages=dict(a=None, b="inverse")))),
        lambda root: dict(custom_hooks=OURS),
    ),
    "verified classes without their hook": (
        "federated_hook",
        "FederatedHook",
        retina(loss_cls=own("FederatedLoss", source="annotation")),
        lambda root: dict(custom_hooks=OURS),
    ),
    "an average without buffers": (
        "average_without_buffers",
        "backbone.bn1",
        batch_norm(),
        lambda root: dict(custom_hooks=[dict(type="EMAHook")]),
    ),
    "save_best of masks": (
        "watched_key",
        "coco/segm_mAP",
        None,
        lambda root: {"default_hooks.checkpoint.save_best": "coco/segm_mAP"},
    ),
    "save_best of VOC": (
        "watched_key",
        "coco/bbox_mAP'",
        None,
        lambda root: {"default_hooks.checkpoint.save_best": "pascal_voc/mAP"},
    ),
    "early stopping by a figure of LVIS": (
        "watched_key",
        "EarlyStoppingHook",
        None,
        lambda root: dict(
            custom_hooks=[
                dict(type="EarlyStoppingHook", monitor="coco/bbox_AP", rule="greater")
            ]
        ),
    ),
    "a flip that never comes": (
        "idle_transform",
        "RandomFlip",
        None,
        lambda root: with_pipeline(
            root, toys.RESIZE, dict(type="RandomFlip", prob=0.0)
        ),
    ),
    "a crop that keeps everything": (
        "idle_transform",
        "RandomCrop",
        None,
        lambda root: with_pipeline(
            root, toys.RESIZE, dict(type="RandomCrop", crop_size=(999, 999))
        ),
    ),
    "steps in the wrong order": (
        "failing_transform",
        "RandomFlip",
        None,
        lambda root: {
            "train_dataloader.dataset.pipeline": [
                dict(type="LoadAnnotations", with_bbox=True),
                dict(type="RandomFlip", prob=1.0),
                dict(type="LoadImageFromFile"),
                dict(type="PackDetInputs"),
            ]
        },
    ),
    "a filter that keeps nothing": (
        "refused_images",
        "FilterAnnotations",
        None,
        lambda root: with_pipeline(
            root, dict(type="FilterAnnotations", min_gt_bbox_wh=(999, 999))
        ),
    ),
    "normalised twice": (
        "done_twice",
        "Normalize",
        dict(
            RETINA,
            data_preprocessor=dict(
                type="DetDataPreprocessor", mean=[1, 1, 1], std=[9, 9, 9]
            ),
        ),
        lambda root: with_pipeline(
            root,
            toys.RESIZE,
            dict(type="Normalize", mean=[1, 1, 1], std=[9, 9, 9]),
        ),
    ),
    "custom_keys of no parameter": (
        "unread_option",
        "custom_keys['backbones']",
        None,
        lambda root: {
            "optim_wrapper.paramwise_cfg": dict(
                custom_keys=dict(backbones=dict(lr_mult=0.1))
            )
        },
    ),
    "test_cfg outside of rcnn": (
        "unread_option",
        "`model.test_cfg.score_thr`",
        rcnn_test_cfg(dict(score_thr=0.01)),
        None,
    ),
    "test_cfg with a slip": (
        "unread_option",
        "Write `score_thr`",
        test_cfg(score_threshold=0.01),
        None,
    ),
    "a checkpoint that is not there": (
        "missing_checkpoint",
        "`load_from`",
        None,
        lambda root: dict(load_from="nowhere/epoch_12.pth"),
    ),
    "weights of a backbone that are not there": (
        "missing_checkpoint",
        "`model.backbone.init_cfg.checkpoint`",
        dict(
            RETINA,
            backbone=dict(
                RETINA["backbone"],
                init_cfg=dict(type="Pretrained", checkpoint="resnet18.pth"),
            ),
        ),
        None,
    ),
    "no validation": (
        "no_validation",
        "val_interval=5",
        None,
        lambda root: {"train_cfg.val_interval": 5},
    ),
    "a schedule that ends early": (
        "scheduler_end",
        "long before",
        None,
        lambda root: dict(
            param_scheduler=[
                dict(type="CosineAnnealingLR", by_epoch=True, T_max=2, end=2)
            ]
        ),
    ),
    "a schedule that ends late": (
        "scheduler_end",
        "at a high rate",
        None,
        lambda root: dict(
            param_scheduler=[
                dict(type="CosineAnnealingLR", by_epoch=True, T_max=12, end=12)
            ]
        ),
    ),
    "milestones after the end": (
        "scheduler_end",
        "after the end",
        None,
        lambda root: dict(
            param_scheduler=[
                dict(type="MultiStepLR", by_epoch=True, milestones=[8, 11], end=12)
            ]
        ),
    ),
    "a warm-up in epochs": (
        "scheduler_unit",
        "by_epoch=False",
        None,
        lambda root: dict(
            param_scheduler=[dict(type="LinearLR", start_factor=0.1, end=16)]
        ),
    ),
    "milestones in iterations": (
        "scheduler_unit",
        "by_epoch=True",
        None,
        lambda root: dict(
            param_scheduler=[
                dict(type="MultiStepLR", by_epoch=False, milestones=[2, 3])
            ]
        ),
    ),
    "epochs in a training of iterations": (
        "scheduler_unit",
        "never moves",
        None,
        lambda root: dict(
            train_cfg=dict(
                _delete_=True, type="IterBasedTrainLoop", max_iters=9, val_interval=9
            )
        ),
    ),
    "anchors larger than all boxes": (
        "no_positive",
        "14 of 14 (100.00%)",
        anchors(octave_base_scale=64),
        None,
    ),
    "an unknown type in the model": ("model", "Retina", dict(type="RetinaNot"), None),
    "an unknown transform": (
        "train_data",
        "RandomFlop",
        None,
        lambda root: with_pipeline(root, dict(type="RandomFlop")),
    ),
    "an unknown hook": (
        "hook",
        "NoHook",
        None,
        lambda root: dict(custom_hooks=[dict(type="NoHook")]),
    ),
    "an unknown metric": (
        "val_metrics",
        "NoMetric",
        None,
        lambda root: dict(val_evaluator=dict(type="NoMetric")),
    ),
    "a model that cannot be built": (
        "model",
        "in_channels",
        dict(RETINA, bbox_head=dict(type="RetinaHead", num_classes=3)),
        None,
    ),
    "a data set that cannot be built": (
        "train_data",
        "nothing.json",
        None,
        lambda root: {"train_dataloader.dataset.ann_file": "nothing.json"},
    ),
}

#: Configs that look like traps and are none: model, function that returns changes.
SOUND = {
    "a rate that follows the batch": (
        None,
        lambda root: dict(auto_scale_lr=dict(enable=True, base_batch_size=16)),
    ),
    "an average with buffers": (
        batch_norm(),
        lambda root: dict(custom_hooks=[dict(type="EMAHook", update_buffers=True)]),
    ),
    "an average of layers that stand still": (
        dict(batch_norm(), backbone=dict(batch_norm()["backbone"], norm_eval=True)),
        lambda root: dict(custom_hooks=[dict(type="EMAHook")]),
    ),
    "one schedule after the other": (
        None,
        lambda root: dict(
            param_scheduler=[
                dict(type="LinearLR", start_factor=0.1, by_epoch=False, end=2),
                dict(
                    type="CosineAnnealingLR",
                    by_epoch=True,
                    T_max=2,
                    end=2,
                    convert_to_iter_based=True,
                ),
                dict(type="ConstantLR", by_epoch=True, factor=1, begin=2, end=4),
            ]
        ),
    ),
    "iterations": (
        None,
        lambda root: dict(
            train_cfg=dict(
                _delete_=True, type="IterBasedTrainLoop", max_iters=9, val_interval=9
            ),
            param_scheduler=[
                dict(type="MultiStepLR", by_epoch=False, milestones=[6, 8])
            ],
        ),
    ),
    "keys for other models": (
        None,
        lambda root: {
            "optim_wrapper.paramwise_cfg": dict(
                custom_keys=dict(absolute_pos_embed=dict(lr_mult=0.1))
            )
        },
    ),
    "weights, and what counts for them": (
        retina(loss_cls=own(class_weight="inverse")),
        lambda root: dict(custom_hooks=OURS),
    ),
    "weights for the classes of mmdet's loss": (
        rcnn(
            loss_cls=dict(
                type="CrossEntropyLoss",
                use_sigmoid=False,
                class_weight=[1.0, 2.0, 4.0, 1.0],
            )
        ),
        None,
    ),
    "a sampler, and its mosaic": (
        None,
        lambda root: train_on(
            mixed(root, "imb_det.Mosaic"), sampler=dict(_delete_=True, **RFS)
        ),
    ),
    "save_best of boxes and of a group": (
        None,
        lambda root: {
            "default_hooks.checkpoint.save_best": ["coco/bbox_mAP", "coco/bbox_ARf"],
            "default_hooks.checkpoint.rule": "greater",
            "val_evaluator.type": "imb_det.CocoMetric",
            "custom_hooks": [
                dict(type="imb_det.ImbalanceHook", group_thresholds=[1, 2])
            ],
        },
    ),
}


def trapped(root, name):
    """Return the config of a trap, the code that is meant and a part of its text."""
    code, text, model, changes = TRAPS[name]
    return sound_config(root, model, **(changes(root) if changes else {})), code, text
