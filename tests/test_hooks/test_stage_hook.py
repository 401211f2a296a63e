"""Every listener hears of a stage before its first iteration, on every rank."""

import pytest
import torch
from mmengine.hooks import Hook

from imb_det.checks import check_stages
from imb_det.core import FindingsError, StageListener
from imb_det.hooks import StageHook, stage_hook
from imb_det.runner_parts import context_of
from tests import toys
from tests.staged_toys import (
    PER_EPOCH,
    THREE_EPOCHS,
    Recorder,
    StagedTransform,
    head_of,
    hook_of,
    numbers,
    staged_runner,
)
from tests.tiny_sets import write_voc
from tests.toy_runner import IMAGES, PIPELINE, dataset_config

pytestmark = pytest.mark.usefixtures("one_thread")


HALF = [dict(name="plain", share=0.5), dict(name="reweighted")]
LR_STEP = [dict(name="plain", until="lr_step"), dict(name="reweighted")]


@pytest.fixture
def logged(monkeypatch):
    lines = []
    monkeypatch.setattr(stage_hook, "print_log", lambda line, **_: lines.append(line))
    return lines


@pytest.fixture
def voc(tmp_path):
    return dataset_config(write_voc(tmp_path / "voc", IMAGES))


def test_every_listener_hears_each_stage_before_its_first_iteration(
    tmp_path, voc, logged
):
    pipeline = [*PIPELINE[:-1], dict(type="StagedTransform"), PIPELINE[-1]]
    average = dict(type="EMAHook")
    runner = staged_runner(
        tmp_path / "run", dict(voc, pipeline=pipeline), others=[average]
    )
    runner._train_dataloader["sampler"] = dict(type="StagedSampler", shuffle=True)
    runner.train()
    recorder = hook_of(runner, Recorder)
    expected = numbers(("plain", PER_EPOCH), ("reweighted", 2 * PER_EPOCH))
    assert recorder.stages == expected
    sampler = runner.train_dataloader.sampler
    assert sampler.drawn_in == ["plain", "reweighted", "reweighted"]
    transform = runner.train_dataloader.dataset.pipeline.transforms[-2]
    assert transform.seen == ["plain"] * 5 + ["reweighted"] * 10
    (copied,) = [h.ema_model for h in runner.hooks if hasattr(h, "ema_model")]
    metric = runner.val_loop.evaluator.metrics[0]
    everyone = [head_of(runner), copied.module.bbox_head, sampler, transform, metric]
    for listener in (*everyone, recorder):
        assert isinstance(listener, StageListener)
        assert listener.heard_stages == ["plain", "reweighted"]
    assert [line.split(";")[0] for line in logged] == [
        "StageHook: stage 'plain' (1 of 2) from epoch 1 on",
        "StageHook: stage 'reweighted' (2 of 2) from epoch 2 on",
    ]
    assert "Recorder, StagedHead, StagedMetric, StagedSampler" in logged[0]


@pytest.mark.parametrize("by_epoch", [True, False])
def test_stages_by_iterations(tmp_path, voc, by_epoch):
    loop = dict(by_epoch=True, max_epochs=2)
    if not by_epoch:
        loop = dict(by_epoch=False, max_iters=6, val_interval=100)
    stages = [dict(name="a", iters=4), dict(name="b", iters=1), dict(name="c")]
    runner = staged_runner(tmp_path / "run", voc, stages, 2)
    runner._train_loop = loop
    runner.train()
    expected = numbers(("a", 4), ("b", 1), ("c", 1))
    assert hook_of(runner, Recorder).stages == expected
    assert head_of(runner).heard_stages == ["a", "b", "c"]


@pytest.mark.parametrize("stop_at", [4, 7, 8])
def test_a_killed_training_goes_on_in_its_stage(tmp_path, voc, stop_at):
    broken = staged_runner(tmp_path / "run", voc, stop_at=stop_at)
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    assert broken.iter == stop_at
    resumed = staged_runner(tmp_path / "run", voc, resume=True)
    resumed.train()
    first = stop_at // PER_EPOCH * PER_EPOCH
    expected = dict.fromkeys(range(first, 3 * PER_EPOCH), "reweighted")
    assert hook_of(resumed, Recorder).stages == expected
    assert head_of(resumed).heard_stages == ["reweighted"]


class Rates(Hook):
    """Notes the learning rate of each iteration."""

    def __init__(self):
        self.rates = {}

    def before_train_iter(self, runner, *_, **__):
        (self.rates[runner.iter],) = runner.optim_wrapper.get_lr()["lr"]


