"""Score saved predictions with the metrics of a config; no model is built."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.datasets import CocoDataset, LVISV05Dataset
from mmengine.logging import print_log
from mmengine.registry import DATASETS, init_default_scope

from imb_det.datasets.unread_files import explain_failures
from imb_det.statistics.class_stats import ClassStats
from imb_det.statistics.coco_classes import category_ids
from imb_det.statistics.dataset_access import (
    class_names,
    iter_data_infos,
    joint_metainfo,
    leaf_datasets,
)
from imb_det.statistics.frequency_groups import GroupLimits

from .config_rules import check_files, judges_masks, make_evaluator
from .functional.ground_truth import GroundTruth, content_of
from .result_files import read_predictions

__all__ = ["no_detections", "read_results", "score_file", "training_stats"]


def score_file(
    config: Any, results: str | Path, allow_pickle: bool = False
) -> dict[str, float]:
    """Evaluate a result file with the ``test_evaluator`` of a config.

    Args:
        config: Config with ``test_dataloader``, ``test_evaluator`` and perhaps
            ``train_dataloader`` (for the groups of classes) and ``work_dir`` (for the
            tables).
        results: What ``tools/test.py --out`` wrote, judged on the images it holds; or
            a result file of COCO or LVIS (``.json``), judged on all images of the test
            set, which must have an annotation file of that kind.
        allow_pickle: Whether to read a pickle (``.pkl``), which can run any program.
            Default: False.

    Returns:
        Figures by name.

    Raises:
        FileNotFoundError: No such result file.
        ValueError: Results that are not for the test set; names file and entry.
    """
    init_default_scope(config.get("default_scope", "mmdet"))
    with explain_failures(config):
        dataset = DATASETS.build(config.test_dataloader.dataset)
    infos = list(iter_data_infos(dataset))
    evaluator = make_evaluator(config)
    evaluator.dataset_meta = joint_metainfo(dataset.metainfo)
    check_files(evaluator)
    iou_type = "segm" if judges_masks(evaluator) else "bbox"
    predictions = read_results(dataset, infos, results, iou_type, allow_pickle)
    found = {prediction["img_id"]: prediction for prediction in predictions}
    is_json = Path(results).suffix == ".json"
    tested = [info for info in infos if is_json or info["img_id"] in found]
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
    samples = (_sample(info, found.get(info["img_id"])) for info in tested)
    return evaluator.offline_evaluate(samples)


def read_results(
    dataset: Any,
    infos: Sequence[Mapping[str, Any]],
    results: str | Path,
    iou_type: str = "bbox",
    allow_pickle: bool = False,
) -> list[dict[str, Any]]:
    """Read the predictions of a detector for a test set.

    Args:
        dataset: Test set.
        infos: Its records.
        results: Result file; see :func:`score_file`.
        iou_type: ``bbox`` or ``segm``, for which masks are read. Default: ``bbox``.
        allow_pickle: See :func:`score_file`.

    Returns, Raises: see :func:`~.result_files.read_predictions`.
    """
    classes = tuple(class_names(dataset))
    images = {
        info["img_id"]: {"id": row, "height": info["height"], "width": info["width"]}
        for row, info in enumerate(infos)
    }
    is_json = Path(results).suffix == ".json"
    return read_predictions(
        results,
        GroundTruth(classes, tuple(images), list(images.values()), []),
        _categories(dataset, classes) if is_json else (),
        iou_type,
        allow_pickle,
    )


def training_stats(config: Any) -> ClassStats | None:
    """Count the training set of a config, or say why the groups are left out.

    The limits of the groups are those that the config gives ``ImbalanceHook``.
    """
    loader = config.get("train_dataloader")
    if not loader:
        reason = "the config has no `train_dataloader`"
    else:
        try:
            with explain_failures(config):
                dataset = DATASETS.build(loader["dataset"])
            stats = ClassStats.from_dataset(dataset)
            return stats.with_limits(GroupLimits.from_config(config))
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


def _categories(dataset: Any, classes: tuple[str, ...]) -> list[int]:
    """Return the category id of each label."""
    (leaf, *more) = leaf_datasets(dataset)
    if more or not isinstance(leaf, CocoDataset):
        raise ValueError(
            "a result file of COCO (.json) needs a test set with one COCO or LVIS "
            f"annotation file, but it is {type(dataset).__name__}; score what "
            "`tools/test.py --out` wrote"
        )
    by_place = isinstance(leaf, LVISV05Dataset)  # v1 is derived from it
    return category_ids(content_of(leaf).content, classes, leaf.ann_file, by_place)


def _sample(
    info: Mapping[str, Any], prediction: dict[str, Any] | None
) -> dict[str, Any]:
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
