"""Score saved predictions with the metrics of a config; no model is built."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.datasets import CocoDataset, LVISV05Dataset
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from mmengine.registry import DATASETS, init_default_scope

from ..statistics.class_stats import ClassStats
from ..statistics.coco_files import category_ids
from ..statistics.dataset_access import class_names, iter_data_infos, leaf_datasets
from .functional.ground_truth import GroundTruth, content_of
from .result_files import read_predictions

__all__ = ["no_detections", "read_results", "score_file", "training_stats"]


def score_file(config: Any, results: str | Path) -> dict[str, float]:
    """Evaluate a result file with the ``test_evaluator`` of a config.

    Args:
        config: Config with ``test_dataloader``, ``test_evaluator`` and perhaps
            ``train_dataloader`` (for the groups of classes) and ``work_dir`` (for the
            tables).
        results: A pickle of ``tools/test.py --out``, judged on the images it holds; or
            a result file of COCO or LVIS (``.json``), judged on all images of the test
            set, which must have an annotation file of that kind.

    Returns:
        Figures by name.

    Raises:
        FileNotFoundError: No such result file.
        ValueError: Results that are not for the test set; names file and entry.
    """
    init_default_scope(config.get("default_scope", "mmdet"))
    dataset = DATASETS.build(config.test_dataloader.dataset)
    infos = {info["img_id"]: info for info in iter_data_infos(dataset)}
    metrics = config.test_evaluator
    evaluator = Evaluator(metrics if isinstance(metrics, list) else [metrics])
    evaluator.dataset_meta = dataset.metainfo
    iou_type = "segm" if _wants_masks(evaluator) else "bbox"
    found = {p["img_id"]: p for p in read_results(dataset, results, iou_type)}
    is_json = Path(results).suffix == ".json"
    ids = list(infos) if is_json else [i for i in infos if i in found]
    asking = [
        metric for metric in evaluator.metrics if getattr(metric, "wants_stats", False)
    ]
    stats = training_stats(config) if asking else None
    for metric in asking:
        if stats is not None:
            metric.set_class_stats(stats)
    for metric in evaluator.metrics:
        if config.get("work_dir") and hasattr(metric, "set_work_dir"):
            metric.set_work_dir(config.work_dir)
    samples = (_sample(infos[image_id], found.get(image_id)) for image_id in ids)
    return evaluator.offline_evaluate(samples)


def read_results(
    dataset: Any, results: str | Path, iou_type: str = "bbox"
) -> list[dict[str, Any]]:
    """Read the predictions of a detector for a test set.

    Args:
        dataset: Test set.
        results: Result file; see :func:`score_file`.
        iou_type: ``bbox`` or ``segm``, for which masks are read. Default: ``bbox``.

    Returns, Raises: see :func:`~.result_files.read_predictions`.
    """
    classes = tuple(class_names(dataset))
    infos = {info["img_id"]: info for info in iter_data_infos(dataset)}
    images = [
        {"id": row, "height": info["height"], "width": info["width"]}
        for row, info in enumerate(infos.values())
    ]
    is_json = Path(results).suffix == ".json"
    return read_predictions(
        results,
        GroundTruth(classes, tuple(infos), images, []),
        _categories(dataset, classes) if is_json else (),
        iou_type,
    )


def training_stats(config: Any) -> ClassStats | None:
    """Count the training set of a config, or say why the groups are left out."""
    loader = config.get("train_dataloader")
    if not loader:
        reason = "the config has no `train_dataloader`"
    else:
        try:
            return ClassStats.from_dataset(DATASETS.build(loader["dataset"]))
        except FileNotFoundError as error:
            reason = f"the training set is not here ({error})"
    print_log(
        f"No frequency groups: {reason}.", logger="current", level=logging.WARNING
    )
    return None


def no_detections() -> dict[str, Any]:
    """Return the prediction for an image in which nothing was found."""
    return {
        "bboxes": np.zeros((0, 4)),
        "scores": np.zeros(0),
        "labels": np.zeros(0, int),
        "masks": [],
    }


def _wants_masks(evaluator: Evaluator) -> bool:
    return any("segm" in getattr(metric, "metrics", ()) for metric in evaluator.metrics)


def _categories(dataset: Any, classes: tuple[str, ...]) -> list[int]:
    """Return the category id of each label."""
    (leaf, *more) = leaf_datasets(dataset)
    if more or not isinstance(leaf, CocoDataset):
        raise ValueError(
            "a result file of COCO (.json) needs a test set with one COCO or LVIS "
            f"annotation file, but it is {type(dataset).__name__}; score the pickle of "
            "`tools/test.py --out`"
        )
    by_place = isinstance(leaf, LVISV05Dataset)  # v1 is derived from it
    return category_ids(content_of(leaf), classes, leaf.ann_file, by_place)


def _sample(info: dict[str, Any], prediction: dict[str, Any] | None) -> dict[str, Any]:
    """Make the data sample that a test would have made."""
    prediction = prediction or no_detections()
    arrays: dict[str, Any] = {
        key: torch.as_tensor(np.asarray(prediction[key]))
        for key in ("bboxes", "scores", "labels", "mask_scores")
        if key in prediction
    }
    if "masks" in prediction:
        arrays["masks"] = prediction["masks"]
    return {
        "img_id": info["img_id"],
        "ori_shape": (info["height"], info["width"]),
        "instances": info["instances"],
        "pred_instances": arrays,
    }
