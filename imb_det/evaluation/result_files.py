"""Saved predictions: what ``tools/test.py --out`` writes, and results as JSON."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

from imb_det.core.text import and_more
from imb_det.statistics.coco_classes import spellings

from .functional.ground_truth import GroundTruth
from .functional.prediction_arrays import checked_arrays, predictions_from_samples
from .functional.run_lengths import EncodedMasks
from .result_json import predictions_of_entries
from .sample_reading import array_of
from .saved_predictions import SavedPredictions

__all__ = ["read_predictions"]

_INSTANCE_KEYS = ("bboxes", "scores", "labels")
_PICKLES = (".pkl", ".pickle")


def read_predictions(
    file: str | Path,
    ground_truth: GroundTruth,
    category_ids: Sequence[Any],
    iou_type: str = "bbox",
    allow_pickle: bool = False,
) -> list[dict[str, Any]]:
    """Read the predictions of a detector from a file.

    Args:
        file: What ``tools/test.py --out`` wrote (``.npz``), which also holds names of
            classes; or a result file of COCO or LVIS (``.json``), a list of
            ``image_id``, ``category_id``, ``score``, and ``bbox`` (x, y, w, h) or
            ``segmentation`` (run lengths) or both; or mmdet's pickle (``.pkl``).
        ground_truth: Images and classes that the predictions refer to.
        category_ids: The annotation file's category id of each label, length C.
        iou_type: ``bbox`` or ``segm``, for which masks are read. Default: ``bbox``.
        allow_pickle: Whether pickles are read: they can run any program when they are,
            so allow them only from makers that you trust. Default: False.

    Returns:
        Predictions as ``Detections.from_predictions`` takes them, an entry for each
        image that was tested; JSON has one for each image with a detection.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A file of another kind or cut short, a pickle that is not allowed,
            predictions for other classes, an entry that lacks a key or is of an unknown
            image or category, scores or boxes that are no numbers; names the file and
            the entry.
    """
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file '{path}'")
    with_masks = iou_type == "segm"
    if path.suffix == ".npz":
        saved = SavedPredictions.load(path)
        _check_classes(path, saved.classes, ground_truth.classes)
        return _checked(path, saved.predictions(), ground_truth, with_masks)
    if path.suffix in _PICKLES:
        if not allow_pickle:
            raise ValueError(
                f"{path} is a pickle, which can run any program when it is read, so it "
                "was not read. Write predictions with `tools/test.py --out FILE.npz`; "
                "or, if you trust whoever made this file, pass `--allow-pickle` (in "
                "Python `allow_pickle=True`)"
            )
        return _checked(path, _unpickled(path), ground_truth, with_masks)
    if path.suffix == ".json":
        labels = {category: label for label, category in enumerate(category_ids)}
        return _from_json(path, ground_truth, labels, with_masks)
    raise ValueError(
        f"{path}: predictions are a file of `tools/test.py --out` (.npz), a result "
        "file of COCO (.json) or, where it is allowed, a pickle (.pkl)"
    )


def _check_classes(path: Path, theirs: Sequence[str], classes: Sequence[str]) -> None:
    """Refuse predictions whose labels stand for other classes."""
    if tuple(theirs) == tuple(classes) or spellings(classes, theirs):
        return
    pairs = zip(theirs, classes, strict=False)
    differing = (
        f"label {i}: {a!r} / {b!r}" for i, (a, b) in enumerate(pairs) if a != b
    )
    first = next(differing, "one list goes on after the other ends")
    raise ValueError(
        f"{path} has predictions for {len(theirs)} classes, {and_more(theirs, 3)}, but "
        f"they are to be judged by {len(classes)}, {and_more(classes, 3)}; the first "
        f"difference is {first}. Judge them by the classes of the detector, in their "
        "order (`metainfo` of the test set, `--classes` of a comparison)"
    )


def _unpickled(path: Path) -> list[dict[str, Any]]:
    """Read a pickle that is trusted."""
    try:
        with path.open("rb") as stream:
            samples = pickle.load(stream)
    except Exception as error:  # damaged pickles raise nearly anything
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path} is no pickle, or is cut short ({reason})") from error
    _check_list(path, samples)
    try:
        return predictions_from_samples(samples)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _checked(
    path: Path,
    predictions: list[dict[str, Any]],
    ground_truth: GroundTruth,
    with_masks: bool,
) -> list[dict[str, Any]]:
    """Check the predictions of images, and bring them into arrays."""
    rows = ground_truth.rows
    needed = (*_INSTANCE_KEYS, "masks") if with_masks else _INSTANCE_KEYS
    seen: set[Any] = set()
    for index, prediction in enumerate(predictions):
        image_id = prediction["img_id"]
        if isinstance(image_id, Integral):  # NumPy's too
            image_id = prediction["img_id"] = int(image_id)
        where = f"{path}: entry {index} (image {image_id!r})"
        if not isinstance(image_id, (int, str)) or image_id not in rows:
            raise ValueError(f"{where}: the annotation file has no such image")
        if image_id in seen:
            raise ValueError(f"{where}: the image has predictions twice")
        seen.add(image_id)
        if missing := [key for key in needed if key not in prediction]:
            raise ValueError(f"{where}: the predictions have no {missing}")
        try:
            for key in _INSTANCE_KEYS:
                prediction[key] = array_of(prediction[key])
            checked_arrays(prediction, len(ground_truth.classes))
            if with_masks:
                image = ground_truth.images[rows[image_id]]
                size = (image["height"], image["width"])
                prediction["masks"] = EncodedMasks.of_image(
                    image_id, size, prediction["masks"]
                )
        except (TypeError, ValueError, IndexError) as error:
            text = str(error).removeprefix(f"image {image_id!r}: ")
            raise ValueError(f"{where}: {text}") from error
    return predictions


def _check_list(path: Path, content: Any) -> None:
    if not isinstance(content, list):
        raise ValueError(
            f"{path} must hold a list of predictions, got {type(content).__name__}"
        )
    for index, entry in enumerate(content):
        if not isinstance(entry, Mapping):
            kind = type(entry).__name__
            raise ValueError(f"{path}: entry {index} must be a dictionary, got {kind}")


def _from_json(
    path: Path,
    ground_truth: GroundTruth,
    labels: Mapping[Any, int],
    with_masks: bool,
) -> list[dict[str, Any]]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON, or is cut short ({error})") from error
    _check_list(path, entries)
    try:
        return predictions_of_entries(entries, ground_truth, labels, with_masks)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
