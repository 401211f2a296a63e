"""Shrunk YOLOX and RTMDet train over the switch of their pipelines, and resume."""

import pytest
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import HOOKS
from mmengine.config import ConfigDict
from mmengine.hooks import Hook

from imb_det.registry import TRANSFORMS
from tests.tiny_sets import write_voc
from tests.toy_runner import METAINFO, PIPELINE, dataset_config, make_runner

pytestmark = pytest.mark.usefixtures("one_thread")
CAT, DOG = ("cat", (3, 3, 20, 20)), ("dog", (10, 5, 33, 28))
SCENES = [[CAT], [CAT], [CAT, CAT], [CAT, DOG]]
SIDE = 32
SCALE = dict(img_scale=(SIDE, SIDE))
LOAD = PIPELINE[:2]
NORM = dict(type="GN", num_groups=2)
RFS = dict(type="imb_det.RepeatFactorSampler", repeat_thr=0.9, power=1.0)
KEYS = ("img_id", "img_shape", "is_mixed")


@TRANSFORMS.register_module()
class TellsMixed(BaseTransform):
    """Tells whether others are in the picture: single ones are 40 x 30 pixels."""

    def transform(self, results):
        return results | dict(is_mixed=results["img"].shape[:2] != (30, 40))


@HOOKS.register_module()
class SeenPictures(Hook):
    """Keeps which pictures of each epoch were mixed."""

    def before_train(self, runner):
        self.of_epochs = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        mixed = [sample.is_mixed for sample in data_batch["data_samples"]]
        self.of_epochs.setdefault(runner.epoch, []).extend(mixed)


