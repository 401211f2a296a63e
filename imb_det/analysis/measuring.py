"""Time and memory of a step, for the benchmarks."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

__all__ = ["machine", "peak_memory", "processor", "seconds"]


def seconds(
    step: Callable[[], None],
    device: str,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return the time of one call, seconds.

    Args:
        step: What to time.
        device: ``'cpu'`` or ``'cuda'``, which is waited for.
        clock: ``time.perf_counter``, or ``time.process_time`` for the time of this
            process alone, of all its threads, where others use the same CPU.
    """
    synchronise: Any = torch.cuda.synchronize if device == "cuda" else lambda: None
    synchronise()
    start = clock()
    step()
    synchronise()
    return clock() - start


def peak_memory(step: Callable[[], None], device: str) -> int:
    """Return the peak of what one call allocates, bytes.

    Args:
        step: What to measure; on the CPU the profiler watches it.
        device: ``'cpu'`` or ``'cuda'``.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as run:
        step()
    events = run.profiler.kineto_results.events()
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    held = peak = 0
    for _, change in sorted(changes, key=lambda event: event[0]):
        held += change
        peak = max(peak, held)
    return peak


def machine(device: str) -> str:
    """Describe where this runs."""
    if device == "cuda":
        return f"{processor(device)}, torch {torch.__version__}"
    capability = torch.backends.cpu.get_cpu_capability()
    threads = torch.get_num_threads()
    return (
        f"{processor(device)} ({capability}), {threads} threads, "
        f"torch {torch.__version__}"
    )


def processor(device: str) -> str:
    """Name the GPU, or the CPU."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.machine()
