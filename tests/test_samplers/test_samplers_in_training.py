"""Samplers in mmengine's loops: order, workers, ranks, resuming, files, warnings."""

import itertools
import json
import os

import numpy as np
import pytest
import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from imb_det.samplers import RepeatFactorSampler
from tests import toys
from tests.two_ranks import on_two_ranks

FACTORS = dict(repeat_thr=0.9, power=1.0, max_repeat=2.5)
RFS = dict(type="imb_det.RepeatFactorSampler", **FACTORS)
IMBALANCE = dict(type="imb_det.ImbalanceHook")
run_number = itertools.count()


@HOOKS.register_module()
class SeenImages(Hook):
    """Writes down which images each iteration gets."""

    def __init__(self):
        self.seen = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        samples = data_batch["data_samples"]
        self.seen.append([sample.img_id for sample in samples])


def make_runner(root, work_dir, sampler=RFS, hooks=(), workers=0, **kwargs):
    if not (root / "ann.json").exists():
        toys.write_coco(root, num_images=9)
    model = kwargs.pop("model", toys.retinanet_config())
    dataset = kwargs.pop("dataset", toys.coco_dataset_config(root))
    by_epoch = kwargs.pop("by_epoch", True)
    end = dict(max_epochs=3) if by_epoch else dict(max_iters=kwargs.pop("max_iters"))
    return Runner(
        model=model,
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=2, num_workers=workers, sampler=sampler, dataset=dataset
        ),
        train_cfg=dict(by_epoch=by_epoch, **end),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01)),
        custom_hooks=[IMBALANCE, *hooks, dict(type="SeenImages")],
        default_scope="mmdet",
        randomness=dict(seed=3),
        experiment_name=f"sampler_{os.getpid()}_{next(run_number)}",
        **kwargs,
    )


def train(*args, **kwargs):
    """Train; return the images of all iterations and the runner."""
    runner = make_runner(*args, **kwargs)
    runner.train()
    (hook,) = [hook for hook in runner.hooks if isinstance(hook, SeenImages)]
    return hook.seen, runner


def expected_order(runner, epochs):
    """What a sampler says by itself, in batches of two."""
    dataset = runner.train_dataloader.dataset
    sampler = RepeatFactorSampler(dataset, **FACTORS, seed=3)
    seen = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        ids = [dataset.get_data_info(index)["img_id"] for index in sampler]
        seen += [ids[start : start + 2] for start in range(0, len(ids), 2)]
    return seen


def test_workers_and_the_batch_sampler_of_mmdet_keep_the_order(tmp_path):
    here, runner = train(tmp_path, tmp_path / "a")
    assert here == expected_order(runner, 3)
    assert len(here) > 3 * 5  # nine images, and some of them more than once
    there, _ = train(tmp_path, tmp_path / "b", workers=2)
    assert there == here


def test_resuming_goes_on_with_the_order(tmp_path):
    whole, _ = train(tmp_path, tmp_path / "whole")
    runner = make_runner(
        tmp_path,
        tmp_path / "broken",
        load_from=str(tmp_path / "whole" / "epoch_2.pth"),
        resume=True,
    )
    runner.train()
    (hook,) = [hook for hook in runner.hooks if isinstance(hook, SeenImages)]
    assert hook.seen == whole[len(whole) * 2 // 3 :]


def test_resuming_in_the_middle_of_an_epoch_where_iterations_count(tmp_path):
    saving = dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=11))
    common = dict(by_epoch=False, max_iters=20, default_hooks=saving)
    whole, runner = train(tmp_path, tmp_path / "whole", **common)
    per_epoch = len(runner.train_dataloader)
    assert per_epoch < 11 < 2 * per_epoch  # the checkpoint is inside the second epoch
    assert whole[: 2 * per_epoch] == expected_order(runner, 2)
    runner = make_runner(
        tmp_path,
        tmp_path / "broken",
        load_from=str(tmp_path / "whole" / "iter_11.pth"),
        resume=True,
        **common,
    )
    runner.train()
    (hook,) = [hook for hook in runner.hooks if isinstance(hook, SeenImages)]
    assert hook.seen == whole[11:]


def rank_work(rank, root):
    seen, runner = train(root, root / "two", launcher="none", workers=2)
    sampler = runner.train_dataloader.sampler
    return seen, len(sampler), sampler.class_stats.to_dict()


