"""The hook measures, weighs, hands over, stores, and leaves the training alone."""

import contextlib
import json
import os
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoPanopticMetric
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric

from imb_det.core import CheckContext
from imb_det.difficulty import ClassDifficultyHook, class_difficulty_hook, held_out
from imb_det.difficulty.accuracy_meter import AccuracyMeter
from imb_det.difficulty.class_accuracy import hits, true_class_probability
from imb_det.difficulty.held_out import build_held_out, run_held_out
from imb_det.difficulty.loss_meter import class_losses
from imb_det.statistics import ClassStats
from tests import toys
from tests.held_out_runs import (
    NUM_IMAGES,
    NUM_TRAINED,
    STATS,
    loader_config,
    make_runner,
    model_config,
    standing,
    weights_of,
)
from tests.two_ranks import on_two_ranks

pytestmark = pytest.mark.usefixtures("one_thread")


@METRICS.register_module()
class ToyPrecision(BaseMetric):
    """Mean score of the boxes of each class, which differs from epoch to epoch."""

    default_prefix = "toy"

    def process(self, data_batch, data_samples):
        self.results += [sample["pred_instances"] for sample in data_samples]

    def compute_metrics(self, results):
        labels, scores = (
            torch.cat([r[k] for r in results]) for k in ("labels", "scores")
        )
        return {
            f"{name}_precision": float(scores[labels == c].mean())
            for c, name in enumerate(self.dataset_meta["classes"])
        }


def recall(root, **kwargs):
    part = range(NUM_TRAINED, NUM_IMAGES)
    return dict(source="recall", held_out=loader_config(root, part, 1), **kwargs)


def with_validation(root, metric=None):
    dataset = loader_config(root, range(NUM_TRAINED, NUM_IMAGES))
    dataset["dataset"]["test_mode"] = True
    metric = metric or dict(
        type="imb_det.CocoMetric", ann_file=str(root / "ann.json"), classwise=True
    )
    return dict(
        val_dataloader=dict(**dataset, sampler=dict(type="DefaultSampler")),
        val_evaluator=metric,
        val_cfg=dict(),
    )


def hook_of(runner):
    return next(h for h in runner.hooks if isinstance(h, ClassDifficultyHook))


def records(root, name):
    path = root / name / "class_difficulty.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def root(tmp_path):
    toys.write_coco(tmp_path, num_images=NUM_IMAGES)
    return tmp_path


@pytest.fixture
def logged(monkeypatch):
    lines = []
    for module in (class_difficulty_hook, held_out):
        monkeypatch.setattr(module, "print_log", lambda line, **_: lines.append(line))
    return lines


# Whole trainings.


def test_recall_from_the_first_epoch_to_checkpoint_log_and_file(root):
    runner = make_runner(root, "run", recall(root, tau=1.0), epochs=3)
    model = runner.train()
    found = records(root, "run")
    assert [(r["epoch"], r["source"], r["tau"]) for r in found] == [
        (1, "recall", 1.0),
        (2, "recall", 1.0),
        (3, "recall", 1.0),
    ]
    smoothed = dict.fromkeys(toys.CLASSES)
    for record in found:
        assert list(record["weights"]) == list(toys.CLASSES)
        assert sum(record["weights"].values()) == pytest.approx(3)
        for name, new in record["measured"].items():
            if new is not None:
                old = smoothed[name]
                smoothed[name] = new if old is None else (old + new) / 2
                assert record["accuracy"][name] == pytest.approx(smoothed[name])
    # Ones during the first epoch, then what was measured at the end of each.
    heard = model.bbox_head.loss_cls.heard
    weights = [[*record["weights"].values()] for record in found]
    assert heard[0] == [1, 1, 1]
    assert heard[1:] == [np.float32(w).tolist() for w in weights]
    assert len({tuple(w) for w in weights}) == 3

    content = torch.load(root / "run" / "epoch_2.pth", weights_only=False)["imb_det"]
    state = content["class_difficulty"]
    assert state["weights"] == found[1]["weights"]
    assert state["filled"] == found[1]["accuracy"]
    assert (state["tau"], state["last_update"]) == (1.0, 2)

    scalars = runner.message_hub.log_scalars
    assert scalars["train/cdb_tau"].current() == 1
    assert scalars["train/cdb_weight_max"].current() == max(weights[-1])
    log = next((root / "run").rglob("*.log")).read_text()
    assert "accuracy is source='recall' of bbox_head.loss_cls on 5 held-out" in log
    assert "weights go to ToyDifficultyLoss" in log
    assert log.count("tau 1.000, mean accuracy") == 3


