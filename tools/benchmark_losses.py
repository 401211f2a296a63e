"""Time losses and their gradients, and the memory they need, against their peers.

All contestants of a size run in this process, one after the other in each round, so
that a busy machine is busy for all of them. The table has the median time of forward
and backward, its quartiles, ratios of medians, and the peak of what is allocated on
top of the inputs, the gradient included, in tensors of the logits' size.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import mmdet.models.losses as peers
import torch
import torch.nn.functional as F
from mmengine.utils import ProgressBar
from torch import Tensor

from imb_det import losses
from imb_det.analysis.measuring import machine, peak_memory, seconds
from imb_det.core.shown_text import write_text

PLAIN = {"sigmoid": "plain BCE, targets ready", "softmax": "F.cross_entropy"}
COPY = "copying the logits"
HOW = ("eager", "compiled")


class Case(NamedTuple):
    """A size of the logits."""

    name: str
    rows: int
    channels: int
    activation: str


CASES = (
    Case("dense 60,000 x 80", 60_000, 80, "sigmoid"),
    Case("dense 8,000 x 1203", 8_000, 1203, "sigmoid"),
    Case("RoI 2,048 x 1204", 2_048, 1204, "softmax"),
)


def contestants(case: Case) -> dict[str, tuple[Any, str | None]]:
    """Return losses by name, each with the name of its peer in mmdet."""
    weights = torch.linspace(0.5, 1.5, case.channels)
    use_sigmoid = case.activation == "sigmoid"
    cross_entropy = "mmdet CrossEntropyLoss"
    found: dict[str, tuple[Any, str | None]] = {
        cross_entropy: (peers.CrossEntropyLoss(use_sigmoid=use_sigmoid), None)
    }
    focal = cross_entropy
    if use_sigmoid:
        focal = "mmdet FocalLoss"
        found[focal] = (peers.FocalLoss(), None)
        found["mmdet GHMC"] = (peers.GHMC(bins=30, momentum=0.75), None)
    for how in HOW:
        args = dict(use_sigmoid=use_sigmoid, compiled=how == "compiled")
        weighted = losses.CrossEntropyLoss(class_weight=weights, **args)
        cdb = losses.CDBLoss(gamma=2.0, **args)
        cdb.set_class_difficulty_weights(weights if use_sigmoid else weights[:-1])
        found |= {
            f"CrossEntropyLoss, {how}": (
                losses.CrossEntropyLoss(**args),
                cross_entropy,
            ),
            f"CrossEntropyLoss, weighted, {how}": (weighted, cross_entropy),
            f"CDBLoss, focal, {how}": (cdb, focal),
        }
        if use_sigmoid:
            ghm = losses.GHMCLoss(**args)
            losses.manage_statistics(ghm)
            found[f"FocalLoss, {how}"] = (losses.FocalLoss(**args), focal)
            found[f"GHMCLoss, {how}"] = (ghm, "mmdet GHMC")
    return found


def make_steps(case: Case, device: str) -> dict[str, tuple[Callable, str | None]]:
    """Return what is timed, forward and backward, by name, with its peer."""
    generator = torch.Generator().manual_seed(0)
    score = torch.randn(case.rows, case.channels, generator=generator) - 4
    classes = case.channels - (case.activation == "softmax")
    # One row in fifty is a positive, as with anchors; one in four, as with RoIs.
    share = 0.02 if case.activation == "sigmoid" else 0.25
    label = torch.randint(classes, (case.rows,), generator=generator)
    label[torch.rand(case.rows, generator=generator) > share] = classes
    weight = torch.ones(case.rows, device=device)
    avg_factor = float((label < classes).sum())
    score, label = score.to(device).requires_grad_(), label.to(device)
    target = F.one_hot(label, classes + 1)[:, :classes].to(score.dtype)
    copy = torch.empty_like(score, requires_grad=False)

    def plain() -> Tensor:
        if case.activation == "softmax":
            return F.cross_entropy(score, label)
        total = F.binary_cross_entropy_with_logits(score, target, reduction="sum")
        return total / avg_factor

    def step_of(loss: Callable[[], Tensor], module: Any = None) -> Callable[[], None]:
        def step() -> None:
            loss().backward()
            score.grad = None
            if module is not None:
                losses.flush_statistics(module)

        return step

    steps: dict[str, tuple[Callable, str | None]] = {
        COPY: (lambda: copy.copy_(score.detach()), None),
        PLAIN[case.activation]: (step_of(plain), None),
    }
    for name, (loss, peer) in contestants(case).items():
        loss = loss.to(device)

        def call(loss: Any = loss) -> Tensor:
            return loss(score, label, weight, avg_factor=avg_factor)

        steps[name] = (step_of(call, loss), peer)
    return steps


def measure(case: Case, device: str, rounds: int) -> list[dict[str, Any]]:
    """Measure all contestants of a size."""
    steps = make_steps(case, device)
    bar = ProgressBar(len(steps) * (rounds + 1), file=sys.stderr)
    memory, times = {}, {name: [] for name in steps}
    for name, (step, _) in steps.items():
        step()  # compiles
        step()
        size = case.rows * case.channels * 4
        memory[name] = peak_memory(step, device) / size
        bar.update()
    for _ in range(rounds):
        for name, (step, _) in steps.items():
            times[name].append(seconds(step, device))
            bar.update()
    print(file=sys.stderr)
    median = {name: statistics.median(values) for name, values in times.items()}
    rows = []
    for name, (_, peer) in steps.items():
        low, _, high = statistics.quantiles(times[name], n=4)
        rows.append(
            {
                "case": case.name,
                "name": name,
                "ms": median[name] * 1e3,
                "quartiles_ms": [low * 1e3, high * 1e3],
                "peer": peer,
                "to_peer": median[name] / median[peer] if peer else None,
                "to_plain": median[name] / median[PLAIN[case.activation]],
                "to_copy": median[name] / median[COPY],
                "memory": memory[name],
            }
        )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Write the rows of a size as Markdown."""
    lines = [
        f"| {rows[0]['case']} | ms (quartiles) | to mmdet's | to plain | to copy "
        "| memory |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        low, high = row["quartiles_ms"]
        peer = f"{row['to_peer']:.2f}" if row["peer"] else ""
        lines.append(
            f"| {row['name']} | {row['ms']:.2f} ({low:.2f} to {high:.2f}) | {peer} "
            f"| {row['to_plain']:.2f} | {row['to_copy']:.1f} | {row['memory']:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="default: 20")
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], help="default: the CPU, and a GPU if any"
    )
    parser.add_argument("--case", choices=["dense", "RoI"], help="default: all")
    parser.add_argument("--out", metavar="FILE.json", help="write all numbers here")
    args = parser.parse_args()
    if args.rounds < 2:
        parser.error("--rounds must be at least 2, for quartiles")
    devices = [args.device]
    if args.device is None:
        devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    cases = [case for case in CASES if case.name.startswith(args.case or "")]
    results: dict[str, list[dict[str, Any]]] = {}
    for device in devices:
        print(machine(device))
        rows = results.setdefault(machine(device), [])
        for case in cases:
            part = measure(case, device, args.rounds)
            print(table(part), flush=True)
            rows += part
            if args.out is not None:  # after each size: an interrupted run is not lost
                write_text(Path(args.out), json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
