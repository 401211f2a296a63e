"""Made-up LVIS files and detections, for measurements."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as mask_utils
from tqdm import tqdm

__all__ = ["LETTERS", "OBJECTS", "SceneMaker", "xywh"]

HEIGHT, WIDTH = 480, 640
OBJECTS = 12
#: Where the frequent and the common classes end, as in LVIS v1.
LETTERS = {"f": 0.34, "c": 0.72, "r": 1.0}


class SceneMaker:
    """Draws images, objects and detections; classes follow Zipf's law.

    Args:
        images: Number of images, >= 1.
        detections: Of each image, >= 1.
        classes: Number of classes, >= 1.
        with_masks: Whether objects and detections are octagons. Default: False.
    """

    def __init__(
        self, images: int, detections: int, classes: int, with_masks: bool = False
    ) -> None:
        self.images, self.detections, self.classes = images, detections, classes
        self.with_masks = with_masks
        self.rng = np.random.default_rng(0)
        share = 1 / np.arange(1, classes + 1)
        self.upto = np.cumsum(share / share.sum())

    def draw_set(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return an LVIS file and the predictions for it."""
        ends = [share * self.classes for share in LETTERS.values()]
        groups = np.searchsorted(ends, np.arange(self.classes), side="right")
        categories = [
            {"id": i + 1, "name": f"class {i}", "frequency": list(LETTERS)[group]}
            for i, group in enumerate(groups.tolist())
        ]
        content: dict[str, Any] = {"images": [], "annotations": []}
        predictions = []
        for number in tqdm(range(1, self.images + 1), "images", delay=5, leave=False):
            present = np.unique(self.draw_labels(4))
            labels, boxes = self.rng.choice(present, OBJECTS), self.draw_boxes(OBJECTS)
            self.add_image(content, number, present, labels, boxes)
            predictions.append({"img_id": number, **self.detect(labels, boxes)})
        return {**content, "categories": categories}, predictions

    def draw_labels(self, size: int) -> np.ndarray:
        """Draw classes."""
        drawn = np.searchsorted(self.upto, self.rng.random(size))
        return np.minimum(drawn, self.classes - 1)

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
        size = self.detections
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
    points = [x1 + dx, y1, x2 - dx, y1, x2, y1 + dy, x2, y2 - dy]
    points += [x2 - dx, y2, x1 + dx, y2, x1, y2 - dy, x1, y1 + dy]
    return np.stack(points, 1).tolist()