TO_SIZE = [
    dict(type="Resize", scale=(SIDE, SIDE), keep_ratio=True),
    dict(type="Pad", size=(SIDE, SIDE)),
    dict(type="RandomFlip", prob=0.5),
]
TELL, PACK = dict(type="imb_det.TellsMixed"), dict(type="PackDetInputs", meta_keys=KEYS)
YOLOX_PIPELINE = [
    dict(type="imb_det.Mosaic", **SCALE),
    TELL,
    dict(type="RandomAffine", border=(-SIDE // 2, -SIDE // 2), max_shear_degree=0.0),
    dict(type="imb_det.MixUp", ratio_range=(0.8, 1.6), **SCALE),
    *TO_SIZE,
    dict(type="FilterAnnotations", min_gt_bbox_wh=(1, 1), keep_empty=False),
    PACK,
]
CACHED = [
    *LOAD,
    dict(type="CachedMosaic", **SCALE),
    TELL,
    *TO_SIZE,
    dict(type="CachedMixUp", ratio_range=(1.0, 1.0), **SCALE),
    PACK,
]
SINGLE = [TELL, *TO_SIZE, PACK]


def yolox():
    shared = dict(norm_cfg=NORM, act_cfg=dict(type="Swish"))
    return ConfigDict(
        type="YOLOX",
        data_preprocessor=dict(type="DetDataPreprocessor", pad_size_divisor=32),
        backbone=dict(
            type="CSPDarknet",
            deepen_factor=0.1,
            widen_factor=0.125,
            out_indices=(2, 3, 4),
            **shared,
        ),
        neck=dict(
            type="YOLOXPAFPN",
            in_channels=[32, 64, 128],
            out_channels=16,
            num_csp_blocks=1,
            **shared,
        ),
        bbox_head=dict(
            type="YOLOXHead",
            num_classes=2,
            in_channels=16,
            feat_channels=16,
            stacked_convs=1,
            loss_cls=dict(
                type="imb_det.CrossEntropyLoss",
                use_sigmoid=True,
                reduction="sum",
                class_weight="sqrt_inverse",
            ),
            **shared,
        ),
        train_cfg=dict(assigner=dict(type="SimOTAAssigner", center_radius=2.5)),
        test_cfg=dict(score_thr=0.01, nms=dict(type="nms", iou_threshold=0.65)),
    )


def rtmdet():
    shared = dict(norm_cfg=NORM, act_cfg=dict(type="SiLU"))
    return ConfigDict(
        type="RTMDet",
        data_preprocessor=dict(type="DetDataPreprocessor", pad_size_divisor=32),
        backbone=dict(
            type="CSPNeXt",
            expand_ratio=0.5,
            deepen_factor=0.1,
            widen_factor=0.125,
            **shared,
        ),
        neck=dict(
            type="CSPNeXtPAFPN",
            in_channels=[32, 64, 128],
            out_channels=16,
            num_csp_blocks=1,
            expand_ratio=0.5,
            **shared,
        ),
        bbox_head=dict(
            type="RTMDetSepBNHead",
            num_classes=2,
            in_channels=16,
            feat_channels=16,
            stacked_convs=1,
            anchor_generator=dict(
                type="MlvlPointGenerator", offset=0, strides=[8, 16, 32]
            ),
            bbox_coder=dict(type="DistancePointBBoxCoder"),
            loss_cls=dict(
                type="imb_det.QualityFocalLoss",
                use_sigmoid=True,
                class_weight="sqrt_inverse",
            ),
            loss_bbox=dict(type="GIoULoss", loss_weight=2.0),
            with_objectness=False,
            exp_on_reg=False,
            share_conv=True,
            pred_kernel_size=1,
            **shared,
        ),
        train_cfg=dict(
            assigner=dict(type="DynamicSoftLabelAssigner", topk=13),
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        ),
        test_cfg=dict(
            nms_pre=100,
            min_bbox_size=0,
            score_thr=0.001,
            nms=dict(type="nms", iou_threshold=0.65),
            max_per_img=10,
        ),
    )


def in_wrapper(leaf, pipeline):
    inner = {**leaf, "pipeline": LOAD}
    return dict(type="MultiImageMixDataset", dataset=inner, pipeline=pipeline)


def switch(scope, pipeline):
    kind = f"{scope}PipelineSwitchHook"
    return dict(type=kind, switch_epoch=1, switch_pipeline=pipeline)


#: Model, training set over a plain one, hook that switches, data workers.
WAYS = {
    "yolox": (
        yolox,
        lambda leaf: in_wrapper(leaf, YOLOX_PIPELINE),
        dict(type="YOLOXModeSwitchHook", num_last_epochs=1),
        0,
    ),
    "rtmdet, cached": (
        rtmdet,
        lambda leaf: {**leaf, "pipeline": CACHED},
        switch("", [*LOAD, *SINGLE]),
        1,
    ),
    "rtmdet, in a wrapper": (
        rtmdet,
        lambda leaf: in_wrapper(leaf, YOLOX_PIPELINE),
        switch("imb_det.", SINGLE),
        0,
    ),
    "rtmdet, repeated": (
        rtmdet,
        lambda leaf: dict(
            type="RepeatDataset", dataset={**leaf, "pipeline": CACHED}, times=2
        ),
        switch("imb_det.", [*LOAD, *SINGLE]),
        1,
    ),
}


@pytest.fixture(scope="module")
def leaf(tmp_path_factory):
    written = write_voc(tmp_path_factory.mktemp("voc"), SCENES)
    return dataset_config(written, metainfo=METAINFO)


def train(folder, leaf, way, max_epochs=3, **kwargs):
    """Train; return which pictures were mixed, the last checkpoint and the runner."""
    model, dataset, hook, workers = WAYS[way]
    loader = dict(
        batch_size=2,
        num_workers=workers,
        persistent_workers=False,
        sampler={**RFS, "num_samples": 12},
        dataset=dataset(leaf),
    )
    hooks = ["imb_det.ImbalanceHook", "imb_det.EpochSeedHook", "SeenPictures"]
    runner = make_runner(
        folder,
        leaf,
        max_epochs,
        [*(dict(type=name) for name in hooks), hook],
        model=model(),
        train_dataloader=loader,
        val_dataloader=None,
        val_cfg=None,
        val_evaluator=None,
        **kwargs,
    )
    runner.train()
    (seen,) = [hook for hook in runner.hooks if isinstance(hook, SeenPictures)]
    last = torch.load(folder / f"epoch_{max_epochs}.pth", weights_only=False)
    return seen.of_epochs, last["state_dict"], runner


def check_seen(way, seen, first=0):
    assert list(seen) == list(range(first, 3))
    for epoch, mixed in seen.items():
        assert len(mixed) == 12
        if epoch >= 1:
            assert not any(mixed)
        else:  # a new cache has too few images at first
            is_cached = "cached" in way or "repeated" in way
            assert mixed == [not is_cached] * 4 + [True] * 8


def test_yolox_trains_over_the_switch(tmp_path, leaf):
    seen, _, runner = train(tmp_path, leaf, "yolox")
    check_seen("yolox", seen)
    assert runner.model.bbox_head.use_l1


@pytest.mark.weekly
@pytest.mark.parametrize("way", WAYS)
def test_it_resumes_on_both_sides_of_the_switch(tmp_path, leaf, way):
    seen, whole, _ = train(tmp_path / "whole", leaf, way)
    check_seen(way, seen)
    for epoch in (1, 2):  # the switch is at the beginning of epoch 1, counted from 0
        start = str(tmp_path / "whole" / f"epoch_{epoch}.pth")
        again = tmp_path / f"from_{epoch}"
        seen, state, _ = train(again, leaf, way, resume=True, load_from=start)
        check_seen(way, seen, first=epoch)
        assert list(state) == list(whole)
        for name, value in whole.items():
            assert torch.equal(value, state[name]), name
