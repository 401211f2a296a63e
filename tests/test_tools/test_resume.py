"""A killed and resumed training equals an unbroken one."""

import time

import pytest
import torch

from tests.processes import run_tool, start_tool
from tests.toy_config import write_toy_config

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("workers", [pytest.param(0, marks=pytest.mark.weekly), 1])
def test_kill_and_resume(tmp_path, workers):
    epochs = 4
    config = write_toy_config(tmp_path, epochs=epochs, workers=workers)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    command = ["train.py", config, "--work-dir"]
    done = run_tool(*command, whole, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    outputs = [tmp_path / "stdout", tmp_path / "stderr"]
    process = start_tool(*command, broken, "--resume", cwd=tmp_path, outputs=outputs)
    deadline = time.monotonic() + 120
    # `last_checkpoint` is written once a checkpoint is complete.
    while not (broken / "last_checkpoint").is_file():
        assert process.is_alive(), outputs[1].read_text()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.join()
    assert not (broken / f"epoch_{epochs}.pth").exists()
    if workers:  # as where the kill comes a moment later
        (broken / "last_checkpoint").write_text("")
    done = run_tool(*command, broken, "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "the bias stays as it is" in done.stdout + done.stderr
    states = [
        torch.load(folder / f"epoch_{epochs}.pth", weights_only=False)["state_dict"]
        for folder in (whole, broken)
    ]
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
