"""Time and memory of repeat factor sampling, beside mmengine's wrapper.

Both get the same data set, in turn, several rounds. What comes on top of reading every
record once is what they cost themselves. Memory is what Python and NumPy allocate.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset, ClassBalancedDataset
from mmengine.logging import MMLogger
from tqdm import tqdm

from imb_det.samplers import RepeatFactorSampler
from imb_det.statistics.dataset_access import iter_data_infos
from imb_det.statistics.frequency_groups import DEFAULT_LIMITS, GROUP_NAMES
from imb_det.statistics.label_table import LabelTable
from imb_det.statistics.repeat_factors import repeat_factors


class SyntheticDataset(BaseDataset):
    """Images with boxes of classes by Zipf's law, serialised as mmengine does."""

    def __init__(self, images: int, classes: int, boxes: int, seed: int = 0) -> None:
        self.sizes = images, boxes, seed
        names = tuple(f"class_{i}" for i in range(classes))
        super().__init__(metainfo=dict(classes=names))

    def load_data_list(self) -> list[dict]:
        """Draw the records."""
        images, boxes, seed = self.sizes
        rng = np.random.default_rng(seed)
        weights = np.arange(1, len(self.metainfo["classes"]) + 1) ** -1.7
        owner = np.sort(rng.integers(images, size=boxes))
        label = rng.choice(len(weights), boxes, p=weights / weights.sum())
        corner = rng.uniform(0, 400, (boxes, 2)).round(2)
        box = np.c_[corner, corner + rng.uniform(5, 200, (boxes, 2)).round(2)]
        ends = np.searchsorted(owner, np.arange(images + 1))
        rows, labels = box.tolist(), label.tolist()
        return [
            dict(
                img_path=f"{i:012}.jpg",
                img_id=i,
                height=480,
                width=640,
                instances=[
                    dict(bbox=rows[k], bbox_label=labels[k], ignore_flag=0)
                    for k in range(ends[i], ends[i + 1])
                ],
            )
            for i in range(images)
        ]

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the classes of an image, as mmdet's data sets do."""
        instances = self.get_data_info(idx)["instances"]
        return [instance["bbox_label"] for instance in instances]


def seconds_of(work: Callable[[], Any]) -> float:
    """Time one call that finds no cache."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        start = time.perf_counter()
        work()
        return time.perf_counter() - start


def memory_of(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Return the MB that stay after a call, the MB at most, and its result."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        tracemalloc.start()
        result = work()
        kept, most = (number / 2**20 for number in tracemalloc.get_traced_memory())
        tracemalloc.stop()
        return kept, most, result


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--classes", type=int, default=1203)
    parser.add_argument("--boxes", type=int, default=1_270_000)
    parser.add_argument("--repeat-thr", type=float, default=1e-3)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    MMLogger.get_instance("benchmark", log_level="ERROR")
    dataset = SyntheticDataset(args.images, args.classes, args.boxes)
    threshold = args.repeat_thr
    table = LabelTable.from_dataset(dataset)
    exact = float(repeat_factors(table, threshold).sum())
    groups = DEFAULT_LIMITS.groups(table.images_with())
    sizes = ", ".join(f"{len(groups.get(name, ()))} {name}" for name in GROUP_NAMES)
    print(
        f"{args.images} images, {args.classes} classes ({sizes}), {args.boxes} boxes, "
        f"threshold {threshold:g}; sum of the repeat factors: {exact:.1f}\n"
    )

    def read() -> None:
        for _ in iter_data_infos(dataset):
            pass

    works: dict[str, Callable[[], Any]] = {
        "reading every record once": read,
        "mmengine ClassBalancedDataset": lambda: ClassBalancedDataset(
            dataset, threshold
        ),
        "RepeatFactorSampler, receipt included": lambda: RepeatFactorSampler(
            dataset, threshold, seed=0
        ),
        "of that, repeat factors": lambda: repeat_factors(table, threshold),
    }
    reading, *_ = works
    times = {name: [] for name in works}
    for _ in tqdm(range(args.rounds), desc="rounds"):
        for name, work in works.items():
            times[name].append(seconds_of(work))
    print("| | s | beyond reading | MB kept | MB at most | images of an epoch |")
    print("|---|---|---|---|---|---|")
    for name, work in works.items():
        over = [t - r for t, r in zip(times[name], times[reading], strict=True)]
        kept, most, made = memory_of(work)
        row = [f"{np.median(times[name]):.2f}", "", f"{kept:.0f}", f"{most:.0f}", ""]
        if hasattr(made, "dataset"):
            row[1] = f"{np.median(over):.2f} ({min(over):.2f} to {max(over):.2f})"
            row[4] = f"{len(made)} ({len(made) / exact:.3f} of the sum)"
        print(f"| {name} | {' | '.join(row)} |")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        sampler = RepeatFactorSampler(dataset, threshold, seed=0)
        start = time.perf_counter()
        sampler = RepeatFactorSampler(dataset, threshold, seed=0)
        again = time.perf_counter() - start
    orders = [seconds_of(lambda: sum(1 for _ in sampler)) for _ in range(args.rounds)]
    print(f"\nthe sampler once more, classes found on disk: {again:.2f} s")
    print(f"order of an epoch, {len(sampler)} indices: {np.median(orders):.3f} s")


if __name__ == "__main__":
    main()
