"""Time and memory of LVIS evaluation, beside other libraries, on a set of LVIS's size.

Each evaluates the same made-up detections from memory, in a process of its own with one
thread: arrays of each image for ours, as a metric holds them, one array for hotcoco, a
dictionary for each detection for faster-coco-eval and lvis. Memory is the peak of the
process, less its peak when the inputs had been made. lvis needs about 1 GB for 1,000
images with 1,203 classes.

With `--resamples` it times the bootstrap of two methods instead, by COCO's rules.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec
from typing import Any

import numpy as np

from imb_det.analysis.evaluation_peers import PEERS, prepare
from imb_det.analysis.lvis_scenes import OBJECTS, SceneMaker
from imb_det.analysis.measuring import machine
from imb_det.evaluation.functional import Detections, GroundTruth
from imb_det.evaluation.functional.bootstrap import bootstrap
from imb_det.evaluation.functional.matching import match


def measure(args: argparse.Namespace, who: str, iou_type: str) -> dict[str, Any]:
    """Evaluate in this process; return time, memory and figures."""
    is_mask = iou_type == "segm"
    images = args.mask_images if is_mask else args.images
    maker = SceneMaker(images, args.detections, args.classes, is_mask)
    content, predictions = maker.draw_set()
    inputs = prepare(who, predictions)
    before = peak()
    wall, cpu = time.perf_counter(), time.process_time()
    figures, ap = PEERS[who](content, inputs, iou_type)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    figures |= {f"AP of class {label}": value for label, value in enumerate(ap)}
    known = {key: value for key, value in figures.items() if value >= 0}
    cost = {"s": wall, "CPU s": cpu, "MB": peak() - before, "MB before": before}
    return {"cost": cost, "figures": known}


def peak() -> float:
    """Return the most memory that this process has had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def start(args: argparse.Namespace, who: str, iou_type: str) -> dict[str, Any]:
    """Measure in a process of its own, which ends with it."""
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, fork) as pool:
        return pool.submit(measure, args, who, iou_type).result()


def compare(args: argparse.Namespace, iou_type: str) -> bool:
    """Print a table; return whether all figures agree."""
    print("| | s | CPU s | MB | MB before |\n|---|---|---|---|---|")
    found: dict[str, dict[str, Any]] = {}
    for who in args.who:
        try:
            found[who] = start(args, who, iou_type)
        except (BrokenProcessPool, MemoryError):
            print(f"| {who} | ended, most likely for want of memory | | | |")
            continue
        cost = found[who]["cost"]
        row = f"{cost['s']:.2f} | {cost['CPU s']:.2f} | {cost['MB']:.0f}"
        print(f"| {who} | {row} | {cost['MB before']:.0f} |", flush=True)
    if "ours" not in found:
        return False
    ours = found["ours"]
    for who in found.keys() - {"ours"}:
        theirs = found[who]["cost"]
        ratios = [
            f"{ours['cost'][key] / theirs[key]:.3f}" if theirs[key] else "-"
            for key in ("s", "CPU s", "MB")
        ]
        print(f"| ours / {who} | {' | '.join(ratios)} | |")
    print()
    alike = [agree(ours["figures"], found[w]["figures"], w) for w in found]
    figures = ours["figures"].items()
    print(", ".join(f"{k} {v:.4f}" for k, v in figures if "class" not in k) + "\n")
    return all(alike) and found.keys() == set(args.who)


def agree(ours: dict[str, float], theirs: dict[str, float], who: str) -> bool:
    """Print how far the figures are apart; return whether they are the same."""
    if ours is theirs:
        return True
    shared = ours.keys() & theirs.keys()
    apart = max((abs(ours[k] - theirs[k]) for k in shared), default=0)
    alike = ours.keys() == theirs.keys() and apart <= 1e-9
    verdict = "agree" if alike else "DISAGREE"
    print(f"{len(shared)} figures {verdict} with {who}, furthest apart {apart:.1e}")
    if lone := sorted(ours.keys() ^ theirs.keys()):
        print(f"of one of them only: {lone[:5]}")
    return alike


def time_bootstrap(args: argparse.Namespace) -> None:
    """Print how long it takes to judge two methods, and to resample the images."""
    maker = SceneMaker(args.images, args.detections, args.classes)
    content, predictions = maker.draw_set()
    content["images"] = [
        {key: image[key] for key in ("id", "height", "width")}
        for image in content["images"]
    ]
    truth = GroundTruth.from_coco(content)
    rng = np.random.default_rng(1)
    start = time.perf_counter()
    methods = []
    for noise in (0.0, 0.05):
        changed = [
            {**found, "scores": found["scores"] + rng.normal(0, noise, args.detections)}
            for found in predictions
        ]
        detections = Detections.from_predictions(truth, changed)
        methods.append([match(truth, detections, max_dets=args.detections)])
    judged = time.perf_counter()
    bootstrap(methods, resamples=args.resamples)
    print(
        f"bootstrap of two methods: {args.images} images, {args.detections} detections "
        f"in each, {args.classes} classes: judged in {judged - start:.1f} s, "
        f"{args.resamples} resamples in {time.perf_counter() - judged:.1f} s"
    )


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000, help="default: 20000")
    parser.add_argument(
        "--mask-images", type=int, default=2_000, help="0 for no masks, default: 2000"
    )
    parser.add_argument(
        "--detections", type=int, default=300, help="of each image, default: 300"
    )
    parser.add_argument("--classes", type=int, default=1203, help="default: 1203")
    installed = [
        who for who in PEERS if who == "ours" or find_spec(who.replace("-", "_"))
    ]
    parser.add_argument(
        "--who",
        nargs="+",
        choices=installed,
        default=installed,
        help="libraries to compare; default: all that are installed",
    )
    parser.add_argument(
        "--resamples", type=int, metavar="N", help="time the bootstrap instead"
    )
    return parser.parse_args()


def main() -> int:
    """Print a table for boxes and one for masks."""
    args = parse_args()
    os.environ["RAYON_NUM_THREADS"] = "1"  # hotcoco's threads
    print(machine("cpu"))
    if args.resamples is not None:
        time_bootstrap(args)
        return 0
    is_good = True
    for iou_type, images in (("bbox", args.images), ("segm", args.mask_images)):
        if images:
            print(
                f"\n{iou_type}: {images} images, {args.classes} classes, {OBJECTS} "
                f"objects and {args.detections} detections in each image\n"
            )
            is_good &= compare(args, iou_type)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
