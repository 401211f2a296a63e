"""Switches in mid-training: what mixes images before and after, in living workers."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import HOOKS
from mmengine.registry import init_default_scope

from imb_det.core.listener import Stage
from imb_det.hooks import ImbalanceHook, PipelineSwitchHook, StageHook
from imb_det.registry import TRANSFORMS
from imb_det.statistics import ClassStats
from imb_det.statistics.label_table import LabelTable
from imb_det.transforms.skipped_types import widen_skipped_types
from tests.labelled_sets import LabelledDataset
from tests.mixed_sets import (
    MIX_UP,
    MOSAIC,
    check_shares,
    loader_of,
    one_colour,
    partners_of,
    wrapped,
)

SETS = [[0]] * 5 + [[0, 1]] * 2 + [[2], []]
PROCESS = dict(type="imb_det.WithProcess")
RFS = dict(type="imb_det.RepeatFactorSampler", repeat_thr=0.9, power=1.0)
WORKERS = pytest.mark.parametrize("workers", [0, 2])


def mixed(*steps):
    init_default_scope("mmdet")
    leaf = LabelledDataset(SETS, 3, pipeline=[one_colour])
    return wrapped("MultiImageMixDataset", leaf, pipeline=list(steps))


def loader(dataset, workers, **sampler):
    sampler = {**(sampler or RFS), "num_samples": 320}
    return loader_of(dataset, sampler, workers, persistent_workers=workers > 0)


def epoch_of(loader, hook, epoch, hooks=()):
    """What an epoch shows, with a hook at its beginning."""
    head = SimpleNamespace(use_l1=False)
    hook.before_train_epoch(
        SimpleNamespace(
            epoch=epoch,
            max_epochs=4,
            hooks=hooks,
            train_dataloader=loader,
            model=SimpleNamespace(bbox_head=head),
            logger=SimpleNamespace(info=lambda text: None),
        )
    )
    loader.sampler.set_epoch(epoch)
    return [results for batch in loader for results in batch]


def check_partners(pictures, step, weights):
    drawn = np.ravel([partners_of(picture, step) for picture in pictures])
    wanted = np.array(weights, float)
    if step is MIX_UP:
        wanted[-1] = 0  # without a box
    check_shares(drawn.astype(int), wanted)


def single(pictures):
    shapes = {picture["img"].shape[:2] for picture in pictures}
    return shapes == {(16, 16)} and not any("mix_results" in p for p in pictures)


def of_order(loader, pictures):
    return [picture["img_id"] for picture in pictures] == list(loader.sampler)


@WORKERS
@pytest.mark.parametrize("wrapper", [None, "RepeatDataset", "ConcatDataset"])
def test_partners_of_the_new_pipeline_are_drawn_by_the_weights(workers, wrapper):
    config = mixed(MOSAIC, PROCESS)
    if wrapper is not None:
        many = [config] if wrapper == "ConcatDataset" else config
        config = wrapped(wrapper, many, **({} if many is not config else {"times": 1}))
    made = loader(config, workers)
    hook = PipelineSwitchHook(1, [MIX_UP, PROCESS])
    weights = made.sampler.image_weights(0)
    assert weights[7] > 3 * weights[0]
    processes = []
    for epoch, step in enumerate([MOSAIC, MIX_UP, MIX_UP]):
        pictures = epoch_of(made, hook, epoch)
        check_partners(pictures, step, weights)
        assert of_order(made, pictures)
        processes.append({picture["process"] for picture in pictures})
    assert len(processes[2]) == max(1, workers)
    assert processes[1] == processes[2]
    assert (processes[0] == processes[1]) == (workers == 0)


def test_a_training_that_resumes_behind_the_switch_begins_with_it():
    made = loader(mixed(MOSAIC, PROCESS), 0)
    pictures = epoch_of(made, PipelineSwitchHook(1, [MIX_UP, PROCESS]), 3)
    check_partners(pictures, MIX_UP, made.sampler.image_weights(0))


def test_weights_that_change_reach_both_pipelines():
    made = loader(mixed(MOSAIC, PROCESS), 2, type="imb_det.CDBSampler", by="max")
    hook = PipelineSwitchHook(1, [MIX_UP, PROCESS])
    table = LabelTable.from_dataset(LabelledDataset(SETS, 3))
    for epoch, (step, difficulty) in enumerate(
        [(MOSAIC, [1, 1, 1]), (MIX_UP, [0, 0, 1]), (MIX_UP, [1, 4, 0])]
    ):
        made.sampler.set_class_difficulty_weights(torch.tensor(difficulty))
        wanted = table.largest(np.array(difficulty, float), empty=1.0)
        check_partners(epoch_of(made, hook, epoch), step, wanted)


@TRANSFORMS.register_module()
class WithNews(BaseTransform):
    """Adds what it has been told."""

    def set_class_stats(self, stats):
        self.counts = stats.image_count.tolist()

    def set_stage(self, stage):
        self.stage = stage.name

    def transform(self, results):
        return results | dict(news=(self.counts, self.stage))


def test_new_steps_are_told_of_counts_and_stage():
    made = loader(mixed(MOSAIC, PROCESS), 0)
    counts, stages = ImbalanceHook(), StageHook([dict(name="only")])
    counts.class_stats = ClassStats.from_dataset(made.dataset)
    stages.stage = Stage("only", 0, ("only",))
    hook = PipelineSwitchHook(1, [MIX_UP, dict(type="imb_det.WithNews")])
    (picture, *_) = epoch_of(made, hook, 1, hooks=[counts, stages, hook])
    assert picture["news"] == ([7, 2, 1], "only")


def test_of_several_switches_a_training_resumes_behind_the_latest():
    late = PipelineSwitchHook(2, [MIX_UP, PROCESS])
    early = PipelineSwitchHook(1, [MOSAIC, PROCESS])
    both = [late, early]
    for epoch, step in ((1, MOSAIC), (2, MIX_UP)):
        made = loader(mixed(PROCESS), 0)
        for hook in both:
            hook.before_train(None)
        for hook in both:
            pictures = epoch_of(made, hook, epoch, hooks=both)
        check_partners(pictures, step, made.sampler.image_weights(0))


def test_what_is_skipped_by_mmdets_name_is_skipped_in_new_pipelines():
    init_default_scope("mmdet")
    leaf = LabelledDataset(SETS, 3, pipeline=[one_colour])
    config = wrapped("MultiImageMixDataset", leaf, pipeline=[PROCESS])
    made = loader({**config, "skip_type_keys": ["Mosaic"]}, 0)
    assert single(epoch_of(made, PipelineSwitchHook(1, [MOSAIC, PROCESS]), 1))


@pytest.mark.parametrize("steps", [None, [], [MIX_UP, one_colour], dict(MIX_UP)])
def test_a_pipeline_is_a_list_of_configs(steps):
    with pytest.raises(TypeError, match="must be a list of configs of transforms"):
        PipelineSwitchHook(1, steps)


@WORKERS
def test_a_data_set_in_wrappers_gets_the_pipeline(workers):
    init_default_scope("mmdet")
    leaf = LabelledDataset(SETS, 3, pipeline=[one_colour, PROCESS])
    made = loader(wrapped("ClassBalancedDataset", leaf, oversample_thr=1e-3), workers)
    small = dict(type="Resize", scale=(8, 8))
    hook = PipelineSwitchHook(1, [dict(type="imb_det.OneColour"), small, PROCESS])
    sizes = [epoch_of(made, hook, epoch)[0]["img"].shape[0] for epoch in range(3)]
    assert sizes == [16, 8, 8]


@WORKERS
def test_what_yolox_switches_off_is_off_in_living_workers(workers):
    mix_up = dict(MIX_UP)
    made = loader(mixed(MOSAIC, mix_up, PROCESS), workers)
    hook = HOOKS.build(dict(type="YOLOXModeSwitchHook", num_last_epochs=1))
    widen_skipped_types([hook], made.dataset)
    told = [made.sampler.receipt().partners]
    for epoch in range(4):
        pictures = epoch_of(made, hook, epoch)
        assert of_order(made, pictures)
        assert single(pictures) == (epoch >= 2)
        told.append(made.sampler.receipt().partners)
    words = "imb_det.Mosaic, imb_det.MixUp by the weights of the sampler"
    assert told == [words] * 3 + [""] * 2


def test_the_receipt_is_that_of_the_pipeline_at_work():
    theirs = {**MOSAIC, "type": "Mosaic"}
    made = loader(mixed(theirs, PROCESS), 0)
    hook = PipelineSwitchHook(1, [MIX_UP, PROCESS])
    assert "evenly" in made.sampler.receipt().warnings[-1]
    epoch_of(made, hook, 1)
    receipt = made.sampler.receipt()
    assert not any("evenly" in warning for warning in receipt.warnings)
    assert receipt.partners == "imb_det.MixUp by the weights of the sampler"
