"""Guided losses, prior and weights on two gloo ranks."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.test_heads.guided_cases import CASES, total
from tests.two_ranks import on_two_ranks

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
    inputs = case.inputs(head, names)
    losses = case.losses(head, inputs, names)
    sum(total(losses, name) for name in losses if "loss" in name).backward()
    leaves = [leaf for levels in inputs for leaf in levels]
    gradients = [
        torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves
    ]
    thresholds = getattr(head, "class_thresholds", None)
    return dict(
        ratio=next(value.item() for key, value in losses.items() if "ratio" in key),
        unscaled=head.num_unscaled.item(),
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
    from mmengine.config import Config

    from imb_det.cli import build_runner

    cfg = Config.fromfile(config_path)
    cfg.launcher = "pytorch"
    runner = build_runner(cfg)
    runner.train()
    model = runner.model.module
    scalars = runner.message_hub.log_scalars
    return dict(
        wrapped=type(runner.model).__name__,
        ratios=list(scalars["train/guided_ratio"]._log_history),
        weights={k: v.numpy() for k, v in model.state_dict().items()},
        iterations=runner.iter,
    )


@pytest.mark.slow
def test_training_keeps_ranks_equal(tmp_path):
    from tests.toy_config import write_toy_config

    path = write_toy_config(tmp_path, epochs=3, num_images=8)
    first, second = on_two_ranks(tmp_path, _train, str(path))
    assert first["wrapped"] == "MMDistributedDataParallel"
    assert first["iterations"] == 6
    assert first["ratios"] == second["ratios"]
    assert len(set(first["ratios"])) == 6
    for name, value in first["weights"].items():
        assert (value == second["weights"][name]).all(), name


@pytest.mark.slow
def test_dist_train_script(tmp_path, repo_root):
    from tests.toy_config import write_toy_config

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
