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
from typing import Any, NamedTuple

import mmdet.models.losses as peers
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.utils import ProgressBar
from torch import Tensor

from imb_det import losses
from imb_det.analysis.measuring import machine, peak_memory, seconds
from imb_det.core import ClassStatsListener
from imb_det.core.shown_text import write_text
from imb_det.statistics import ClassStats

PLAIN = {"softmax": "F.cross_entropy", "sigmoid": "plain BCE, targets ready"}
COPY = "copying the logits"
HOW = ("eager", "compiled")

PLAIN_LOSS = {"type": "imb_det.CrossEntropyLoss", "use_sigmoid": False}

# Losses that are only made for a sigmoid or a softmax of their own, with arguments, and
# losses around plain cross entropy.
LONG_TAIL: dict[str, dict[str, Any]] = {
    "VSLoss": {},
    "LDAMLoss": {},
    "IIFLoss": {},
    "AlphaLoss": {},
    "SeesawLoss": {},
    "BalancedGroupSoftmaxLoss": {},
    "EBLLoss": {},
    "EQLLoss": {},
    "DropLoss": {},
    "EQLv2Loss": {},
    "ECMLoss": {},
    "FederatedLoss": {},
    "ACSLLoss": {},
    "AsymmetricLoss": {},
    "GumbelLoss": {},
    "GumbelLoss, drop": {"drop": True},
    "LogitClipLoss": {"loss": PLAIN_LOSS},
    "ABSGDLoss": {"loss": PLAIN_LOSS},
    "CALSLoss": {"loss": PLAIN_LOSS},
    "LabelAwareSmoothingLoss": {"loss": PLAIN_LOSS},
}


# Losses of qualities, and the targets that heads pass to them.
QUALITY = {"QualityFocalLoss": "pair", "VarifocalLoss": "matrix"}


class Case(NamedTuple):
    """A size of the logits: rows, and classes, to which heads of RoIs add channels."""

    name: str
    rows: int
    classes: int

    @property
    def is_dense(self) -> bool:
        """Whether every channel is a class."""
        return self.name.startswith("dense")


CASES = (
    Case("dense 60,000 x 80", 60_000, 80),
    Case("dense 8,000 x 1203", 8_000, 1203),
    Case("RoI 2,048 x 1203 classes", 2_048, 1203),
)


class Contestant(NamedTuple):
    """A loss, its channels beyond one a class, and the name of what it is held to.

    Its targets are classes, pairs of classes and qualities, or a matrix of qualities.
    """

    loss: Any
    extra: int
    peer: str | None = None
    cosines: bool = False
    form: str = "classes"


def contestants(case: Case) -> dict[str, Contestant]:
    """Return losses by name."""
    peer = "mmdet CrossEntropyLoss"
    found = {
        peer: Contestant(
            peers.CrossEntropyLoss(use_sigmoid=case.is_dense), not case.is_dense
        )
    }
    if case.is_dense:
        found["mmdet FocalLoss"] = Contestant(peers.FocalLoss(), 0)
        found["mmdet GHMC"] = Contestant(peers.GHMC(bins=30, momentum=0.75), 0)
        for name, form in QUALITY.items():
            kind = getattr(peers, name)
            found[f"mmdet {name}"] = Contestant(kind(), 0, form=form)
    else:
        seesaw = peers.SeesawLoss(num_classes=case.classes)
        found["mmdet SeesawLoss"] = Contestant(seesaw, 2)
        eqlv2 = peers.EQLV2Loss(num_classes=case.classes)
        found["mmdet EQLV2Loss"] = Contestant(eqlv2, 1)
    for how in HOW:
        for name, (loss, peer) in _ours(case, how == "compiled").items():
            of_peer = peer if peer is None or peer in found else f"{peer}, {how}"
            cosines = getattr(loss, "needs_cosines", False)
            extra = loss.link.extra_channels
            form = QUALITY.get(name, "classes")
            found[f"{name}, {how}"] = Contestant(loss, extra, of_peer, cosines, form)
    return found