@pytest.mark.parametrize("stages", [HALF, LR_STEP], ids=["share", "lr_step"])
def test_stages_that_the_schedule_ends(tmp_path, voc, logged, stages):
    """Half of 9 iterations, or the first step of the rate, is in the middle of one."""
    steps = dict(type="MultiStepLR", by_epoch=False, milestones=[4, 7])
    options = dict(param_scheduler=[steps])
    broken = staged_runner(tmp_path / "run", voc, stages, stop_at=5, **options)
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    assert hook_of(broken, Recorder).stages == numbers(("plain", 4), ("reweighted", 1))
    assert "'reweighted' (2 of 2) from iteration 5 on" in logged[-1]
    content = torch.load(tmp_path / "run" / "epoch_1.pth", weights_only=False)
    plan = dict(names=["plain", "reweighted"], lengths=[4, None], by_epoch=False)
    assert content["imb_det"]["stage"] == dict(name="plain", plan=plan)
    resumed = staged_runner(tmp_path / "run", voc, stages, resume=True, **options)
    resumed.register_hook(rates := Rates())
    resumed.train()
    wanted = {3: "plain"} | dict.fromkeys(range(4, 9), "reweighted")
    assert hook_of(resumed, Recorder).stages == wanted
    assert rates.rates == pytest.approx(
        {3: 0.01} | dict.fromkeys(range(4, 7), 0.001) | {7: 1e-4, 8: 1e-4}
    )


def test_the_schedule_of_the_checkpoint_is_the_one_that_goes_on(tmp_path, voc):
    """The runner takes the milestones from there, whatever the config now says."""

    def options(milestone):
        steps = dict(type="MultiStepLR", by_epoch=False, milestones=[milestone])
        return dict(param_scheduler=[steps])

    first = staged_runner(tmp_path / "run", voc, LR_STEP, stop_at=4, **options(5))
    with pytest.raises(KeyboardInterrupt):
        first.train()
    runner = staged_runner(tmp_path / "run", voc, LR_STEP, resume=True, **options(7))
    runner.register_hook(rates := Rates())
    runner.train()
    stages = hook_of(runner, Recorder).stages
    assert [i for i, name in stages.items() if name == "plain"] == [3, 4]
    assert [i for i, rate in rates.rates.items() if rate == 0.01] == [3, 4]


@pytest.mark.parametrize("counted", [True, False])
def test_a_cosine_schedule_has_no_step_to_wait_for(tmp_path, voc, counted):
    cosine = dict(type="CosineAnnealingLR", T_max=3)
    runner = staged_runner(tmp_path / "run", voc, LR_STEP, param_scheduler=[cosine])
    if not counted:
        runner._hooks = [h for h in runner.hooks if type(h).__name__ != "ImbalanceHook"]
    with pytest.raises(FindingsError, match=r"Give `share=0\.8` ") as error:
        runner.train()
    assert [finding.code for finding in error.value.findings] == ["stage_lr_step"]
    assert runner.iter == 0


def test_the_checkpoint_brings_the_stage_to_a_test(tmp_path, voc):
    runner = staged_runner(tmp_path / "run", voc)
    runner.train()
    plan = dict(names=["plain", "reweighted"], lengths=[1, 2], by_epoch=True)
    for epoch, name in ((1, "plain"), (2, "reweighted"), (3, "reweighted")):
        path = tmp_path / "run" / f"epoch_{epoch}.pth"
        content = torch.load(path, weights_only=False)["imb_det"]["stage"]
        assert content == dict(name=name, plan=plan)
        for kind in ("test", "val"):
            alone = staged_runner(tmp_path / "alone", voc, load_from=str(path))
            getattr(alone, kind)()
            assert head_of(alone).heard_stages == [name]
            assert isinstance(alone._train_loop, dict)  # no training set was read
    runner.test()
    assert head_of(runner).heard_stages == ["plain", "reweighted"]


def test_a_resume_with_other_stages_follows_them_with_a_warning(tmp_path, voc, logged):
    staged_runner(tmp_path / "run", voc, [dict(name="all")], 1).train()
    before = len(logged)
    runner = staged_runner(tmp_path / "run", voc, resume=True)
    runner.train()
    assert "those of the checkpoint were 'all' to the end" in logged[before]
    assert hook_of(runner, Recorder).stages == dict.fromkeys(range(3, 9), "reweighted")


@pytest.mark.parametrize("counted", [True, False])
def test_stages_that_do_not_fill_the_training_stop_it(tmp_path, voc, counted):
    runner = staged_runner(tmp_path / "run", voc, epochs=4)
    if not counted:
        runner._hooks = [h for h in runner.hooks if type(h).__name__ != "ImbalanceHook"]
    with pytest.raises(FindingsError, match=r"take 3 epochs, the training has 4") as e:
        runner.train()
    assert [finding.code for finding in e.value.findings] == ["stage_length"]
    assert runner.iter == 0
    with pytest.raises(TypeError, match="StageHook: `stages` must be a list"):
        StageHook("plain")


def test_a_listener_keeps_its_default_without_stages(tmp_path, voc):
    runner = staged_runner(tmp_path / "run", voc, stages=None, epochs=1)
    runner.train()
    assert head_of(runner).stage == "default"