def test_a_pass_over_held_out_images_changes_nothing_in_the_training(root):
    # Without EpochSeedHook, so that one draw more would change all that follows.
    plain = weights_of(make_runner(root, "plain", None, extra=()))
    hook = recall(root, warmup=100)
    hook["held_out"]["dataset"]["pipeline"].insert(
        -1, dict(type="RandomFlip", prob=0.5)
    )
    passed = weights_of(make_runner(root, "passed", hook, extra=()))
    assert [name for name in plain if not torch.equal(plain[name], passed[name])] == []
    assert len(records(root, "passed")) == 2
    assert plain["bbox_head.loss_cls.num_calls"] > 0


@pytest.mark.parametrize("source", ["recall", "score", "ap"])
def test_a_resumed_run_ends_like_an_unbroken_one(root, source):
    hook = recall(root) if source == "recall" else dict(source=source)
    if source == "score":
        hook["interval"] = 2  # it resumes with half of the sums
    toy_metric = dict(type="ToyPrecision")
    options = with_validation(root, toy_metric) if source == "ap" else {}
    unbroken = make_runner(root, "a", hook, 3, **options)
    wanted = weights_of(unbroken)
    make_runner(root, "b", hook, 1, **options).train()
    runner = make_runner(root, "b", hook, 3, resume=True, **options)
    found = weights_of(runner)
    assert [name for name in wanted if not torch.equal(wanted[name], found[name])] == []
    assert hook_of(runner).tracker.to_dict() == hook_of(unbroken).tracker.to_dict()
    heard = [r.model.bbox_head.loss_cls.heard for r in (unbroken, runner)]
    assert heard[0][-1] == heard[1][-1] != [1, 1, 1]
    if source == "ap":  # the validation behind the first checkpoint is repeated
        assert [r["epoch"] for r in records(root, "b")] == [1, 1, 2, 3]
        assert records(root, "b")[0] == records(root, "b")[1] == records(root, "a")[0]


def test_average_precision_of_the_validation(root):
    runner = make_runner(root, "run", dict(source="ap"), 1, **with_validation(root))
    runner.train()
    (record,) = records(root, "run")
    assert (record["epoch"], record["source"]) == (1, "ap")
    counted = ClassStats.from_dataset(runner.val_dataloader.dataset).instance_count
    measured = [value is not None for value in record["measured"].values()]
    assert measured == (counted > 0).tolist()
    assert None not in record["accuracy"].values()
    runner.val()  # not a part of the training
    assert len(records(root, "run")) == 1


def test_iterations_in_place_of_epochs(root):
    # Two iterations an epoch; updates after 2, 4 and 6, used after 3.
    hook = dict(source="score", by_epoch=False, interval=2, warmup=3)
    loop = dict(type="IterBasedTrainLoop", max_iters=6)
    runner = make_runner(root, "run", hook, train_cfg=loop, default_hooks={}, extra=())
    loader = runner._train_dataloader
    loader["sampler"] = dict(type="InfiniteSampler")
    model = runner.train()
    found = records(root, "run")
    assert [record["iter"] for record in found] == [2, 4, 6]
    weights = [np.float32([*record["weights"].values()]).tolist() for record in found]
    assert model.bbox_head.loss_cls.heard == [[1, 1, 1], *weights]


# What stops a training before its first iteration.


