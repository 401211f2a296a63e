"""Guided ratio, prior and weights on two gloo ranks."""

import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.two_ranks import on_two_ranks

pytestmark = pytest.mark.dist


def _ratio_of_one_rank(rank, images):
    from tests.test_heads.test_guided_loss_scaling import build_head, make_batch

    head, plain = build_head(), build_head("RetinaHead")
    batch = make_batch([images[rank]])
    raw = plain.loss_by_feat(*batch)
    losses = head.loss_by_feat(*batch)
    total = sum(losses["loss_cls"]) + sum(losses["loss_bbox"])
    total.backward()
    return dict(
        raw_cls=sum(raw["loss_cls"]).item(),
        raw_bbox=sum(raw["loss_bbox"]).item(),
        ratio=losses["guided_ratio"].item(),
        scaled=sum(losses["loss_cls"]).item(),
        unscaled=head.num_unscaled.item(),
        finite=all(bool(x.grad.isfinite().all()) for x in batch[0]),
    )


@pytest.mark.parametrize(
    ("images", "unscaled"),
    [
        ([[[4, 6, 40, 30]], [[8, 8, 30, 34], [30, 30, 60, 62]]], 0),
        ([[], [[8, 8, 30, 34]]], 0),
        ([[], []], 1),
    ],
    ids=["both", "one-empty", "both-empty"],
)
def test_one_ratio_for_all_ranks(tmp_path, images, unscaled):
    from tests.references.guided_loss import guided_ratio

    first, second = on_two_ranks(tmp_path, _ratio_of_one_rank, images)
    wanted = guided_ratio(
        [first["raw_cls"], second["raw_cls"]], [first["raw_bbox"], second["raw_bbox"]]
    )
    assert first["ratio"] == second["ratio"] == pytest.approx(wanted, rel=1e-5)
    for rank in (first, second):
        assert rank["scaled"] == pytest.approx(wanted * rank["raw_cls"], rel=1e-5)
        assert math.isfinite(rank["scaled"])
        assert rank["finite"]
        assert rank["unscaled"] == unscaled


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
