"""A killed and resumed training equals an unbroken one."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from tests.toy_config import write_toy_config

pytestmark = pytest.mark.slow


def command(root, config, *arguments):
    return [sys.executable, str(root / "tools" / "train.py"), str(config), *arguments]


def environment(root):
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}


@pytest.mark.parametrize("workers", [0, 1])
def test_kill_and_resume(repo_root, tmp_path, workers):
    epochs = 4
    config = write_toy_config(tmp_path, epochs=epochs, workers=workers)
    common = dict(cwd=tmp_path, env=environment(repo_root), capture_output=True)
    whole = tmp_path / "whole"
    subprocess.run(
        command(repo_root, config, "--work-dir", str(whole)), check=True, **common
    )
    broken = tmp_path / "broken"
    arguments = command(repo_root, config, "--work-dir", str(broken), "--resume")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            arguments, cwd=tmp_path, env=common["env"], stdout=log, stderr=log
        )
        deadline = time.monotonic() + 120
        # `last_checkpoint` is written once a checkpoint is complete.
        while not (broken / "last_checkpoint").is_file():
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (broken / f"epoch_{epochs}.pth").exists()
    done = subprocess.run(arguments, check=True, text=True, **common)
    assert "the bias stays as it is" in done.stdout + done.stderr
    states = [
        torch.load(folder / f"epoch_{epochs}.pth", weights_only=False)["state_dict"]
        for folder in (whole, broken)
    ]
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