@pytest.mark.parametrize(
    ("hook", "options", "error", "match"),
    [
        (
            dict(source="score"),
            dict(custom_hooks=[dict(type="imb_det.ClassDifficultyHook", source="ap")]),
            RuntimeError,
            r"`custom_hooks = \[dict\(type='imb_det.ImbalanceHook'\)",
        ),
        (
            dict(source="score"),
            dict(loss="FocalLoss"),
            ValueError,
            r"no component takes class difficulty\s+Use imb_det.CDBLoss",
        ),
        (
            dict(source="score"),
            dict(train_cfg=dict(type="IterBasedTrainLoop", max_iters=2)),
            ValueError,
            r"IterBasedTrainLoop counts iterations\s+Set `by_epoch=False`",
        ),
        (
            dict(source="ap"),
            {},
            ValueError,
            r"reads the validation, but there is none\s+Add `val_dataloader`",
        ),
    ],
    ids=["no-counts", "no-taker", "iterations", "no-validation"],
)
def test_what_is_missing_is_named_before_training(root, hook, options, error, match):
    runner = make_runner(root, "run", hook, **options)
    with pytest.raises(error, match=match):
        runner.train()
    assert runner.iter == 0


@pytest.mark.parametrize("number", [2, 3])
def test_a_head_of_things_alone_is_named(number):
    """In Panoptic FPN; in Mask2Former, which has stuff too, difficulty is measured."""
    head = toys.build_model(toys.retinanet_config(number)).bbox_head
    head.loss_cls = toys.MODELS.build(dict(type="imb_det.CDBLoss", use_sigmoid=True))
    model = torch.nn.ModuleDict(dict(bbox_head=head))
    counts = ([2, 1, 2], [2, 1, 2], 2)
    classes = ("cat", "dog", "sky")
    stats = ClassStats(classes, *counts, thing_classes=classes[:2])
    context = CheckContext(
        model=model,
        components=[*model.modules()],
        train_loop="a loop",
        class_stats=stats,
    )
    hook = ClassDifficultyHook(source="score", by_epoch=False)
    found = list(hook.findings(context))
    if number == len(classes):
        assert found == []
        return
    assert "CDBLoss of `bbox_head.loss_cls` is of 2 things" in found[0].evidence
    assert "classifies 3 classes" in found[1].evidence
    assert all("Mask2FormerHead" in finding.remedy for finding in found)


def test_a_validation_that_never_comes(root):
    loop = dict(by_epoch=True, max_epochs=2, val_interval=3)
    runner = make_runner(
        root, "run", dict(source="ap"), train_cfg=loop, **with_validation(root)
    )
    with pytest.raises(ValueError, match="the first one is after 3 of 2 epochs"):
        runner.train()


def test_a_validation_without_classes(root):
    options = with_validation(root)
    options["val_evaluator"]["classwise"] = False
    runner = make_runner(root, "run", dict(source="ap"), epochs=1, **options)
    with pytest.raises(ValueError, match=r"Set `classwise=True` in `val_eval"):
        runner.train()
    assert runner.iter == 0


def test_panoptic_quality_is_no_average_precision():
    metric = CocoPanopticMetric.__new__(CocoPanopticMetric)
    metric.classwise = True
    loop = SimpleNamespace(
        val_begin=1, val_interval=1, dynamic_intervals=[1], max_iters=2
    )
    context = CheckContext(
        metrics=dict(val=[metric]), train_loop=loop, val_loop="a loop"
    )
    hook = ClassDifficultyHook(source="ap", by_epoch=False)
    assert any("no average precision" in x.evidence for x in hook.findings(context))


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({}, ValueError, r"`held_out`.*indices=list\(range\(1350, 1500\)\)"),
        (dict(held_out={}), ValueError, r"`held_out` has no `dataset`"),
        (dict(held_out="val"), TypeError, "`held_out` must be the config .* got str"),
        (dict(source="f1"), ValueError, "('recall', 'ap', 'score'), got 'f1'"),
        (dict(source="ap", held_out={}), ValueError, "only with `source='recall'`"),
        (
            dict(source="score", background_is_error=True),
            ValueError,
            "`background_is_error` has a meaning only with",
        ),
        (
            dict(source="score", tau="auto"),
            ValueError,
            "`tau` must be one of ('dynamic',",
        ),
        (dict(source="score", tau=-0.5), ValueError, "`tau` must be .* got -0.5"),
        (dict(source="score", momentum=1), ValueError, "`momentum` must be .* got 1"),
        (dict(source="score", max_ratio=0), ValueError, "`max_ratio` must be .* got 0"),
        (dict(source="score", warmup=-1), ValueError, "`warmup` must be .* least 0"),
        (dict(source="score", interval=0), ValueError, "`interval` must be .* least 1"),
        (dict(source="score", interval=1.5), ValueError, "`interval` must be .* 1.5"),
        (dict(source="score", by_epoch=1), TypeError, "`by_epoch` must be a bool"),
    ],
)
def test_bad_arguments(arguments, error, match):
    with pytest.raises(
        error, match=match.replace("('", r"\('").replace("'),", r"'\),")
    ):
        ClassDifficultyHook(**arguments)


