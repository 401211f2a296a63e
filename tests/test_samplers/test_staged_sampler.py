"""A sampler that changes with the stage, and is that sampler in it."""

import numpy as np
import pytest
from mmengine.registry import DATA_SAMPLERS

from imb_det.core import FindingsError, Stage
from imb_det.samplers import ClassAwareSampler, StagedSampler, staged_sampler
from tests.labelled_sets import LONG_TAIL, long_tail
from tests.test_decoupled.freezing_runs import freezing_runner
from tests.tiny_sets import write_voc
from tests.toy_runner import IMAGES, dataset_config

AWARE = dict(type="imb_det.ClassAwareSampler")
STAGES = dict(features=None, classifier=AWARE)
FIRST, SECOND = (Stage(name, i, tuple(STAGES)) for i, name in enumerate(STAGES))


def test_in_a_stage_it_draws_as_its_sampler_does():
    sampler = StagedSampler(long_tail(), STAGES, seed=4)
    alone = ClassAwareSampler(long_tail(), seed=4)
    assert sorted(sampler) == list(range(len(LONG_TAIL)))
    assert sampler.receipt().rule == (
        "StagedSampler: stage 'features', every image once"
    )
    sampler.set_stage(SECOND)
    for epoch in (3, 7):
        sampler.set_epoch(epoch)
        alone.set_epoch(epoch)
        assert list(sampler) == list(alone)
    np.testing.assert_array_equal(
        sampler.receipt(7).instances_after, alone.receipt(7).instances_after
    )
    assert "'classifier', ClassAwareSampler, " in sampler.receipt().rule
    sampler.set_stage(FIRST)
    assert sorted(sampler) == list(range(len(LONG_TAIL)))
    with pytest.raises(ValueError, match="enters 'other'"):
        sampler.set_stage(Stage("other", 0, ("other",)))


@pytest.fixture
def voc(tmp_path):
    return dataset_config(write_voc(tmp_path / "voc", IMAGES))


def staged(tmp_path, voc, **options):
    loader = dict(
        batch_size=2,
        num_workers=0,
        dataset=voc,
        sampler=dict(type="imb_det.StagedSampler", stages=STAGES),
    )
    return freezing_runner(tmp_path / "run", voc, train_dataloader=loader, **options)


def test_a_training_draws_by_its_stage(tmp_path, voc, monkeypatch):
    from imb_det.samplers import base

    lines = []
    monkeypatch.setattr(base, "print_log", lambda text, *_, **__: lines.append(text))
    runner = staged(tmp_path, voc)
    drawn = []
    of_stage = StagedSampler.image_weights
    monkeypatch.setattr(
        StagedSampler,
        "image_weights",
        lambda self, epoch: drawn.append((self.stage, epoch)) or of_stage(self, epoch),
    )
    runner.train()
    assert {stage for stage, epoch in drawn if epoch == 1} == {"classifier"}
    assert drawn[-1] == ("classifier", 1)
    (second,) = [line for line in lines if line.startswith("Epoch 2, ")]
    assert "stage 'classifier', ClassAwareSampler" in second
    (first,) = [line for line in lines if line.startswith("Epoch 1, ")]
    assert "stage 'features', every image once" in first


def test_a_stage_within_an_epoch_is_refused(tmp_path, voc):
    stages = [dict(name="features", iters=4), dict(name="classifier")]
    with pytest.raises(FindingsError, match="begins within an epoch") as error:
        staged(tmp_path, voc, stages=stages).train()
    assert [f.code for f in error.value.findings] == ["staged_sampler"]
    stages = [dict(name="features", iters=3), dict(name="classifier")]
    staged(tmp_path, voc, stages=stages).train()


def test_it_is_built_by_name():
    config = dict(type="imb_det.StagedSampler", stages=STAGES)
    built = DATA_SAMPLERS.build(config, default_args=dict(dataset=long_tail()))
    assert built.stage_names == ("features", "classifier")
    assert staged_sampler.__all__ == ["StagedSampler"]