def test_two_ranks_share_an_epoch(tmp_path):
    one, runner = train(tmp_path, tmp_path / "one")
    results = on_two_ranks(tmp_path, rank_work, tmp_path)
    (first, length, stats), (second, other_length, other_stats) = results
    assert length == other_length
    assert stats == other_stats == runner.train_dataloader.sampler.class_stats.to_dict()
    epochs = 3
    steps = len(first) // epochs
    for epoch in range(epochs):
        alone, *rows = (
            [i for batch in seen[epoch * n : (epoch + 1) * n] for i in batch]
            for seen, n in ((one, len(one) // epochs), (first, steps), (second, steps))
        )
        joined = [i for pair in zip(*rows, strict=True) for i in pair]
        assert joined[: len(alone)] == alone


@pytest.mark.parametrize("by", ["max", "class"])
def test_difficulty_changes_the_draw_from_the_next_epoch_on(tmp_path, by):
    model = toys.retinanet_config()
    hook = dict(type="imb_det.ClassDifficultyHook", source="score")
    sampler = dict(type="imb_det.CDBSampler", by=by)
    _, runner = train(
        tmp_path, tmp_path / "work", sampler=sampler, hooks=[hook], model=model
    )
    made = runner.train_dataloader.sampler
    weights = made.difficulty_weights
    assert weights.sum() == pytest.approx(3)
    assert np.ptp(weights) > 0
    copies = made.expected_copies(1)
    assert copies.sum() == pytest.approx(9)
    assert np.ptp(copies) > 0


def cdb_rank(rank, root):
    hook = dict(type="imb_det.ClassDifficultyHook", source="score")
    sampler = dict(type="imb_det.CDBSampler")
    _, runner = train(root, root / "cdb", sampler=sampler, hooks=[hook])
    made = runner.train_dataloader.sampler
    return made.difficulty_weights.tolist(), made.order(5).tolist()


def test_two_ranks_draw_by_the_same_difficulty(tmp_path):
    toys.write_coco(tmp_path, num_images=9)
    first, second = on_two_ranks(tmp_path, cdb_rank, tmp_path)
    assert first == second
    assert max(first[0]) > min(first[0])


def test_without_its_hook_cdb_sampling_says_what_to_add(tmp_path):
    runner = make_runner(tmp_path, tmp_path, sampler=dict(type="imb_det.CDBSampler"))
    with pytest.raises(RuntimeError, match=r"custom_hooks = .*ClassDifficultyHook"):
        runner.train()


def test_receipt_is_written_before_the_first_iteration(tmp_path):
    _, runner = train(tmp_path, tmp_path / "work")
    content = json.loads((tmp_path / "work" / "sampling.json").read_text())
    assert content["rule"].startswith("RepeatFactorSampler: repeat_thr=0.9, power=1")
    assert content["length_after"] == runner.train_dataloader.sampler.length
    assert (tmp_path / "work" / "sampling.png").stat().st_size > 5000
    (log,) = (tmp_path / "work").rglob("*.log")
    assert log.read_text().count("RepeatFactorSampler: receipt in ") == 1


@pytest.mark.parametrize(
    ("loss", "sampler", "hooks", "warned"),
    [
        (dict(class_weight="sqrt_inverse"), RFS, [], "CrossEntropyLoss"),
        (dict(class_weight=[1.0, 2.0, 3.0]), RFS, [], None),
        (
            dict(type="imb_det.CDBLoss"),
            RFS,
            [dict(type="imb_det.ClassDifficultyHook", source="score")],
            None,
        ),
        (
            dict(type="imb_det.CDBLoss"),
            dict(type="imb_det.CDBSampler"),
            [dict(type="imb_det.ClassDifficultyHook", source="score")],
            "CDBLoss",
        ),
    ],
)
def test_counting_classes_twice_is_a_warning(
    tmp_path, capsys, loss, sampler, hooks, warned
):
    model = toys.retinanet_config()
    model.bbox_head.loss_cls = {
        "type": "imb_det.CrossEntropyLoss",
        "use_sigmoid": True,
        **loss,
    }
    train(tmp_path, tmp_path / "w", sampler=sampler, hooks=hooks, model=model)
    out = capsys.readouterr()
    lines = [line for line in (out.out + out.err).splitlines() if "count twice" in line]
    assert bool(lines) == (warned is not None)
    assert all(warned in line for line in lines)


def test_multi_image_mix_with_mosaic_trains(tmp_path):
    toys.write_coco(tmp_path, num_images=9)
    loading, packing = toys.coco_dataset_config(tmp_path), dict(type="PackDetInputs")
    loading["pipeline"] = loading["pipeline"][:2]
    dataset = dict(
        type="MultiImageMixDataset",
        dataset=loading,
        pipeline=[
            dict(type="imb_det.Mosaic", img_scale=(64, 64)),
            dict(type="imb_det.RareCopyPaste", prob=1.0, repeat_thr=0.9),
            dict(type="imb_det.MixUp", img_scale=(64, 64)),
            packing,
        ],
    )
    seen, runner = train(tmp_path, tmp_path / "work", dataset=dataset, workers=2)
    assert seen == expected_order(runner, 3)
    mosaic = runner.train_dataloader.dataset.pipeline[0]
    weights = torch.diff(mosaic._cumulative, prepend=torch.zeros(1))
    sampler = runner.train_dataloader.sampler
    np.testing.assert_allclose(weights, sampler.image_weights(0))
