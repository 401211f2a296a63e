"""Small scenes in COCO's forms, and pycocotools as the oracle for them.

A scene is a list of (objects, detections) of its images; objects are (label, box
x y w h, is_crowd), detections are (label, box x y w h, score).
"""

import contextlib
import io
import json

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

CLASSES = ("cat", "dog", "emu")
THRESHOLDS = list(np.linspace(0.5, 0.95, 10))


def coco_content(images, classes=CLASSES):
    """Make a COCO file from (objects, detections) of each image.

    Objects are (label, box xywh, is_crowd); category ids are 10 apart.
    """
    annotations = []
    for image_id, (objects, _) in enumerate(images):
        for label, (x, y, w, h), is_crowd in objects:
            polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=10 * (label + 1),
                    bbox=[x, y, w, h],
                    area=w * h,
                    iscrowd=int(is_crowd),
                    segmentation=[polygon],
                )
            )
    return dict(
        images=[
            dict(id=i, width=64, height=48, file_name="") for i in range(len(images))
        ],
        annotations=annotations,
        categories=[dict(id=10 * (i + 1), name=n) for i, n in enumerate(classes)],
    )


def predictions_of(images):
    """Make predictions from (objects, detections); these are (label, xywh, score)."""
    predictions = []
    for image_id, (_, detections) in enumerate(images):
        boxes = np.array([d[1] for d in detections], dtype=float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        predictions.append(
            dict(
                img_id=image_id,
                bboxes=boxes,
                scores=np.array([d[2] for d in detections], dtype=float),
                labels=np.array([d[0] for d in detections], dtype=int),
            )
        )
    return predictions


def data_samples(images, with_instances=False, with_masks=False):
    """Make the data samples that mmdet hands to a metric."""
    samples = []
    for (objects, _), prediction in zip(images, predictions_of(images), strict=True):
        pred = {
            key: torch.tensor(prediction[key], dtype=dtype)
            for key, dtype in (
                ("bboxes", torch.float32),
                ("scores", torch.float32),
                ("labels", torch.long),
            )
        }
        if with_masks:
            pred["masks"] = box_masks(pred["bboxes"])
        sample = dict(
            img_id=prediction["img_id"], ori_shape=(48, 64), pred_instances=pred
        )
        if with_instances:
            sample["instances"] = [
                dict(
                    bbox=[x, y, x + w, y + h],
                    bbox_label=label,
                    ignore_flag=int(is_crowd),
                )
                for label, (x, y, w, h), is_crowd in objects
            ]
        samples.append(sample)
    return samples


def box_masks(boxes):
    masks = torch.zeros(len(boxes), 48, 64, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.long().tolist(), strict=True):
        mask[y1:y2, x1:x2] = True
    return masks


def random_images(seed, num_images=12, num_classes=3):
    """Scenes in which most objects are found, with noise and false detections.

    All numbers are multiples of 1/64, so that float32 holds them exactly.
    """
    rng = np.random.default_rng(seed)

    def uniform(low, high, size=None):
        values = np.round(rng.uniform(low, high, size) * 64) / 64
        return values.tolist()

    images = []
    for _ in range(num_images):
        objects, detections = [], []
        for _ in range(rng.integers(0, 6)):
            x, y = uniform(2, 20, 2)
            w, h = uniform(4, 40, 2)
            label = int(rng.integers(num_classes))
            objects.append((label, (x, y, w, h), bool(rng.random() < 0.15)))
            left, up, right = uniform(-2, 2, 3)
            box = (x + left, y + up, w + right, h)
            detections.append((label, box, uniform(0, 1)))
        for _ in range(rng.integers(0, 4)):
            box = (*uniform(0, 20, 2), *uniform(4, 40, 2))
            detections.append((int(rng.integers(num_classes)), box, uniform(0, 1)))
        images.append((objects, detections))
    return images


def pycocotools_eval(content, results, iou_type, max_dets, agnostic=False):
    with contextlib.redirect_stdout(io.StringIO()):
        truth, found = COCO(), COCO()
        truth.dataset = json.loads(json.dumps(content))
        truth.createIndex()
        if results:
            found = truth.loadRes(json.loads(json.dumps(results)))
        else:
            found.dataset = {**content, "annotations": []}
            found.createIndex()
        evaluator = COCOeval(truth, found, iou_type)
        evaluator.params.maxDets = list(max_dets)
        evaluator.params.useCats = int(not agnostic)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator


def results_json(images):
    return [
        dict(
            image_id=image_id,
            category_id=10 * (label + 1),
            bbox=list(box),
            score=score,
        )
        for image_id, (_, detections) in enumerate(images)
        for label, box, score in detections
    ]


def by_class(images, num_classes=3):
    """Sort objects and detections by class, for the reference."""
    return [
        [
            (
                [(box, crowd) for k, box, crowd in objects if k == label],
                [(box, score) for k, box, score in detections if k == label],
            )
            for objects, detections in images
        ]
        for label in range(num_classes)
    ]
