"""Transforms that mix images are in a wrapper, and hooks find them by name."""

import pytest
from mmdet.registry import DATASETS, HOOKS, TRANSFORMS
from mmengine.hooks import Hook

from imb_det.checks import (
    check_epoch_length,
    check_multi_image,
    check_skipped_types,
)
from imb_det.core import CheckContext, FindingsError
from imb_det.transforms.skipped_types import widen_skipped_types
from tests.tiny_sets import write_voc
from tests.toy_runner import (
    IMAGES,
    PIPELINE,
    dataset_config,
    loader_config,
    make_runner,
)

LOAD, REST = PIPELINE[:2], PIPELINE[2:]
MOSAIC, MIX_UP = (
    dict(type=name, img_scale=(40, 30), pad_val=0.0) for name in ("Mosaic", "MixUp")
)
PASTE = dict(type="imb_det.RareCopyPaste")
pytestmark = pytest.mark.usefixtures("one_thread", "quick_construction")


@pytest.fixture
def quick_construction(monkeypatch):
    where = "mmdet.datasets.transforms.transforms.log_img_scale"
    monkeypatch.setattr(where, lambda *args, **kwargs: None)


@HOOKS.register_module()
class CallsOfMosaic(Hook):
    """Counts how often a mosaic is asked for in each epoch."""

    def before_train(self, runner):
        self.of_epochs = []
        step = runner.train_dataloader.dataset.pipeline[0]
        ask = step.get_indexes

        def counted(dataset):
            self.of_epochs[-1] += 1
            return ask(dataset)

        step.get_indexes = counted

    def before_train_epoch(self, runner):
        self.of_epochs.append(0)


@HOOKS.register_module()
class SizesOfPictures(Hook):
    """Keeps the sizes of the pictures that come."""

    def before_train(self, runner):
        self.seen = set()

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.seen |= {tuple(x.shape[-2:]) for x in data_batch["inputs"]}


@pytest.fixture
def voc(tmp_path):
    return dataset_config(write_voc(tmp_path / "voc", IMAGES))


def ours(step):
    return {**step, "type": f"imb_det.{step['type']}"}


def mixed(voc, *steps, **kwargs):
    inner = {**voc, "pipeline": LOAD}
    pipeline = [*steps, *REST]
    return dict(type="MultiImageMixDataset", dataset=inner, pipeline=pipeline, **kwargs)


def apply(step):
    return dict(type="RandomApply", transforms=[step], prob=1.0)


def found(check, dataset, *hooks):
    built = DATASETS.build(dataset)
    context = CheckContext(datasets=dict(train=built), hooks=hooks)
    widen_skipped_types(hooks, built)
    return [f"{each.code} {each.place}" for each in check(context)]


@pytest.mark.parametrize("step", [ours(MOSAIC), ours(MIX_UP), PASTE, MOSAIC, MIX_UP])
def test_they_are_steps_of_a_wrapper(voc, step):
    kind = step["type"].rpartition(".")[2]
    told = [
        f"multi_image `train_dataloader`: {kind} is not a step of the pipeline of a "
        "`MultiImageMixDataset`"
    ]
    alone = {**voc, "pipeline": [*LOAD, step, *REST]}
    for wrong in (
        alone,
        dict(type="RepeatDataset", dataset=alone, times=2),
        mixed(voc, apply(step)),
    ):
        assert found(check_multi_image, wrong) == told
    served = mixed(voc, step)
    for right in (
        served,
        dict(type="RepeatDataset", dataset=served, times=2),
        dict(type="ConcatDataset", datasets=[served, served]),
        {**voc, "pipeline": [*LOAD, dict(type="CachedMosaic", img_scale=(40, 30))]},
    ):
        assert found(check_multi_image, right) == []


@pytest.mark.parametrize("kind", ["CachedMosaic", "CachedMixUp"])
def test_a_cache_needs_no_wrapper(voc, kind):
    step = dict(type=kind, img_scale=(40, 30))
    (told,) = found(check_multi_image, mixed(voc, step))
    assert told == f"loaded_in_vain `train_dataloader`: {kind}"
    assert not found(check_multi_image, {**voc, "pipeline": [*LOAD, step, *REST]})


def test_pipelines_that_a_hook_switches_to(voc):
    hook = HOOKS.build(
        dict(
            type="PipelineSwitchHook",
            switch_epoch=1,
            switch_pipeline=[*LOAD, PASTE, *REST],
        )
    )
    (told,) = found(check_multi_image, voc, hook)
    assert told.startswith("multi_image `PipelineSwitchHook`: RareCopyPaste is not")