@pytest.mark.parametrize(
    ("stages", "named", "match"),
    [
        (
            None,
            ("plain", "later"),
            r"names the stages \['plain', 'later'\], but there is no `StageHook`\s+"
            r"Add `dict\(type='imb_det.StageHook', stages=\[dict\(name='plain', ep",
        ),
        (
            THREE_EPOCHS,
            ("plain", "reweighted", "later"),
            r"'later'\], but the training has \['plain', 'reweighted'\]",
        ),
        (
            THREE_EPOCHS,
            ("plain",),
            r"the stages \['plain'\], but the training has \['plain', 'reweighted'\]",
        ),
    ],
)
def test_stages_of_components_and_hook_must_be_the_same(
    tmp_path, voc, stages, named, match
):
    average = dict(type="EMAHook")
    runner = staged_runner(tmp_path / "run", voc, stages, others=[average])
    head_of(runner).stage_names = named
    with pytest.raises(FindingsError, match=match) as error:
        runner.train()
    assert [finding.code for finding in error.value.findings] == ["stage_names"]
    assert "`bbox_head` (StagedHead): " in str(error.value)
    assert runner.iter == 0
    runner = staged_runner(tmp_path / "run", voc, stages)
    head_of(runner).stage_names = ("reweighted", "plain") if stages else ()
    runner.train()
    assert head_of(runner).stage == ("reweighted" if stages else "default")


@pytest.mark.parametrize(("stages", "switch"), [(THREE_EPOCHS, 3), (HALF, 4)])
def test_class_weights_change_with_the_stage(
    tmp_path, voc, monkeypatch, stages, switch
):
    """Deferred re-weighting, in the moving average and after a kill as well."""
    weights = dict(stages=dict(plain=None, reweighted="inverse"))
    loss = dict(type="imb_det.CrossEntropyLoss", use_sigmoid=True, class_weight=weights)
    model = toys.retinanet_config(2, "ListeningHead")
    model.bbox_head.loss_cls = loss
    monkeypatch.setattr(toys, "retinanet_config", lambda *_: model)
    options = dict(others=[dict(type="EMAHook", update_buffers=True)])
    broken = staged_runner(tmp_path / "run", voc, stages, stop_at=5, **options)
    seen = []

    def values(runner):
        heads = [head_of(runner)]
        heads += [h.ema_model.module.bbox_head for h in runner.hooks if has_average(h)]
        return [head.loss_cls.class_weight.value.tolist() for head in heads]

    def has_average(hook):
        return hasattr(hook, "ema_model")

    class Watching(Hook):
        def before_train_iter(self, runner, *_, **__):
            seen.append(values(runner))

    broken.register_hook(Watching(), "NORMAL")
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    # Of 5 cats and 3 dogs, with mean 1.
    inverse = pytest.approx([0.8, 4 / 3])
    assert seen[0] == seen[switch - 1] != seen[switch]
    assert seen[switch] == [inverse, inverse]
    assert seen[-1][0] == inverse
    seen.clear()
    resumed = staged_runner(tmp_path / "run", voc, stages, resume=True, **options)
    resumed.register_hook(Watching(), "NORMAL")
    resumed.train()
    assert len(seen) == 6
    assert [pair[0] == inverse for pair in seen] == [i >= switch for i in range(3, 9)]
    assert all(value == inverse for value in seen[switch - 3])


@pytest.mark.parametrize("stays", [True, False])
def test_transforms_in_workers_are_reached_or_it_is_an_error(tmp_path, voc, stays):
    pipeline = [*PIPELINE[:-1], dict(type="StagedTransform"), PIPELINE[-1]]
    runner = staged_runner(tmp_path / "run", dict(voc, pipeline=pipeline))
    runner._train_dataloader.update(num_workers=1, persistent_workers=stays)
    if not stays:
        runner.train()
        assert head_of(runner).stage == "reweighted"
        return
    with pytest.raises(FindingsError, match="StagedTransform") as error:
        runner.train()
    text = (
        "Set `num_workers=0` in `train_dataloader`, or set `persistent_workers=False`"
    )
    assert text in str(error.value)


@pytest.mark.parametrize(
    ("stages", "follows", "remedy"),
    [
        (HALF, False, "`num_workers=0` in `train_dataloader`, or count by `epochs=`"),
        (THREE_EPOCHS, True, "`num_workers=0` in `train_dataloader`"),
        (THREE_EPOCHS, False, None),
    ],
)
def test_stages_within_epochs_do_not_reach_workers(
    tmp_path, voc, monkeypatch, stages, follows, remedy
):
    if follows:
        monkeypatch.setattr(
            StagedTransform, "set_stage_progress", lambda *_: None, raising=False
        )
    pipeline = [*PIPELINE[:-1], dict(type="StagedTransform"), PIPELINE[-1]]
    runner = staged_runner(tmp_path / "run", dict(voc, pipeline=pipeline), stages)
    runner._train_dataloader.update(num_workers=1)
    context = context_of(runner, for_training=True)
    found = [x for x in check_stages(context) if x.code == "stage_in_workers"]
    assert [x.remedy for x in found] == ([f"Set {remedy}"] if remedy else [])
