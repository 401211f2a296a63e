"""Time losses and their gradients, and the memory they need, against their peers.

All contestants of a size run in this process, one after the other in each round, so
that a busy machine is busy for all of them. The table has the fastest round of forward
and backward, which others have disturbed least, the median, ratios of fastest rounds,
and the peak of what is allocated on top of the inputs, the gradient included, in
tensors of the logits' size. The losses of the long tail are told of a made-up one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.utils import ProgressBar
from torch import Tensor

from imb_det import losses
from imb_det.analysis.loss_contestants import CASES, Case, contestants, told
from imb_det.analysis.mask_contestants import MASKS, mask_contestants
from imb_det.analysis.measuring import machine, peak_memory, seconds
from imb_det.core.shown_text import write_text

PLAIN = {"softmax": "F.cross_entropy", "sigmoid": "plain BCE, targets ready"}
COPY = "copying the logits"
HOW = ("eager", "compiled")

Step = Callable[[], None]


def step_of(
    loss: Callable[[Tensor], Tensor], score: Tensor, module: Any = None
) -> Step:
    """Return a step, forward and backward; running statistics are brought up to date.

    Args:
        loss: Of the logits.
        score: Logits, with a gradient.
        module: What may have running statistics, or None.
    """

    def step() -> None:
        loss(score).backward()
        score.grad = None
        if module is not None:
            losses.flush_statistics(module)

    return step


def make_steps(
    case: Case, device: str, share: float | None = None
) -> dict[str, tuple[Step, str | None, int]]:
    """Return what is timed, forward and backward: by name, its peer, its channels.

    Args:
        case: Size.
        device: ``'cpu'`` or ``'cuda'``.
        share: Of rows that have a class; None for one in fifty, as of anchors, or one
            in four, as of RoIs.
    """
    if case.name.startswith("masks"):
        return mask_steps(case, device)
    generator = torch.Generator().manual_seed(0)
    classes = case.classes
    if share is None:
        share = 0.02 if case.is_dense else 0.25
    label = torch.randint(classes, (case.rows,), generator=generator)
    label[torch.rand(case.rows, generator=generator) > share] = classes
    weight = torch.ones(case.rows, device=device)
    avg_factor = float(max((label < classes).sum(), 1))
    quality = torch.rand(case.rows, generator=generator).to(device)
    label = label.to(device)
    scores: dict[tuple[int, bool], Tensor] = {}

    def score_of(extra: int, cosines: bool = False) -> Tensor:
        if (extra, cosines) not in scores:
            score = torch.randn(case.rows, classes + extra, generator=generator) - 4
            score = torch.tanh(score + 4) if cosines else score
            scores[extra, cosines] = score.to(device).requires_grad_()
        return scores[extra, cosines]

    score = score_of(int(not case.is_dense))
    channels = score.size(1)
    target = F.one_hot(label, classes + 1)[:, :channels].to(score.dtype)
    copy = torch.empty_like(score, requires_grad=False)
    matrix = target * quality[:, None]
    targets = {"classes": label, "pair": (label, quality), "matrix": matrix}

    def entropy(score: Tensor) -> Tensor:
        return F.cross_entropy(score, label)

    def binary(score: Tensor) -> Tensor:
        total = F.binary_cross_entropy_with_logits(score, target, reduction="sum")
        return total / avg_factor

    steps: dict[str, tuple[Step, str | None, int]] = {
        COPY: (lambda: copy.copy_(score.detach()), None, channels)
    }
    if not case.is_dense:
        steps[PLAIN["softmax"]] = (step_of(entropy, score), None, channels)
    steps[PLAIN["sigmoid"]] = (step_of(binary, score), None, channels)
    for name, (loss, extra, peer, cosines, form) in contestants(case, HOW).items():
        module = told(loss, classes).to(device)
        of_loss = score_of(int(extra), cosines)

        def call(score: Tensor, module: Any = module, form: str = form) -> Tensor:
            of_rows = None if form == "matrix" else weight  # as VFNet
            value = module(score, targets[form], of_rows, avg_factor=avg_factor)
            return sum(value.values()) if isinstance(value, dict) else value

        steps[name] = (step_of(call, of_loss, module), peer, of_loss.size(1))
    return steps


def mask_steps(case: Case, device: str) -> dict[str, tuple[Step, str | None, int]]:
    """Return what is timed of losses of masks, as :func:`make_steps`."""
    logits, masks, found = mask_contestants(case, device)
    copy, points = torch.empty_like(logits, requires_grad=False), case.classes

    def binary(z: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(z, masks)

    steps: dict[str, tuple[Step, str | None, int]] = {
        COPY: (lambda: copy.copy_(logits.detach()), None, points),
        PLAIN["sigmoid"]: (step_of(binary, logits), None, points),
    }
    for name, (loss, peer) in found.items():
        steps[name] = (step_of(loss, logits), peer, points)
    return steps


def measure(
    case: Case,
    device: str,
    rounds: int,
    share: float | None = None,
    only: str = "",
    clock: Callable[[], float] = time.perf_counter,
) -> list[dict[str, Any]]:
    """Measure all contestants of a size, or those whose name has ``only`` in it."""
    steps = make_steps(case, device, share)
    kept = {peer for name, (_, peer, _) in steps.items() if only in name}
    kept |= {COPY, *PLAIN.values()}
    steps = {k: step for k, step in steps.items() if only in k or k in kept}
    bar = ProgressBar(len(steps) * (rounds + 1), file=sys.stderr)
    memory: dict[str, float] = {}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for name, (step, _, channels) in steps.items():
        step()  # compiles
        step()
        memory[name] = peak_memory(step, device) / (case.rows * channels * 4)
        bar.update()
    for _ in range(rounds):
        for name, (step, _, _) in steps.items():
            times[name].append(seconds(step, device, clock))
            bar.update()
    print(file=sys.stderr)
    least = {name: min(values) for name, values in times.items()}

    def ratio(name: str, other: str | None) -> float | None:
        return least[name] / least[other] if other in least else None

    return [
        {
            "case": case.name,
            "name": name,
            "ms": least[name] * 1e3,
            "median_ms": statistics.median(times[name]) * 1e3,
            "peer": peer,
            "to_peer": ratio(name, peer),
            "to_cross_entropy": ratio(name, PLAIN["softmax"]),
            "to_bce": ratio(name, PLAIN["sigmoid"]),
            "to_copy": ratio(name, COPY),
            "memory": memory[name],
        }
        for name, (_, peer, _) in steps.items()
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """Write the rows of a size as Markdown."""
    lines = [
        f"| {rows[0]['case']} | ms (median) | to its peer | to {PLAIN['softmax']} "
        "| to plain BCE | to copy | memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratios = (
            "" if row[key] is None else f"{row[key]:.2f}"
            for key in ("to_peer", "to_cross_entropy", "to_bce", "to_copy")
        )
        lines.append(
            f"| {row['name']} | {row['ms']:.2f} ({row['median_ms']:.2f}) "
            f"| {' | '.join(ratios)} | {row['memory']:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="default: 20")
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], help="default: the CPU, and a GPU if any"
    )
    parser.add_argument(
        "--case", choices=["dense", "RoI", "masks"], help="default: all"
    )
    parser.add_argument(
        "--positives",
        type=float,
        metavar="SHARE",
        help="of rows with a class; default: 0.02 of dense ones, 0.25 of RoIs",
    )
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="losses with this in their name"
    )
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="time of this process, for a CPU that others use too",
    )
    parser.add_argument("--eager", action="store_true", help="compile nothing")
    parser.add_argument("--out", metavar="FILE.json", help="write all numbers here")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    if args.positives is not None and not 0 <= args.positives <= 1:
        parser.error(f"--positives must be in [0, 1], got {args.positives}")
    if args.eager:
        global HOW
        HOW = HOW[:1]
    devices = [args.device]
    if args.device is None:
        devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    clock = time.process_time if args.cpu_time else time.perf_counter
    if args.cpu_time and devices != ["cpu"]:
        parser.error("--cpu-time needs `--device cpu`")
    cases = [case for case in (*CASES, MASKS) if case.name.startswith(args.case or "")]
    results: dict[str, list[dict[str, Any]]] = {}
    for device in devices:
        print(machine(device))
        rows = results.setdefault(machine(device), [])
        for case in cases:
            part = measure(case, device, args.rounds, args.positives, args.only, clock)
            print(table(part), flush=True)
            rows += part
            if args.out is not None:  # after each size: an interrupted run is not lost
                write_text(Path(args.out), json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
