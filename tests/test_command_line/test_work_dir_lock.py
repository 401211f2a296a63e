"""A second training in a work folder is refused, and only while the first lives."""

import os
import signal
import time

import pytest

from imb_det.command_line.work_dir_lock import lock_work_dir
from tests.processes import FORKED, start_server


def hold(folder, ready):
    lock_work_dir(folder)
    if os.fork() == 0:  # such as a data worker, which outlives its parent for a while
        time.sleep(5)
        os._exit(0)
    ready.set()
    time.sleep(60)


def test_two_trainings_in_one_folder(tmp_path):
    start_server()
    ready = FORKED.Event()
    process = FORKED.Process(target=hold, args=(tmp_path / "work", ready))
    process.start()
    assert ready.wait(60)
    with pytest.raises(BlockingIOError, match=rf"process {process.pid} on \S+, since"):
        lock_work_dir(tmp_path / "work")
    lock_work_dir(tmp_path / "other")
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    lock_work_dir(tmp_path / "work")
    lock_work_dir(tmp_path / "work")  # a process may train twice
    assert f"process {os.getpid()} " in (tmp_path / "work" / ".training").read_text()


@pytest.mark.parametrize("name", ["RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"])
def test_rank_0_locks_for_all(tmp_path, monkeypatch, name):
    for other in ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "1")
    lock_work_dir(tmp_path / "work")
    assert not (tmp_path / "work").exists()
