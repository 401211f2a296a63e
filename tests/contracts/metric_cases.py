"""Every metric of the library, with a small data set to judge.

A new metric needs an entry in ``CASES``, and in ``BAD`` what it must refuse.
"""

import json
from typing import NamedTuple

import numpy as np
import torch
from pycocotools import mask as mask_utils

from imb_det.registry import METRICS
from imb_det.statistics import ClassStats

CLASSES = ("ant", "bee", "cat", "dog")
#: Two rare classes, a common and a frequent one, by the usual limits.
STATS = ClassStats(CLASSES, [3, 7, 40, 500], [4, 9, 44, 900], 520)
GROUPS = {"rare": {"ant", "bee"}, "common": {"cat"}, "frequent": {"dog"}}
HEIGHT, WIDTH = 48, 64
NUM_IMAGES = 7


def scene():
    """Boxes x1, y1, x2, y2 and labels of each image; every class occurs."""
    rng = np.random.default_rng(4)
    images = []
    for row in range(NUM_IMAGES):
        # Of different sizes, none of them over another.
        corners = np.array([[2, 2], [32, 20]]) + rng.integers(0, 4, (2, 2))
        boxes = np.hstack([corners, corners + rng.integers(8, 22, (2, 2))])
        images.append((boxes, np.array([row % 4, (row + 1 + row // 4) % 4])))
    return [*images[:-1], (np.zeros((0, 4), int), np.zeros(0, int))]


def file_content(kind):
    """The scene as annotation file of COCO or LVIS."""
    images, annotations = [], []
    for row, (boxes, labels) in enumerate(scene()):
        images.append(dict(id=row, width=WIDTH, height=HEIGHT, file_name=f"{row}.jpg"))
        if kind == "lvis":
            absent = sorted(set(range(4)) - set(labels.tolist()))
            images[-1] |= dict(
                neg_category_ids=[10 * k for k in absent],
                not_exhaustive_category_ids=[],
            )
        for (x1, y1, x2, y2), label in zip(
            boxes.tolist(), labels.tolist(), strict=True
        ):
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=row,
                    category_id=10 * label,
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                    area=(x2 - x1) * (y2 - y1),
                    segmentation=[[x1, y1, x2, y1, x2, y2, x1, y2]],
                    iscrowd=0,
                )
            )
    categories = [
        dict(id=10 * label, name=name, frequency=letter)
        for label, (name, letter) in enumerate(zip(CLASSES, "rrcf", strict=True))
    ]
    return dict(images=images, annotations=annotations, categories=categories)


def samples(how):
    """Data samples with predictions: ``perfect``, ``empty`` or ``noisy``."""
    rng = np.random.default_rng(5)
    made = []
    for row, (boxes, labels) in enumerate(scene()):
        found, classes = boxes.astype(np.float32), labels
        if how == "empty":
            found, classes = found[:0], classes[:0]
        elif how == "noisy":
            found = found + rng.integers(-2, 3, found.shape).astype(np.float32)
            wrong = np.array([[1, 1, 20, 30], [5, 5, 40, 40]], np.float32)
            found = np.concatenate([found, wrong])
            classes = np.concatenate([classes, rng.integers(0, 4, 2)])
        scores = rng.permutation(len(found)).astype(np.float32) / 8 + 0.125
        truth, none = torch.from_numpy(boxes).float(), torch.zeros(0, 4)
        there = map_of(boxes, labels)
        seen = map_of(found[: len(boxes)].astype(int), classes[: len(boxes)])
        made.append(
            dict(
                img_id=row,
                ori_shape=(HEIGHT, WIDTH),
                pred_instances=dict(
                    bboxes=torch.from_numpy(found),
                    scores=torch.from_numpy(scores),
                    labels=torch.from_numpy(classes),
                    masks=[mask_of(box) for box in found.astype(int)],
                ),
                gt_sem_seg=dict(sem_seg=there[None]),
                pred_sem_seg=dict(sem_seg=seen[None]),
                gt_instances=dict(bboxes=truth, labels=torch.from_numpy(labels)),
                ignored_instances=dict(
                    bboxes=none, labels=torch.zeros(0, dtype=torch.long)
                ),
            )
        )
    return made


def map_of(boxes, labels):
    """Label of each pixel, 255 for none; later boxes are on top."""
    found = torch.full((HEIGHT, WIDTH), 255)
    for (x1, y1, x2, y2), label in zip(boxes.tolist(), labels.tolist(), strict=True):
        found[max(y1, 0) : y2, max(x1, 0) : x2] = label
    return found


def mask_of(box):
    """Run lengths of a whole box."""
    x1, y1, x2, y2 = np.maximum(box, 0)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    mask[y1:y2, x1:x2] = 1
    return mask_utils.encode(mask)


class Case(NamedTuple):
    """A metric with arguments.

    Attributes:
        name: Registered name.
        arguments: Of the config.
        file: Kind of annotation file it needs, ``coco`` or ``lvis``, or None.
        starts: What the keys of its figures of groups start with, the prefix aside.
        figure: What they go on with, before the letter of the group.
        best: What it is at most.
    """

    name: str
    arguments: dict
    file: str | None
    starts: tuple = ("",)
    figure: str = "AP"
    best: float = 1.0

    def build(self, folder, stats=STATS, **changes):
        """The metric, told what ``ImbalanceHook`` tells it."""
        config = dict(type=f"imb_det.{self.name}", **(self.arguments | changes))
        if self.file is not None:
            path = folder / f"{self.file}.json"
            # Ranks may come here at once: they find the same content at any time.
            if not path.exists():
                path.write_text(json.dumps(file_content(self.file)))
            config["ann_file"] = str(path)
        metric = METRICS.build(config)
        if stats is not None:
            metric.set_class_stats(stats)
        metric.dataset_meta = dict(classes=CLASSES)
        return metric

    def __str__(self):
        return "-".join([self.name, *(f"{k}={v}" for k, v in self.arguments.items())])


CASES = [
    Case("CocoMetric", dict(classwise=True), "coco", ("bbox_",)),
    Case("CocoMetric", dict(metric=["bbox", "segm"]), "coco", ("bbox_", "segm_")),
    Case("LVISMetric", dict(metric=["bbox", "segm"]), "lvis", ("bbox_", "segm_")),
    Case("LVISMetric", dict(fixed_ap=True), "lvis", ("bbox_",)),
    Case("VOCMetric", dict(eval_mode="area"), None),
    Case("VOCMetric", dict(iou_thrs=[0.5, 0.75]), None),
    Case("SemSegMetric", dict(), None, figure="IoU", best=100.0),
    Case(
        "SemSegMetric",
        dict(iou_metrics=["mDice", "mFscore", "mIoU"], beta=2),
        None,
        figure="IoU",
        best=100.0,
    ),
]
#: Arguments that all must refuse, and those of each, one at a time.
COMMON_BAD = (
    dict(group_thresholds=(10, 10)),
    dict(group_thresholds=5),
    dict(group_quantiles=(0.5, 1.5)),
    dict(class_stats=3),
    dict(class_stats="no/such/file.json"),
)
BAD = {
    "CocoMetric": (dict(metric_items=["APx"]),),
    "LVISMetric": (dict(metric_items=["APx"]), dict(max_dets=0)),
    "SemSegMetric": (dict(iou_metrics=["mX"]), dict(beta=0)),
    "VOCMetric": (),
}
REFUSED = [(name, bad) for name, many in BAD.items() for bad in (*COMMON_BAD, *many)]