# Parts, with a runner that stands.


class Taker:
    def __init__(self):
        self.heard = []

    def set_class_difficulty_weights(self, weights):
        self.heard.append(weights.tolist())


def test_held_out_images_that_are_trained_on_bring_a_warning(root, logged):
    runner = standing(root)
    build_held_out(loader_config(root, range(NUM_TRAINED, 9)), STATS, runner)
    assert logged == []
    loader = build_held_out(loader_config(root, range(2, 9)), STATS, runner)
    assert len(logged) == 1
    assert f"2 of the 7 held-out images are trained on, such as {root}/" in logged[0]
    assert not loader.sampler.shuffle


def test_held_out_images_of_other_classes_and_none_are_refused(root):
    config = loader_config(root, range(4, 9))
    config["dataset"]["metainfo"] = dict(classes=("ant", "bee"))
    with pytest.raises(ValueError, match=r"2 classes \('ant', 'bee'\), but .* 3 cla"):
        build_held_out(config, STATS, standing(root))
    config = loader_config(root, range(4, 9))
    config["dataset"] = dict(type="RepeatDataset", dataset=config["dataset"], times=0)
    with pytest.raises(ValueError, match="`held_out` has no image"):
        build_held_out(config, STATS, standing(root))


def draw():
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


def test_modes_and_random_numbers_are_restored_after_an_error(root):
    model = toys.build_model(model_config())
    model.backbone.layer1.eval()
    modes = [module.training for module in model.modules()]
    loader = build_held_out(loader_config(root, [5, 6]), STATS, standing(root))
    meter = AccuracyMeter(class_losses(model, 3), 3, hits(False), False)
    buffers = [buffer.clone() for buffer in model.buffers()]
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002

    def fail(*_):
        draw()
        seen.append([module.training for module in (model, model.backbone.bn1)])
        raise KeyError("a broken head")

    for broken in (False, True):
        seen = []
        handle = model.bbox_head.loss_bbox.register_forward_hook(fail)
        if not broken:
            handle.remove()
        with pytest.raises(KeyError) if broken else contextlib.nullcontext():
            run_held_out(standing(root), model, loader, meter)
        assert seen == [[True, False]] * broken
        found = draw()
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
        assert found == draw()
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
        assert [module.training for module in model.modules()] == modes
        assert all(map(torch.equal, buffers, model.buffers()))


def started(root, **arguments):
    """A hook in front of its first iteration, and what takes its weights."""
    taker = Taker()
    hook = ClassDifficultyHook(source="score", **arguments)
    hook.set_class_stats(STATS)
    return hook, taker


def feed(hook, logits, labels):
    loss = next(iter(hook._meter.losses.values()))
    scores = torch.tensor(logits, requires_grad=True)
    loss(scores, torch.tensor(labels), torch.ones(len(labels)))


def test_warm_up_interval_and_hooks_that_take_weights(root):
    hook, taker = started(root, interval=2, warmup=3, tau=1.0, momentum=0.0)
    loop = make_runner(root, "loop", None).build_train_loop(
        dict(by_epoch=True, max_epochs=9)
    )
    model = toys.build_model(model_config())
    runner = standing(root, model, hooks=[hook, taker], train_loop=loop)
    loader = runner.train_dataloader
    in_batches = Taker()
    loader.batch_sampler = SimpleNamespace(sampler=in_batches)
    assert hook.tracker is None
    for runner.epoch in range(6):
        hook.before_train_epoch(runner)
        # Probabilities 0.5 and 0.75 of the classes 0 and 1.
        feed(hook, [[0.0, 0, 0], [0, float(np.log(3)), 0]], [0, 1])
        hook.after_train_epoch(runner)
    # Rare class 2 takes the mean of its group, 0.625.
    wanted = pytest.approx([12 / 9, 6 / 9, 9 / 9], rel=1e-6)
    assert taker.heard == in_batches.heard == model.bbox_head.loss_cls.heard
    assert taker.heard[0] == [1, 1, 1]
    assert taker.heard[1] == wanted
    assert [r["epoch"] for r in records(root, ".")] == [2, 4, 6]
    hook.after_train(runner)
    feed(hook, [[9.0, 0, 0]], [0])
    assert hook._meter._local.sum() == 0


