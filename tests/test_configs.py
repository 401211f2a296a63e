"""Every config loads, builds, takes a training step and predicts."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from mmdet.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    METRICS,
    MODELS,
    TASK_UTILS,
)
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.structures import InstanceData, PixelData

from imb_det.checks import check_multi_image, check_skipped_types, check_switches
from imb_det.core import CheckContext, HandOver, Stage
from imb_det.core.listener import ClassStatsListener
from imb_det.decoupled import FreezeHook
from imb_det.heads.head_counts import counts_of_heads
from imb_det.hooks import StageHook
from imb_det.losses import manage_statistics
from imb_det.prior import PriorInitHook
from imb_det.prior.classification_bias import find_biases, find_head
from imb_det.statistics import ClassStats
from imb_det.transforms.skipped_types import widen_skipped_types
from tests import toys
from tests.contracts.discovery import classification_losses
from tests.labelled_sets import LabelledDataset
from tests.tiny_sets import write_odvg

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(
    path
    for path in (ROOT / "configs").rglob("*.py")
    if not {"_base_", "experiments"} & set(path.relative_to(ROOT).parts)
)
FOLDERS = sorted({path.parent for path in CONFIGS})
SIDE = 128


#: Whose models are steps of everyday configs, with other classes and losses.
WEEKLY = {
    "class_weight/mask2former_r50_sqrt-inverse_rfs-1e-3_8xb2-lsj-50e_lvis-v1",
    "copy_paste/mask2former_r50_rare-copy-paste_rfs-1e-3_8xb2-lsj-50e_lvis-v1",
    "copy_paste/mask-rcnn_r50_fpn_rare-copy-paste_lsj-100e_coco",
    "efl/rtmdet_tiny_eqfl_rfs-1e-3_8xb32-300e_lvis-v1",
    "efl/yolox_nano_eqfl_rfs-1e-3_8xb8-300e_lvis-v1",
    "federated/deformable-detr_r50_federated_rfs-1e-3_16xb2-50e_lvis-v1",
    "federated/dino-4scale_r50_federated_rfs-1e-3_8xb2-12e_lvis-v1",
    "multi_image/rtmdet_tiny_cached-rfs_8xb32-300e_coco",
    "multi_image/rtmdet_tiny_mosaic-mixup-rfs_8xb32-300e_coco",
    "multi_image/yolox_s_mosaic-mixup-rfs_8xb8-300e_coco",
}
#: Which need a language model; the test of their data stands at the end.
OF_TEXTS = {"rfs/grounding-dino_swin-t_finetune_rfs-1e-3_16xb4_1x_lvis-v1"}


def name_of(path):
    return path.relative_to(ROOT / "configs").with_suffix("").as_posix()


def load(name):
    return Config.fromfile(ROOT / "configs" / f"{name}.py")


def make_batch(num_classes):
    generator = torch.Generator().manual_seed(0)
    samples, images = [], []
    for _ in range(2):
        sample = DetDataSample()
        corners = torch.rand(3, 2, generator=generator) * 60
        sides = torch.rand(3, 2, generator=generator) * 40 + 20
        boxes = torch.cat([corners, corners + sides], 1)
        masks = np.zeros((3, SIDE, SIDE), np.uint8)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist(), strict=True):
            mask[y1:y2, x1:x2] = 1
        sample.gt_instances = InstanceData(
            bboxes=boxes,
            labels=torch.randint(num_classes, (3,), generator=generator),
            masks=BitmapMasks(masks, SIDE, SIDE),
        )
        sample.ignored_instances = InstanceData(
            bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long)
        )
        sample.set_metainfo(
            dict(
                img_shape=(SIDE, SIDE),
                ori_shape=(SIDE, SIDE),
                scale_factor=(1.0, 1.0),
                img_id=0,
            )
        )
        samples.append(sample)
        images.append(
            torch.randint(256, (3, SIDE, SIDE), generator=generator, dtype=torch.uint8)
        )
    return dict(inputs=images, data_samples=samples)


def add_maps(batch, num_classes):
    """Add a map of classes, part of it void, to each image."""
    for sample in batch["data_samples"]:
        labels = torch.randint(num_classes, (1, SIDE // 8, SIDE // 8))
        labels[0, 0] = 255
        labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
        sample.gt_sem_seg = PixelData(sem_seg=labels)


def without_pretrained(config):
    """Drop weights that would be downloaded, and what is kept of frozen layers."""
    for part in config.values():
        if isinstance(part, dict):
            without_pretrained(part)
    if (config.get("init_cfg") or {}).get("type") == "Pretrained":
        config["init_cfg"] = None
    if config.get("frozen_cache"):
        config["frozen_cache"] = "memory"


def with_few_proposals(config):
    """Keep what a second stage costs small."""
    if "rpn_head" in config:
        config.train_cfg.rpn_proposal.max_per_img = 50
        config.test_cfg.rpn.max_per_img = 8  # NMS goes class by class from 10,000 on
        config.test_cfg.rcnn.max_per_img = 10


WIDTHS = (
    "base_channels",
    "conv_out_channels",
    "fc_out_channels",
    "feat_channels",
    "in_channels",
    "out_channels",
    "stem_channels",
)


def with_an_eighth_of_the_channels(config):
    """Make a full-size model narrow; what does not fit together still does not."""
    backbone = config.backbone
    small = "base_channels" in backbone or "widen_factor" in backbone
    if small or "frozen_cache" in backbone:
        return
    if transformers := _transformers(config):  # whose widths depend on one another
        for part in transformers:
            part.num_layers = 1
        if "num_queries" in config:
            config.num_queries = 20
        return
    backbone.base_channels = backbone.stem_channels = 64
    parts = [config]
    while parts:
        part = parts.pop()
        for key, value in part.items():
            inside = value if isinstance(value, (list, tuple)) else [value]
            if key in WIDTHS:
                widths = [width // 8 for width in inside]
                part[key] = widths if value is inside else widths[0]
            parts += [item for item in inside if isinstance(item, dict)]


def _transformers(config):
    """Encoders and decoders of a model of queries."""
    head = config.get("panoptic_head", {})
    places = (config, head, head.get("pixel_decoder", {}))
    names = ("encoder", "decoder", "transformer_decoder")
    return [place[name] for place in places for name in names if name in place]


def classes_of(cfg):
    """Names of the classes, without the annotation files."""
    dataset = cfg.val_dataloader.dataset
    return (
        dataset.get("metainfo", {}).get("classes")
        or DATASETS.get(dataset.type).METAINFO["classes"]
    )


def things_of(cfg):
    """Names of the classes with boxes, of a panoptic set not all."""
    metainfo = DATASETS.get(cfg.val_dataloader.dataset.type).METAINFO
    return metainfo.get("thing_classes") or classes_of(cfg)


def hand_over_counts(model, classes, things=()):
    """Do what ImbalanceHook does before the first iteration."""
    count = 1 + 1000 // np.arange(1, len(classes) + 1)
    of_pixels = {}
    if 0 < len(things) < len(classes):
        of_pixels = dict(pixel_count=50 * count, thing_classes=things)
    stats = ClassStats(classes, count, count, 2000, **of_pixels)
    parts = list(model.modules())
    own = counts_of_heads(parts, stats)
    HandOver(ClassStatsListener, "set_class_stats")(parts, stats, own=own)
    for part in parts:
        if hasattr(part, "set_class_difficulty_weights"):
            part.set_class_difficulty_weights(torch.ones(len(classes)))
        if hasattr(part, "set_multipliers"):
            part.set_multipliers(*torch.ones(2, len(classes) + 1))
    manage_statistics(model)


def enter_last_stage(model, hooks):
    """Do what StageHook does, where there is one; the stages are those of the model."""
    for hook in hooks:
        if isinstance(hook, StageHook):
            names = hook.stages.names
            listeners = [part for part in model.modules() if hasattr(part, "set_stage")]
            known = {tuple(part.stage_names) for part in listeners} - {()}
            freezes = any(isinstance(each, FreezeHook) for each in hooks)
            assert known == {names} or (freezes and not known)
            for part in listeners:
                part.set_stage(Stage(names[-1], len(names) - 1, names))
                if hasattr(part, "set_stage_progress"):
                    part.set_stage_progress(0.5)


def check_sampler(cfg):
    """Build the training sampler on a made-up tail of the config's classes."""
    config = cfg.train_dataloader.sampler.to_dict()
    if not config["type"].startswith("imb_det."):
        return
    wrappers = cfg.train_dataloader.dataset
    while "dataset" in wrappers:  # its wrappers must not repeat rare classes too
        assert wrappers.type != "ClassBalancedDataset"
        wrappers = wrappers.dataset
    num_classes = len(classes_of(cfg))
    labels = [[c] for c in range(num_classes) for _ in range(1 + 200 // (1 + c))]
    dataset = LabelledDataset(labels, num_classes)
    sampler = DATA_SAMPLERS.build(config, default_args=dict(dataset=dataset, seed=0))
    wanted = config.get("num_samples", sampler.length)
    assert len(list(sampler)) == (len(labels) if wanted == "dataset" else wanted)


def steps_of_configs():
    """The configs whose models can be built here, heavy ones once a week."""
    for path in CONFIGS:
        name = name_of(path)
        if name not in OF_TEXTS:
            marks = pytest.mark.weekly if name in WEEKLY else ()
            yield pytest.param(path, id=name, marks=marks)


@pytest.mark.parametrize("path", list(steps_of_configs()))
def test_config(path):
    cfg = Config.fromfile(path)
    assert cfg.custom_imports["imports"] == ["imb_det"]
    assert "imb_det.ImbalanceHook" in [hook["type"] for hook in cfg.custom_hooks]
    built = [
        HOOKS.build({k: v for k, v in hook.items() if k != "priority"})
        for hook in cfg.custom_hooks
    ]
    hooks = [type(hook).__name__ for hook in built]
    without_pretrained(cfg.model)
    with_few_proposals(cfg.model)
    with_an_eighth_of_the_channels(cfg.model)
    cfg.model.data_preprocessor.pop("batch_augments", None)  # to full size
    model = toys.build_model(cfg.model)
    for hook in built:
        if isinstance(hook, PriorInitHook):  # it will find its layer
            head = find_head(model, hook.head, hook.foreground_share)
            for bias in find_biases(head, hook.head, hook.layer).values():
                assert bias.ndim == 1
    sampler = DATA_SAMPLERS.get(cfg.train_dataloader.sampler.type)
    check_sampler(cfg)
    if "ClassDifficultyHook" in hooks:
        takers = [sampler, *model.modules()]
        assert any(hasattr(t, "set_class_difficulty_weights") for t in takers)
    num_classes = len(things_of(cfg))
    heads = [m for m in model.modules() if hasattr(m, "loss_cls")]
    assert heads[-1].num_classes == num_classes
    if model.with_mask:
        assert model.roi_head.mask_head.num_classes == num_classes
    hand_over_counts(model, classes_of(cfg), things_of(cfg))
    enter_last_stage(model, built)
    model.train()
    batch = make_batch(num_classes)
    if hasattr(model, "semantic_head"):
        add_maps(batch, len(classes_of(cfg)))
    if "RTMDet" in cfg.model.type:  # which wants tensors where there are masks
        for sample in batch["data_samples"]:
            del sample.gt_instances.masks
    data = model.data_preprocessor(batch, training=True)
    total, log = model.parse_losses(model(**data, mode="loss"))
    total.backward()
    assert all(value.isfinite().all() for value in log.values())
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"{name} has no gradient"
            assert parameter.grad.isfinite().all(), name
    model.eval()
    with torch.no_grad():
        data = model.data_preprocessor(make_batch(1), training=False)
        (first, _) = model(**data, mode="predict")
    if hasattr(model, "semantic_head"):
        assert first.pred_panoptic_seg.sem_seg.shape == (1, SIDE, SIDE)
        return
    assert first.pred_instances.bboxes.shape[1] == 4
    assert (first.pred_instances.labels < num_classes).all()


#: Configs that train a part of a detector, and that part.
SECOND_STAGES = {
    "acsl/mask-rcnn_r50_fpn_acsl-stage-2_ms-1x_lvis-v1": ("bbox_head.fc_cls",),
    "bags/mask-rcnn_r50_fpn_bags-stage-2_ms-1x_lvis-v1": ("bbox_head.fc_cls",),
    "ebl/mask-rcnn_r50_fpn_ebl-normed-mask-stage-2_ms-2x_lvis-v1": (
        "bbox_head.fc_cls",
        "bbox_head.fc_reg",
        "mask_head",
        "rpn_head",
    ),
}


#: From what `tools/expand_head.py` writes; `test_decoupled/test_three_steps.py`.
EXPANDED = {
    f"decoupled/faster-rcnn_lite0_fpn_simltd-{step}_boards-lt"
    for step in ("tail", "joint")
}


def test_second_stages_are_known():
    starting = {name_of(path) for path in CONFIGS if "load_from =" in path.read_text()}
    assert starting == set(SECOND_STAGES) | EXPANDED


@pytest.mark.parametrize(("name", "parts"), SECOND_STAGES.items())
def test_second_stage_changes_its_part_alone(name, parts):
    cfg = load(name)
    run, checkpoint = Path(cfg.load_from).parts[1:]
    (first,) = [path for path in CONFIGS if path.stem == run]
    first = load(name_of(first))
    assert checkpoint == f"epoch_{first.train_cfg.max_epochs}.pth"
    for config in (first, cfg):
        without_pretrained(config.model)
        with_few_proposals(config.model)
        with_an_eighth_of_the_channels(config.model)
    model = toys.build_model(cfg.model)
    loaded = MODELS.build(first.model).state_dict()
    for key, value in model.state_dict().items():
        fits = key in loaded and loaded[key].shape == value.shape
        assert fits or "bbox_head.fc_cls" in key or "loss" in key, key
    hand_over_counts(model, classes_of(cfg))
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.train()
    data = model.data_preprocessor(make_batch(1203), training=True)
    total, _ = model.parse_losses(model(**data, mode="loss"))
    optimizer.update_params(total)
    changed = {
        key
        for key, value in model.state_dict().items()
        if not value.equal(before[key]) and "loss" not in key  # their counts
    }
    assert changed == {
        key for key, _ in model.named_parameters() if any(part in key for part in parts)
    }


#: Configs of pipelines that mix images or are switched, and how partners are chosen.
MIXING = {
    "copy_paste/mask-rcnn_r50_fpn_rare-copy-paste_lsj-100e_coco": "imb_det.RareCopy",
    "efl/rtmdet_tiny_eqfl_rfs-1e-3_8xb32-300e_lvis-v1": "CachedMosaic, CachedMixUp",
    "efl/yolox_nano_eqfl_rfs-1e-3_8xb8-300e_lvis-v1": "imb_det.Mosaic by the weights",
    "multi_image/rtmdet_tiny_cached-rfs_8xb32-300e_coco": "CachedMosaic, CachedMixUp",
    "multi_image/rtmdet_tiny_mosaic-mixup-rfs_8xb32-300e_coco": "imb_det.Mosaic, imb_",
    "multi_image/yolox_s_mosaic-mixup-rfs_8xb8-300e_coco": "imb_det.Mosaic, imb_det.M",
}


@pytest.mark.parametrize("name", MIXING)
def test_pipelines_that_mix_images_are_served_and_switched(name):
    cfg = load(name)
    plain = leaf = cfg.train_dataloader.to_dict()["dataset"]
    while "dataset" in leaf:
        leaf = leaf["dataset"]
    made_up = dict(labels_per_image=[[0]] * 40 + [[1]], num_classes=2)
    made_up |= dict(type="imb_det.LabelledDataset", pipeline=leaf["pipeline"])
    leaf.clear()
    leaf.update(made_up)
    hooks = [
        HOOKS.build({key: value for key, value in hook.items() if key != "priority"})
        for hook in cfg.custom_hooks
        if "Switch" in hook["type"]
    ]
    dataset = DATASETS.build(plain)
    widen_skipped_types(hooks, dataset)
    loop = SimpleNamespace(max_epochs=cfg.train_cfg.max_epochs)
    context = CheckContext(datasets=dict(train=dataset), hooks=hooks, train_loop=loop)
    checks = (check_multi_image, check_skipped_types, check_switches)
    found = [(f.code, f.severity.value) for check in checks for f in check(context)]
    assert found == [("switches", "info")] * len(hooks)
    config = dict(cfg.train_dataloader.sampler.to_dict(), repeat_thr=0.5)
    sampler = DATA_SAMPLERS.build(config, default_args=dict(dataset=dataset, seed=0))
    receipt = sampler.receipt()
    assert receipt.partners.startswith(MIXING[name])
    assert not [w for w in receipt.warnings if "evenly" in w]


@pytest.mark.parametrize("name", sorted(OF_TEXTS))
def test_data_of_a_detector_of_texts(name, tmp_path):
    cfg = load(name)
    assert cfg.model.type == "GroundingDINO"
    config = cfg.train_dataloader.dataset.to_dict()
    images = [[0]] * 1500 + [[1]]
    write_odvg(tmp_path, config, images, ("cat", "dog"))
    config |= dict(data_root=str(tmp_path), pipeline=[])
    sampler = DATA_SAMPLERS.build(
        cfg.train_dataloader.sampler.to_dict(),
        default_args=dict(dataset=DATASETS.build(config), seed=0),
    )
    assert sampler.class_stats.image_count.tolist() == [1500, 1]
    assert sampler.image_weights(0)[-1] == pytest.approx((1e-3 * 1501) ** 0.5)
    assert cfg.val_evaluator.type == "imb_det.LVISMetric"
    assert cfg.val_evaluator.fixed_ap
    assert METRICS.get(cfg.val_evaluator.type).default_prefix == "lvis"


FOCAL = "sampling_free/retinanet_r18_fpn_focal_"
BCE = "sampling_free/retinanet_r18_fpn_bce_"
TWINS = [
    ("sampling_free/retinanet_r18_fpn_sampling-free_longtail-digits", FOCAL),
    ("sampling_free/retinanet_r18_fpn_sampling-free_bccd", FOCAL),
    ("focal/retinanet_r18_fpn_imb-focal_longtail-digits", FOCAL),
    ("focal/retinanet_r18_fpn_imb-focal_bccd", FOCAL),
    ("ghm/retinanet_r18_fpn_ghmc_longtail-digits", FOCAL),
    ("ghm/retinanet_r18_fpn_ghmc_bccd", FOCAL),
    ("class_weight/retinanet_r18_fpn_sqrt-inverse_longtail-digits", BCE),
    ("class_weight/retinanet_r18_fpn_sqrt-inverse_bccd", FOCAL),
    ("cdb/retinanet_r18_fpn_cdb-score_longtail-digits", BCE),
    ("cdb/retinanet_r18_fpn_cdb-score_bccd", FOCAL),
    ("cdb/retinanet_r18_fpn_cdb-sampler_longtail-digits", FOCAL),
    ("cdb/retinanet_r18_fpn_cdb-sampler_bccd", FOCAL),
    ("rfs/retinanet_r18_fpn_rfs_longtail-digits", FOCAL),
    ("rfs/retinanet_r18_fpn_rfs_bccd", FOCAL),
]
METHOD_HOOKS = (
    "imb_det.PriorInitHook",
    "imb_det.ClassDifficultyHook",
    "imb_det.GradientHook",
)
#: Small models with a twin for each heuristic; what they share is the first twin.
FAMILIES = [
    ("fcos_r18_fpn", "bccd", ["focal", "ghmc"]),
    ("fcos_r18_fpn", "longtail-digits", ["focal", "ghmc"]),
    ("atss_r18_fpn", "longtail-digits", ["focal"]),
    ("faster-rcnn_r18_fpn", "longtail-digits", ["biased-sampling", "ohem"]),
    ("faster-rcnn_r18_fpn", "tiny-coco", ["biased-sampling", "ohem"]),
    ("mask-rcnn_r18_fpn", "longtail-digits", ["biased-sampling", "ohem"]),
    ("mask-rcnn_r18_fpn", "tiny-coco", ["biased-sampling", "ohem"]),
    ("cascade-rcnn_r18_fpn", "longtail-digits", ["biased-sampling"]),
]
PAIRS = [(name, twin + name.rsplit("_", 1)[1]) for name, twin in TWINS] + [
    (
        f"sampling_free/{model}_{method}_{data}",
        f"sampling_free/{model}_{twins[0]}_{data}",
    )
    for model, data, twins in FAMILIES
    for method in ["sampling-free", *twins[1:]]
]


def without_method(ours, twin):
    """Put what methods change, from the twin into the config; nothing else."""
    for cfg in (ours, twin):
        cfg.custom_hooks = [
            hook for hook in cfg.custom_hooks if hook.type not in METHOD_HOOKS
        ]
    if ours.train_dataloader.sampler.type.startswith("imb_det."):
        ours.train_dataloader.sampler = twin.train_dataloader.sampler
    models = ours.model, twin.model
    if "rpn_head" not in ours.model:
        heads = [tuple(model.bbox_head for model in models)]
        heads[0][0].loss_cls = twin.model.bbox_head.loss_cls
    else:
        heads = [tuple(model.rpn_head for model in models)]
        boxes = [as_list(model.roi_head.bbox_head) for model in models]
        heads += zip(*boxes, strict=True)
        stages = [
            [model.train_cfg.rpn, *as_list(model.train_cfg.rcnn)] for model in models
        ]
        for mine, other in zip(*stages, strict=True):
            mine.sampler = other.sampler
    for mine, other in heads:
        mine.type = other.type
        for option in ("cls_loss_scale", "momentum", "regression_losses"):
            mine.pop(option, None)


def as_list(value):
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize(("name", "twin"), PAIRS, ids=[name for name, _ in PAIRS])
def test_twins_differ_in_the_method_alone(name, twin):
    ours, twin = load(name), load(twin)
    without_method(ours, twin)
    # Names that a config gives to its parts on the way.
    for key in ours.keys() - twin.keys():
        assert ours.pop(key) is not None
    assert ours.to_dict() == twin.to_dict()


@pytest.mark.parametrize(
    ("name", "num_images"),
    [
        ("cdb/retinanet_r18_fpn_cdb-recall_longtail-digits", 1500),
        ("cdb/faster-rcnn_r50_fpn_cdb-recall_1x_coco", 117266),
        ("loss_wrappers/faster-rcnn_r18_fpn_cals_4e_longtail-digits", 1500),
    ],
)
def test_held_out_images_are_the_rest_of_the_training_set(name, num_images):
    cfg = load(name)
    ours = cfg.train_dataloader.to_dict()["dataset"]
    (hook,) = [hook for hook in cfg.custom_hooks if "held_out" in hook]
    theirs = hook.held_out.to_dict()["dataset"]
    assert ours.pop("indices") - theirs.pop("indices") == num_images
    for part in (ours, theirs, *ours["pipeline"], *theirs["pipeline"]):
        part.pop("_scope_", None)
    ours["pipeline"] = [s for s in ours["pipeline"] if "Random" not in s["type"]]
    assert theirs == ours


@pytest.mark.parametrize(
    "name", ["1x_coco", "voc0712", "sample1e-3_ms-1x_lvis-v1"], ids=lambda name: name
)
def test_retinanet_has_the_box_loss_of_the_authors(name):
    # Smooth L1 with beta 0.11 of 10 dx / w, 10 dy / h, 5 log dw, 5 log dh; its mean.
    head = load(f"sampling_free/retinanet_r50_fpn_sampling-free_{name}").model.bbox_head
    coder, loss = TASK_UTILS.build(head.bbox_coder), MODELS.build(head.loss_bbox)
    anchors = torch.tensor([[0.0, 0.0, 20.0, 40.0], [10.0, 10.0, 20.0, 20.0]])
    boxes = torch.tensor([[2.0, 0.0, 22.0, 44.0], [10.05, 10.0, 20.05, 20.0]])
    deltas = [10 * 2 / 20, 10 * 2 / 40, 5 * math.log(1.1), 10 * 0.05 / 10]
    expected = sum(d - 0.055 if d >= 0.11 else d**2 / 0.22 for d in deltas) / 8
    targets = coder.encode(anchors, boxes)
    found = loss(torch.zeros_like(targets), targets, avg_factor=len(boxes))
    assert float(found) == pytest.approx(expected, abs=1e-5)


def test_every_loss_has_a_config():
    text = "".join(path.read_text() for path in CONFIGS)
    missing = [n for n in classification_losses() if f'"imb_det.{n}"' not in text]
    assert not missing, f"no config in configs/ has {missing} at work: add one for each"


def test_names_are_unique():
    # Work folders and mim know a config by its name without the folder.
    names = [path.stem for path in CONFIGS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_metafile_and_readme_list_every_config(folder):
    content = yaml.safe_load((folder / "metafile.yml").read_text())
    collection = content["Collections"][0]
    assert ROOT / collection["README"] == folder / "README.md"
    models = {model["Config"]: model for model in content["Models"]}
    assert {ROOT / path for path in models} == set(folder.glob("*.py"))
    readme = (folder / "README.md").read_text()
    for path, model in models.items():
        assert model["Name"] == Path(path).stem
        assert model["In Collection"] == collection["Name"]
        assert f"({Path(path).name})" in readme
