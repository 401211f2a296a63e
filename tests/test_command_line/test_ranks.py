"""A rank that fails ends its job at once; torchrun's part of it is not tried here."""

import json
import multiprocessing
import os
import sys
import time

import pytest
import torch
import torch.distributed as dist

from imb_det.command_line.ranks import run_as_rank
from tests.processes import FORKED, start_server


def take_part(rank, folder, fault):
    """Be one of two ranks, of which the second fails."""
    sys.stderr = (folder / f"stderr{rank}").open("w")
    os.environ["TORCHELASTIC_ERROR_FILE"] = str(folder / f"error{rank}")
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    # A child that Python would wait for, for ever.
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,)).start()

    def main():
        dist.all_reduce(torch.zeros(1))
        if fault == "both":
            raise ValueError("all ranks have\nthe same fault")
        if rank == 1 and fault == "exit":
            raise SystemExit(3)
        if rank == 1:
            raise OSError("cannot read 7.jpg")
        dist.all_reduce(torch.zeros(1))

    run_as_rank(main)


def two_ranks(folder, fault):
    start_server()
    ready = FORKED.Process(target=time.sleep, args=(0,))
    ready.start()
    ready.join()  # the server has imported everything
    ranks = [
        FORKED.Process(target=take_part, args=(rank, folder, fault)) for rank in (0, 1)
    ]
    begin = time.monotonic()
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(60)
    codes = [process.exitcode for process in ranks]
    for process in ranks:
        process.kill()
    assert None not in codes
    assert time.monotonic() - begin < 30
    return codes, [(folder / f"stderr{rank}").read_text() for rank in (0, 1)]


@pytest.mark.dist
@pytest.mark.parametrize(("fault", "code"), [("raise", 1), ("exit", 3)])
def test_the_rank_that_failed_first_is_named(tmp_path, fault, code):
    codes, (other, first) = two_ranks(tmp_path, fault)
    assert codes == [1, code]
    why = dict(raise_="OSError: cannot read 7.jpg", exit_="SystemExit: 3")[f"{fault}_"]
    assert first.startswith("rank 1 is the first to fail:\nTraceback")
    assert first.endswith(f"{why}\n")
    # One line; of gloo alone, it would be that a connection was closed.
    assert other.startswith(f"rank 0 ends, as rank 1: {why} (here: RuntimeError: ")
    assert other.count("\n") == 1
    # What torchrun has in its summary.
    assert (
        why.split()[-1]
        in json.loads((tmp_path / "error1").read_text())["message"]["message"]
    )
    assert not (tmp_path / "error0").exists()


@pytest.mark.dist
def test_a_fault_of_all_ranks_is_told_once(tmp_path):
    codes, printed = two_ranks(tmp_path, "both")
    assert codes == [1, 1]
    short, long = sorted(printed, key=len)
    first = int(long[len("rank ")])
    assert long.endswith("ValueError: all ranks have\nthe same fault\n")
    assert short == f"rank {1 - first} ends for the same reason as rank {first}\n"


def test_without_other_ranks_it_is_a_plain_call():
    done = []
    run_as_rank(lambda: done.append(1))
    assert done == [1]
    with pytest.raises(ZeroDivisionError):
        run_as_rank(lambda: 1 / 0)
