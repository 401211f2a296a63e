"""Runs a function on two gloo ranks of this machine."""

import gc
import os

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from tests.processes import FORKED, start_server


def _run(rank, environment, store, queue, work, arguments):
    # Two ranks that spin for each other's threads would take minutes.
    torch.set_num_threads(1)
    os.environ.clear()
    os.environ.update(environment)
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", LOCAL_RANK=str(rank))
    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=2
    )
    try:
        queue.put((rank, work(rank, *arguments)))
        dist.barrier()
    finally:
        # Its threads end when nothing uses the group any more: no model, no cycle.
        gc.collect()
        dist.destroy_process_group()


def on_two_ranks(folder, work, *arguments):
    """Run ``work(rank, *arguments)`` in two processes; return both results.

    An exception of either process is raised here. ``folder`` must be new to this call.
    """
    start_server()
    queue = FORKED.SimpleQueue()
    processes = mp.start_processes(
        _run,
        (dict(os.environ), folder / "store", queue, work, arguments),
        nprocs=2,
        join=False,
        start_method="forkserver",
    )
    results = {}
    done = False
    while not done:
        done = processes.join(timeout=0.05)
        while not queue.empty():
            results.update([queue.get()])
    return [results[0], results[1]]
