"""Guided losses, prior and weights on two gloo ranks."""

import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from imb_det.hooks import GradientHook
from tests.test_heads.guided_cases import CASES, total
from tests.test_hooks.test_gradient_hook import logged, make_runner
from tests.toy_config import use_small_model, write_toy_config
from tests.two_ranks import on_two_ranks

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.dist

# Enough positives, else mmdet's ATSS and GFL divide by a floor of 1 on each rank.
SETTINGS = [
    (["two"], ["one", "other"]),
    (["empty"], ["two", "other"]),
    (["two"], ["empty", "empty too"]),
    (["empty"], ["empty too"]),
]


def _step(case, names):
    """Losses of a head, and gradients at its outputs by the name of the image."""
    head = case.build(adaptive_thr=True) if case.kind != "RPNHead" else case.build()
    runner, hook = make_runner(head), GradientHook()
    hook.before_train(runner)
    inputs = case.inputs(head, names)
    losses = case.losses(head, inputs, names)
    sum(total(losses, name) for name in losses if "loss" in name).backward()
    hook.after_train_iter(runner, 0)
    leaves = [leaf for levels in inputs for leaf in levels]
    gradients = [
        torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves
    ]
    thresholds = getattr(head, "class_thresholds", None)
    return dict(
        ratio=next(value.item() for key, value in losses.items() if "ratio" in key),
        unscaled=head.num_unscaled.item(),
        sizes=logged(runner),
        gradients=[gradient.numpy() for gradient in gradients],
        share=None
        if thresholds is None
        else (thresholds.num_candidates[0] / thresholds.num_candidates[1]).item(),
    )


def _steps(rank):
    return [
        [_step(case, setting[rank]) for setting in SETTINGS] for case in CASES.values()
    ]


def test_two_ranks_equal_one_process(tmp_path):
    ranks = on_two_ranks(tmp_path, _steps)
    for row, (name, case) in enumerate(CASES.items()):
        for column, (first, second) in enumerate(SETTINGS):
            found = [rank[row][column] for rank in ranks]
            wanted = _step(case, first + second)
            where = f"{name}: {first} and {second}"
            for rank in found:
                assert rank["ratio"] == pytest.approx(wanted["ratio"], rel=1e-5), where
                assert rank["unscaled"] == wanted["unscaled"], where
                assert rank["share"] == pytest.approx(wanted["share"], nan_ok=True)
            if wanted["unscaled"]:  # FCOS divides by 1 then, on however many ranks
                continue
            for rank in found:
                assert rank["sizes"] == pytest.approx(wanted["sizes"], rel=1e-4), where
            parts = zip(
                *(r["gradients"] for r in found), wanted["gradients"], strict=True
            )
            for one, two, both in parts:
                # DDP takes the mean over ranks of the gradients.
                joined = torch.cat([torch.from_numpy(one), torch.from_numpy(two)]) / 2
                torch.testing.assert_close(
                    joined, torch.from_numpy(both), rtol=1e-4, atol=1e-7, msg=where
                )


def _train(rank, config_path):
    from imb_det.cli import build_runner

    cfg = Config.fromfile(config_path)
    cfg.launcher = "pytorch"
    runner = build_runner(cfg)
    runner.train()
    model = runner.model.module
    scalars = runner.message_hub.log_scalars
    return dict(
        wrapped=type(runner.model).__name__,
        ratios={
            name: list(buffer._log_history)
            for name, buffer in scalars.items()
            if name.endswith("guided_ratio")
        },
        weights={k: v.numpy() for k, v in model.state_dict().items()},
        iterations=runner.iter,
    )


@pytest.mark.slow
def test_training_keeps_ranks_equal(tmp_path):
    path = write_toy_config(tmp_path, epochs=3, num_images=8)
    first, second = on_two_ranks(tmp_path, _train, str(path))
    assert first["wrapped"] == "MMDistributedDataParallel"
    assert first["iterations"] == 6
    assert first["ratios"] == second["ratios"]
    assert len(set(first["ratios"]["train/guided_ratio"])) == 6
    for name, value in first["weights"].items():
        assert (value == second["weights"][name]).all(), name
    # Rank 0 counts and logs for both.
    logs = [log.read_text() for log in (tmp_path / "work").rglob("*.log")]
    assert sum(log.count("PriorInitHook: bbox_head: N = ") for log in logs) == 1


def _two_stage_config(folder, model_name):
    """Write a toy config of a small two-stage model; every second image is empty."""
    path = write_toy_config(folder, epochs=1, num_images=10, batch_size=1)
    annotations = folder / "data" / "ann.json"
    content = json.loads(annotations.read_text())
    content["annotations"] = [
        each for each in content["annotations"] if each["image_id"] % 2
    ]
    annotations.write_text(json.dumps(content))
    cfg = Config.fromfile(path)
    use_small_model(cfg, model_name)
    # Without shuffling, rank 1 gets the empty images alone.
    cfg.train_dataloader.sampler = dict(type="DefaultSampler", shuffle=False)
    cfg.train_dataloader.dataset.filter_cfg = dict(filter_empty_gt=False)
    cfg.dump(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", ["faster-rcnn", "cascade-rcnn"])
def test_a_rank_of_empty_images(tmp_path, name):
    path = _two_stage_config(tmp_path, name)
    first, second = on_two_ranks(tmp_path, _train, str(path))
    assert first["iterations"] == 5
    assert first["ratios"] == second["ratios"]
    for key, values in first["ratios"].items():
        assert len(set(values)) == 5, key
        assert all(0 < value < math.inf and value != 1 for value in values), key
    for key, value in first["weights"].items():
        assert np.isfinite(value).all(), key
        assert (value == second["weights"][key]).all(), key
    unscaled = [key for key in first["weights"] if key.endswith("num_unscaled")]
    assert len(unscaled) == (2 if name == "faster-rcnn" else 4)
    assert not any(first["weights"][key] for key in unscaled)


@pytest.mark.slow
@pytest.mark.weekly  # the script is tested in test_cli.py, the training above
def test_dist_train_script(tmp_path, repo_root):
    path = write_toy_config(tmp_path, epochs=1, num_images=4)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    done = subprocess.run(
        ["bash", str(repo_root / "tools" / "dist_train.sh"), str(path), "2"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PORT": str(port),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert (tmp_path / "work" / "epoch_1.pth").is_file()
    # Rank 0 counts and logs for both.
    assert output.count("PriorInitHook: bbox_head: N = ") == 1