@pytest.mark.parametrize("step", [ours(MOSAIC), ours(MIX_UP), PASTE])
@pytest.mark.parametrize("with_mask", [True, False])
def test_one_image_alone_is_an_error_at_the_call(voc, step, with_mask):
    results = DATASETS.build({**voc, "pipeline": LOAD})[1]
    if with_mask and step is not PASTE and "Mosaic" in step["type"]:
        results["gt_masks"] = results["gt_bboxes"]
    kind = step["type"].rpartition(".")[2]
    with pytest.raises(ValueError, match=f"imb_det.{kind} is given one image alone"):
        TRANSFORMS.build(step)(results)


def test_the_hook_stops_before_the_first_iteration(tmp_path, voc):
    alone = {**voc, "pipeline": [*LOAD, PASTE, *REST]}
    runner = make_runner(tmp_path / "work", alone)
    with pytest.raises(FindingsError, match="RareCopyPaste is not a step"):
        runner.train()
    assert runner.iter == 0


@pytest.mark.parametrize("scope", ["", "imb_det.", "mmdet."])
def test_yolox_switches_mosaics_of_any_scope_off(tmp_path, voc, scope):
    steps = [{**step, "type": scope + step["type"]} for step in (MOSAIC, MIX_UP)]
    runner = make_runner(
        tmp_path / "work",
        voc,
        max_epochs=3,
        hooks=[
            dict(type="imb_det.ImbalanceHook"),
            dict(type="YOLOXModeSwitchHook", num_last_epochs=1),
            dict(type="CallsOfMosaic"),
        ],
        train_dataloader=loader_config(mixed(voc, *steps), shuffle=True),
    )
    runner.train()
    (calls,) = [h for h in runner.hooks if isinstance(h, CallsOfMosaic)]
    assert calls.of_epochs == [5, 0, 0]


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_that_run_already_skip_what_ours_stand_for(tmp_path, voc, persistent):
    """A loop that counts iterations starts them before any hook."""
    skips = mixed(voc, ours(MOSAIC), skip_type_keys=["Mosaic"])
    skips["pipeline"] = [ours(MOSAIC), REST[-1]]
    loader = loader_config(skips, shuffle=True) | dict(num_workers=1)
    runner = make_runner(
        tmp_path,
        voc,
        train_dataloader=loader | dict(persistent_workers=persistent),
        train_cfg=dict(by_epoch=False, max_iters=4),
        val_dataloader=None,
        val_cfg=None,
        val_evaluator=None,
        hooks=[dict(type="imb_det.ImbalanceHook"), dict(type="SizesOfPictures")],
    )
    runner.train()
    (sizes,) = [h for h in runner.hooks if isinstance(h, SizesOfPictures)]
    assert sizes.seen == {(30, 40)}  # a mosaic is twice as large


def test_what_a_data_set_skips_and_classes_in_place_of_names(voc):
    built = DATASETS.build(mixed(voc, ours(MOSAIC), skip_type_keys=["Mosaic"]))
    kinds = built.pipeline_types
    kinds[-1] = type(built.pipeline[-1])  # as configs in pure Python have it
    widen_skipped_types([], built)
    assert built._skip_type_keys == ["Mosaic", "imb_det.Mosaic"]
    assert kinds[-1] == "PackDetInputs"
    assert built[0]["inputs"].shape[-2:] == (36, 48)


@pytest.mark.parametrize(
    ("keys", "wrapped", "code"),
    [
        (("Mosaic", "RandomAffine", "MixUp"), True, []),
        (("imb_det.Mosaic",), True, []),
        ((), True, []),
        (("Mosiac",), True, ["skips_nothing"]),
        (("Mosaic",), False, ["no_switch"]),
    ],
)
def test_switches_that_do_nothing(voc, keys, wrapped, code):
    dataset = mixed(voc, ours(MOSAIC))
    if not wrapped:  # the hook would fail in the epoch of the switch
        dataset = dict(type="RepeatDataset", dataset=dataset, times=2)
    hook = HOOKS.build(dict(type="YOLOXModeSwitchHook", skip_type_keys=keys))
    told = found(check_skipped_types, dataset, hook)
    assert [text.split()[0] for text in told] == code


@pytest.mark.parametrize(
    ("threshold", "code"),
    [(1e-3, []), (1.0, []), (1.5, ["long_epoch"]), (40.0, ["long_epoch"])],
)
def test_wrappers_that_make_an_epoch_long(voc, threshold, code):
    dataset = dict(type="ClassBalancedDataset", dataset=voc, oversample_thr=threshold)
    assert [t.split()[0] for t in found(check_epoch_length, dataset)] == code


def test_a_training_without_a_batch_is_refused(tmp_path, voc):
    loader = loader_config(voc, shuffle=True, drop_last=True) | dict(batch_size=8)
    runner = make_runner(tmp_path / "work", voc, train_dataloader=loader)
    with pytest.raises(FindingsError, match="5 images, batch_size=8, drop_last=True"):
        runner.train()
