"""Small federated scenes in LVIS's forms, and lvis as the oracle for them.

A scene is a list of its images: (objects, detections, negatives, not_exhaustive), where
objects are (label, box x y w h, is_ignored), detections (label, box x y w h, score) and
the rest labels. All images are 192 wide and 144 high.
"""

import copy
from collections import defaultdict

import numpy as np
from pycocotools import mask as mask_utils

from tests.coco_scenes import predictions_of, random_images
from tests.references.ap import overlap


def lvis_content(images, letters="rcf"):
    """Make an LVIS file; ids of images and categories are not the labels.

    Args: images, the scene; letters, the frequency of each class.
    """
    annotations = []
    for row, (objects, _, _, _) in enumerate(images):
        for label, (x, y, w, h), is_ignored in objects:
            annotation = dict(
                id=len(annotations) + 1,
                image_id=7 * row + 3,
                category_id=2 * label + 5,
                bbox=[x, y, w, h],
                area=w * h,
                segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]],
            )
            annotations.append(annotation | (dict(ignore=1) if is_ignored else {}))
    return dict(
        images=[
            dict(
                id=7 * row + 3,
                width=192,
                height=144,
                neg_category_ids=[2 * label + 5 for label in negatives],
                not_exhaustive_category_ids=[2 * label + 5 for label in unfinished],
            )
            for row, (_, _, negatives, unfinished) in enumerate(images)
        ],
        annotations=annotations,
        categories=[
            dict(id=2 * label + 5, name=f"class {label}", frequency=letter)
            for label, letter in enumerate(letters)
        ],
    )


def federated_predictions(images, with_masks=False):
    """Make predictions of arrays, as the evaluation takes them."""
    predictions = predictions_of([image[:2] for image in images])
    for row, prediction in enumerate(predictions):
        prediction["img_id"] = 7 * row + 3
        if with_masks:
            corners = prediction["bboxes"].astype(int).tolist()
            prediction["masks"] = [box_mask(*box) for box in corners]
    return predictions


def box_mask(x1, y1, x2, y2):
    """Run lengths of a box."""
    mask = np.zeros((144, 192), np.uint8, order="F")
    mask[y1:y2, x1:x2] = 1
    return mask_utils.encode(mask)


def lvis_results(predictions):
    """Write predictions as lvis reads them; masks without boxes, for their areas."""
    results = []
    for found in predictions:
        boxes = found["bboxes"].copy()
        boxes[:, 2:] -= boxes[:, :2]
        for i, box in enumerate(boxes.tolist()):
            shape = (
                dict(segmentation=dict(found["masks"][i]))
                if "masks" in found
                else dict(bbox=box)
            )
            results.append(
                dict(
                    image_id=found["img_id"],
                    category_id=2 * int(found["labels"][i]) + 5,
                    score=float(found["scores"][i]),
                    **shape,
                )
            )
    return results


def lvis_figures(content, results, iou_type, max_dets, labels=None):
    """Return the original's figures, -1 for none, and AP of each class, NaN for none.

    Args: max_dets as ours, labels of the classes that count, all if None.
    """
    from lvis import LVIS, LVISEval, LVISResults

    class Truth(LVIS):
        def _load_json(self, path):
            return path

    truth = Truth(copy.deepcopy(content))
    most = -1 if max_dets is None else max_dets
    evaluator = LVISEval(truth, LVISResults(truth, results, most), iou_type)
    if labels is not None:
        evaluator.params.cat_ids = sorted(2 * label + 5 for label in labels)
    evaluator.run()
    figures = {key.split("@")[0]: v for key, v in evaluator.get_results().items()}
    precision = evaluator.eval["precision"][:, :, :, 0]
    return figures, np.where(precision > -1, precision, np.nan).mean((0, 1))


def random_federated(seed, num_images=12, num_classes=6, many=0):
    """Scenes with every rule in them, ``many`` detections more in each image."""
    rng = np.random.default_rng(seed)
    images = []
    for objects, detections in random_images(seed, num_images, num_classes):
        # Objects of all three sizes.
        scale = int(rng.choice([1, 3]))
        for kind in (objects, detections):
            kind[:] = [(k, tuple(scale * v for v in box), r) for k, box, r in kind]
        boxes = [box for _, box, _ in objects] or [(1.0, 1.0, 9.0, 9.0)]
        for _ in range(many):
            x, y, w, h = boxes[rng.integers(len(boxes))]
            box = (x + float(rng.integers(-2, 3)), y, w, h)
            label = int(rng.integers(num_classes))
            detections.append((label, box, float(rng.integers(1, 9)) / 8))
        present = {label for label, _, _ in objects}
        absent = set(rng.integers(num_classes, size=3).tolist()) - present
        unfinished = [label for label in sorted(present) if rng.random() < 0.3]
        images.append((objects, detections, sorted(absent), unfinished))
    return images


def slow_match(objects, detections, thr):
    """Judge the detections of one class in one image: right, wrong or ignored.

    Args: objects (box, is_crowd, is_ignored), detections (box, score), best first.
    """
    free = [True] * len(objects)
    verdicts = []
    for box, _ in detections:
        choices = []
        for i, (other, is_crowd, is_ignored) in enumerate(objects):
            found = overlap(box, other, is_crowd)
            if free[i] and found >= min(thr, 1 - 1e-10):
                choices.append((not (is_crowd or is_ignored), found, i))
        if not choices:
            verdicts.append("wrong")
            continue
        # An object to find before any other; then the overlap; then the last one.
        counts, _, chosen = max(choices)
        verdicts.append("right" if counts else "ignored")
        free[chosen] = objects[chosen][1]
    return verdicts


def slow_verdicts(images, thr):
    """Judge by the federated rules in plain loops, at one overlap.

    Returns: for each label a list of (score, verdict), and its number of objects.
    """
    judged, totals = defaultdict(list), defaultdict(int)
    for objects, detections, negatives, unfinished in images:
        present = {label for label, _, _ in objects}
        for label, _, is_ignored in objects:
            totals[label] += not is_ignored
        for label in sorted(present | set(negatives)):
            found = [(box, score) for k, box, score in detections if k == label]
            found.sort(key=lambda pair: -pair[1])
            own = [(box, False, ignored) for k, box, ignored in objects if k == label]
            verdicts = slow_match(own, found, thr)
            for (_, score), verdict in zip(found, verdicts, strict=True):
                if verdict == "wrong" and label in unfinished:
                    verdict = "ignored"
                judged[label].append((score, verdict))
    return judged, totals
