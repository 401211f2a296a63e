"""Time and memory of LVIS evaluation, beside the original, on a set of LVIS's size.

Each evaluates the same made-up detections from memory, in a process of its own: arrays
of each image for ours, as a metric holds them, a dictionary for each detection for
lvis. Memory is the peak of the process, less its peak when the inputs had been made.
lvis needs about 1 GB for 1,000 images with 1,203 classes.

With `--resamples` it times the bootstrap of two methods instead, by COCO's rules.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np
from faster_coco_eval import mask as mask_utils
from tqdm import tqdm

from imb_det.analysis.measuring import machine
from imb_det.evaluation.functional import (
    Detections,
    FederatedGroundTruth,
    GroundTruth,
    evaluate_lvis,
)
from imb_det.evaluation.functional.bootstrap import bootstrap
from imb_det.evaluation.functional.matching import match

HEIGHT, WIDTH = 480, 640
OBJECTS = 12
#: Where the frequent and the common classes end, as in LVIS v1.
LETTERS = {"f": 0.34, "c": 0.72, "r": 1.0}


class Maker:
    """Draws images, objects and detections; classes follow Zipf's law."""

    def __init__(self, args: argparse.Namespace, iou_type: str) -> None:
        self.args = args
        self.with_masks = iou_type == "segm"
        self.rng = np.random.default_rng(0)
        share = 1 / np.arange(1, args.classes + 1)
        self.upto = np.cumsum(share / share.sum())

    def draw_set(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return an LVIS file and the predictions for it."""
        ends = [share * self.args.classes for share in LETTERS.values()]
        groups = np.searchsorted(ends, np.arange(self.args.classes), side="right")
        categories = [
            {"id": i + 1, "name": f"class {i}", "frequency": list(LETTERS)[group]}
            for i, group in enumerate(groups.tolist())
        ]
        content: dict[str, Any] = {"images": [], "annotations": []}
        predictions = []
        images = self.args.mask_images if self.with_masks else self.args.images
        for number in tqdm(range(1, images + 1), "images", delay=5, leave=False):
            present = np.unique(self.draw_labels(4))
            labels, boxes = self.rng.choice(present, OBJECTS), self.draw_boxes(OBJECTS)
            self.add_image(content, number, present, labels, boxes)
            predictions.append({"img_id": number, **self.detect(labels, boxes)})
        return {**content, "categories": categories}, predictions

    def draw_labels(self, size: int) -> np.ndarray:
        """Draw classes."""
        drawn = np.searchsorted(self.upto, self.rng.random(size))
        return np.minimum(drawn, self.args.classes - 1)

    def draw_boxes(self, size: int) -> np.ndarray:
        """Draw boxes of all sizes, x1, y1, x2, y2, float32 (n, 4)."""
        centre = self.rng.uniform(0.1, 0.9, (size, 2)) * (WIDTH, HEIGHT)
        half = np.exp(self.rng.uniform(np.log(6), np.log(150), (size, 2)))
        return self.clip(np.concatenate([centre - half, centre + half], 1))

    @staticmethod
    def clip(boxes: np.ndarray) -> np.ndarray:
        """Cut boxes to the image."""
        ends = np.array([WIDTH, HEIGHT] * 2)
        return np.clip(boxes, 0, ends).astype(np.float32)

    def add_image(
        self,
        content: dict[str, Any],
        number: int,
        present: np.ndarray,
        labels: np.ndarray,
        boxes: np.ndarray,
    ) -> None:
        """Add an image and its objects to the file."""
        negative = np.setdiff1d(self.draw_labels(5), present)
        unfinished = present[self.rng.random(len(present)) < 0.1]
        content["images"].append(
            {
                "id": number,
                "height": HEIGHT,
                "width": WIDTH,
                "neg_category_ids": (negative + 1).tolist(),
                "not_exhaustive_category_ids": (unfinished + 1).tolist(),
            }
        )
        shapes = octagons(boxes) if self.with_masks else [[]] * OBJECTS
        for box, label, shape in zip(xywh(boxes), labels, shapes, strict=True):
            annotation = {
                "id": len(content["annotations"]) + 1,
                "image_id": number,
                "category_id": int(label) + 1,
                "bbox": box,
                "area": box[2] * box[3],
                "segmentation": [shape],
            }
            content["annotations"].append(annotation)

    def detect(self, labels: np.ndarray, boxes: np.ndarray) -> dict[str, Any]:
        """Draw detections: four in ten near an object, most of these of its class."""
        size = self.args.detections
        near = int(0.4 * size)
        which = self.rng.integers(OBJECTS, size=near)
        sides = np.tile(boxes[which, 2:] - boxes[which, :2], 2)
        moved = boxes[which] + self.rng.normal(0, 0.1, (near, 4)) * sides
        found = np.concatenate([self.clip(moved), self.draw_boxes(size - near)])
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        guess = self.draw_labels(size)
        guess[:near] = np.where(
            self.rng.random(near) < 0.8, labels[which], guess[:near]
        )
        # Two digits fewer than float32 has, so that scores are tied now and then.
        scores = self.rng.beta(1, 8, size) + 0.3 * (np.arange(size) < near)
        prediction = {
            "bboxes": found,
            "scores": scores.clip(0, 1).round(5).astype(np.float32),
            "labels": guess.astype(np.int64),
        }
        if self.with_masks:
            shapes = octagons(found)
            prediction["masks"] = mask_utils.frPyObjects(shapes, HEIGHT, WIDTH)
        return prediction


def xywh(boxes: np.ndarray) -> list[list[float]]:
    """Return boxes as x, y, width, height."""
    boxes = boxes.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    return boxes.tolist()


def octagons(boxes: np.ndarray) -> list[list[float]]:
    """Cut the corners off boxes."""
    x1, y1, x2, y2 = boxes.astype(np.float64).T
    dx, dy = (x2 - x1) / 4, (y2 - y1) / 4
    points = (x1 + dx, y1, x2 - dx, y1, x2, y1 + dy, x2, y2 - dy)
    points += (x2 - dx, y2, x1 + dx, y2, x1, y2 - dy, x1, y1 + dy)
    return np.stack(points, 1).tolist()


def list_results(predictions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write predictions as lvis takes them; the arrays go one by one."""
    results = []
    while predictions:
        found = predictions.pop()
        own = zip(found["labels"].tolist(), found["scores"].tolist(), strict=True)
        key = "segmentation" if "masks" in found else "bbox"
        shapes = found["masks"] if "masks" in found else xywh(found["bboxes"])
        for (label, score), shape in zip(own, shapes, strict=True):
            entry = {"image_id": found["img_id"], "category_id": label + 1}
            results.append({**entry, "score": score, key: shape})
    return results


def run_ours(
    content: dict[str, Any], predictions: list[dict[str, Any]], iou_type: str
) -> tuple[dict[str, float], list[float]]:
    """Return the figures, and AP of each class, of this package."""
    truth = FederatedGroundTruth.from_lvis(content)
    results = evaluate_lvis(truth, predictions, iou_type)
    groups = results.group_summary(truth.groups or {})
    of_groups = {f"AP{key}": groups.get(f"AP{key}", -1.0) for key in LETTERS}
    figures = {**results.summary, **of_groups}
    figures.pop("AP_pool", None)  # the original has none
    return figures, results.ap.tolist()


def run_lvis(
    content: dict[str, Any], results: list[dict[str, Any]], iou_type: str
) -> tuple[dict[str, float], list[float]]:
    """Return the same of the original."""
    from lvis import LVIS, LVISEval, LVISResults

    class Truth(LVIS):
        def _load_json(self, path: Any) -> Any:
            return path

    np.float = float  # noqa: NPY001 -- lvis is older than NumPy 1.24
    truth = Truth(content)
    evaluator = LVISEval(truth, LVISResults(truth, results), iou_type)
    evaluator.run()
    precision = evaluator.eval["precision"][:, :, :, 0].mean((0, 1))
    return dict(evaluator.get_results()), precision.tolist()


def measure(args: argparse.Namespace, who: str, iou_type: str) -> dict[str, Any]:
    """Evaluate in this process; return time, memory and figures."""
    content, inputs = Maker(args, iou_type).draw_set()
    if who == "lvis":
        inputs = list_results(inputs)
    before = peak()
    wall, cpu = time.perf_counter(), time.process_time()
    run = run_ours if who == "ours" else run_lvis
    figures, ap = run(content, inputs, iou_type)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    figures |= {f"AP of class {label}": value for label, value in enumerate(ap)}
    known = {key: value for key, value in figures.items() if value >= 0}
    cost = {"s": wall, "CPU s": cpu, "MB": peak() - before, "MB before": before}
    return {"cost": cost, "figures": known}


def peak() -> float:
    """Return the most memory that this process has had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def start(
    args: argparse.Namespace, who: str, iou_type: str
) -> dict[str, dict[str, float]]:
    """Measure in a process of its own, which ends with it."""
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, fork) as pool:
        return pool.submit(measure, args, who, iou_type).result()


def compare(args: argparse.Namespace, iou_type: str) -> bool:
    """Print a table; return whether all figures agree."""
    print("| | s | CPU s | MB | MB before |\n|---|---|---|---|---|")
    found = {}
    for who in ("ours",) if args.only_ours else ("ours", "lvis"):
        try:
            found[who] = start(args, who, iou_type)
        except (BrokenProcessPool, MemoryError):
            print(f"| {who} | ended, most likely for want of memory | | | |")
            return False
        row = " | ".join(f"{value:.1f}" for value in found[who]["cost"].values())
        print(f"| {who} | {row} |", flush=True)
    if not args.only_ours:
        ours, theirs = (found[who]["cost"] for who in ("ours", "lvis"))
        keys = ("s", "CPU s", "MB")
        ratios = [f"{ours[k] / theirs[k]:.3f}" if theirs[k] else "-" for k in keys]
        print(f"| ours / lvis | {' | '.join(ratios)} | |\n")
        ours, theirs = (found[who]["figures"] for who in ("ours", "lvis"))
        shared = ours.keys() & theirs.keys()
        apart = max((abs(ours[k] - theirs[k]) for k in shared), default=0)
        alike = ours.keys() == theirs.keys() and apart <= 1e-9
        verdict = "agree" if alike else "DISAGREE"
        print(f"{len(shared)} figures {verdict}, furthest apart {apart:.1e}")
        if not alike:
            print(f"of one of them only: {sorted(ours.keys() ^ theirs.keys())[:5]}")
            return False
    figures = found["ours"]["figures"].items()
    print(", ".join(f"{k} {v:.4f}" for k, v in figures if "class" not in k) + "\n")
    return True


def time_bootstrap(args: argparse.Namespace) -> None:
    """Print how long it takes to judge two methods, and to resample the images."""
    content, predictions = Maker(args, "bbox").draw_set()
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


def main() -> int:
    """Print a table for boxes and one for masks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000, help="default: 20000")
    parser.add_argument(
        "--mask-images", type=int, default=2_000, help="0 for no masks, default: 2000"
    )
    parser.add_argument(
        "--detections", type=int, default=300, help="of each image, default: 300"
    )
    parser.add_argument("--classes", type=int, default=1203, help="default: 1203")
    parser.add_argument("--only-ours", action="store_true", help="without lvis")
    parser.add_argument(
        "--resamples", type=int, metavar="N", help="time the bootstrap instead"
    )
    args = parser.parse_args()
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