def test_a_checkpoint_of_other_classes_or_of_none(root, logged):
    hook, taker = started(root)
    checkpoint = {}
    hook.before_save_checkpoint(None, checkpoint)
    assert checkpoint == {}
    loop = make_runner(root, "loop", None).build_train_loop(
        dict(by_epoch=True, max_epochs=9)
    )
    model = toys.build_model(model_config())
    runner = standing(root, model, hooks=[taker], train_loop=loop, iter=4)
    hook.after_load_checkpoint(runner, {})
    hook.before_train_epoch(runner)
    assert "the checkpoint holds no class difficulty" in logged[0]
    hook.before_save_checkpoint(runner, checkpoint)
    state = checkpoint["imb_det"]["class_difficulty"]
    state["accuracy"] = dict(ant=0.5, wasp=0.5)

    other, _ = started(root)
    other.after_load_checkpoint(runner, checkpoint)
    with pytest.raises(
        ValueError, match=r"\('ant', 'wasp'\), but .*\('ant', 'bee', 'c"
    ):
        other.before_train_epoch(runner)
    fresh, _ = started(root)
    fresh.after_load_checkpoint(runner, checkpoint)  # weights to start from
    runner.iter = 0
    fresh.before_train_epoch(runner)
    assert fresh.tracker.last_update == 0


# Two processes.


def measure(root):
    """Recall of an untrained model, and scores of rows that the ranks share."""
    rank, size = (
        int(os.environ.get(k, d)) for k, d in (("RANK", 0), ("WORLD_SIZE", 1))
    )
    torch.manual_seed(0)
    model = toys.build_model(model_config())
    runner = standing(root, model)
    recalls = AccuracyMeter(class_losses(model, 3), 3, hits(False), False)
    found = []
    for batch_size in (2, 3):
        config = loader_config(root, range(4, 9), batch_size)
        run_held_out(runner, model, build_held_out(config, STATS, runner), recalls)
        recalls.collect()
        found.append((recalls.total[1].tolist(), recalls.accuracy().tolist()))
    loss = model.bbox_head.loss_cls
    scores = AccuracyMeter({"": loss}, 3, true_class_probability, True)
    with scores.listening():
        logits = torch.randn(10, 3)[rank::size].requires_grad_()
        labels = (torch.arange(10) % 4)[rank::size]
        loss(logits, labels, torch.ones(len(labels)))
    scores.collect()
    return found, scores.accuracy().tolist()


def two_ranks(rank, root, hooks):
    measured = measure(root)
    heard = []
    for number, hook in enumerate(hooks):
        wrapper = dict(type="MMDistributedDataParallel", device_ids=None)
        runner = make_runner(
            root,
            f"run{number}",
            hook,
            launcher="pytorch",
            cfg=dict(model_wrapper_cfg=wrapper),
        )
        runner.train()
        heard.append(runner.model.module.bbox_head.loss_cls.heard)
    return measured, heard


@pytest.mark.dist
@pytest.mark.slow
def test_two_ranks_measure_what_one_does_and_have_the_same_weights(root):
    wanted = measure(root)
    hooks = [recall(root), dict(source="score")]
    (first, weights), (second, others) = on_two_ranks(root, two_ranks, root, hooks)
    assert first == second
    assert weights == others
    assert [len(heard) for heard in weights] == [3, 3]
    # Five images on two ranks: the sixth, in a batch of its own or not, is no more
    # than company.
    assert first[0] == wanted[0]
    assert first[1] == pytest.approx(wanted[1])