def _ours(case: Case, compiled: bool) -> dict[str, tuple[Any, str | None]]:
    """Return our losses by name, with the names of their peers."""
    weights = torch.linspace(0.5, 1.5, case.classes)
    args = dict(use_sigmoid=case.is_dense, compiled=compiled)
    plain = "mmdet CrossEntropyLoss"
    cdb = losses.CDBLoss(gamma=2.0, **args)
    cdb.set_class_difficulty_weights(weights)
    found: dict[str, tuple[Any, str | None]] = {
        "CrossEntropyLoss": (losses.CrossEntropyLoss(**args), plain),
        "CrossEntropyLoss, weighted": (
            losses.CrossEntropyLoss(class_weight=weights.tolist(), **args),
            plain,
        ),
        "CDBLoss, focal": (cdb, "mmdet FocalLoss" if case.is_dense else plain),
    }
    focal = losses.FocalLoss(compiled=compiled)
    efl = losses.EqualizedFocalLoss(compiled=compiled)
    if case.is_dense:
        found["FocalLoss"] = (focal, "mmdet FocalLoss")
        found["GHMCLoss"] = (losses.GHMCLoss(**args), "mmdet GHMC")
        found["EqualizedFocalLoss"] = (efl, "FocalLoss")
        for name in QUALITY:
            kind = getattr(losses, name)
            found[name] = (kind(compiled=compiled), f"mmdet {name}")
        return found
    found["FocalLoss"] = (focal, None)
    found["CrossEntropyLoss, sigmoid"] = (
        losses.CrossEntropyLoss(use_sigmoid=True, compiled=compiled),
        None,
    )
    found["EqualizedFocalLoss"] = (efl, None)
    own_peers = {"SeesawLoss": "mmdet SeesawLoss", "EQLv2Loss": "mmdet EQLV2Loss"}
    for name, options in LONG_TAIL.items():
        kind = getattr(losses, name.partition(",")[0])
        of_peer = "CrossEntropyLoss" if "loss" in options else own_peers.get(name)
        found[name] = (kind(compiled=compiled, **options), of_peer)
    return found


def told(loss: Any, classes: int) -> Any:
    """Return the loss, told of a long tail of classes, as a hook would do it."""
    if not isinstance(loss, losses.ImbalanceLoss):
        return loss
    counts = np.random.default_rng(0).pareto(0.5, classes) * 5
    counts = np.clip(counts, 1, 50_000).astype(int)
    stats = ClassStats(tuple(map(str, range(classes))), counts, counts, 100_000)
    for part in loss.modules():
        if isinstance(part, ClassStatsListener):
            part.set_class_stats(stats)
        if isinstance(part, losses.CALSLoss):
            part.set_multipliers(torch.tensor(0.1), torch.tensor(1.0))
    losses.manage_statistics(loss)
    return loss


def make_steps(
    case: Case, device: str, share: float | None = None
) -> dict[str, tuple[Callable[[], None], str | None, int]]:
    """Return what is timed, forward and backward: by name, its peer, its channels.

    Args:
        case: Size.
        device: ``'cpu'`` or ``'cuda'``.
        share: Of rows that have a class; None for one in fifty, as of anchors, or one
            in four, as of RoIs.
    """
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

    def step_of(
        loss: Callable[[Tensor], Tensor], score: Tensor, module: Any = None
    ) -> Callable[[], None]:
        def step() -> None:
            loss(score).backward()
            score.grad = None
            if module is not None:
                losses.flush_statistics(module)

        return step

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

    steps: dict[str, tuple[Callable[[], None], str | None, int]] = {
        COPY: (lambda: copy.copy_(score.detach()), None, channels)
    }
    if not case.is_dense:
        steps[PLAIN["softmax"]] = (step_of(entropy, score), None, channels)
    steps[PLAIN["sigmoid"]] = (step_of(binary, score), None, channels)
    for name, (loss, extra, peer, cosines, form) in contestants(case).items():
        module = told(loss, classes).to(device)
        of_loss = score_of(int(extra), cosines)

        def call(score: Tensor, module: Any = module, form: str = form) -> Tensor:
            of_rows = None if form == "matrix" else weight  # as VFNet
            value = module(score, targets[form], of_rows, avg_factor=avg_factor)
            return sum(value.values()) if isinstance(value, dict) else value

        steps[name] = (step_of(call, of_loss, module), peer, of_loss.size(1))
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
    parser.add_argument("--case", choices=["dense", "RoI"], help="default: all")
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
    cases = [case for case in CASES if case.name.startswith(args.case or "")]
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
