"""Keeps the predictions of a test in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import collect_results
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from imb_det.core.main_process import on_main_process

from .prediction_archive import image_id_of
from .sample_reading import read_sample
from .saved_predictions import SavedPredictions

__all__ = ["PredictionDump"]


class PredictionDump(BaseMetric):
    """Writes what :class:`SavedPredictions` holds; has no figures of its own.

    It stands before the metrics, so that the predictions of a long test are there even
    if one of those fails.

    Args:
        file: To write (``.npz``); its folder is made.
        collect_device: Where ranks collect results, ``cpu`` or ``gpu``. Default:
            ``cpu``.
    """

    default_prefix = "predictions"

    def __init__(self, file: str | Path, collect_device: str = "cpu") -> None:
        super().__init__(collect_device)
        self.file = Path(file)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep boxes, scores, labels and masks of a batch, as arrays.

        Args:
            data_batch: Not used.
            data_samples: Data samples with predictions.

        Raises:
            ValueError: A sample without boxes of four corners, as of panoptic
                segmentation or of rotated boxes; or nobody said which classes there
                are.
            TypeError: The id of an image is neither a whole number nor a string.
        """
        # With the first batch, not when all of a long test is done.
        if not (self.dataset_meta or {}).get("classes"):
            raise ValueError(
                f"{self.file}: the classes of the test set are unknown; its `metainfo` "
                "must have them"
            )
        for sample in data_samples:
            if "pred_instances" not in sample:
                raise ValueError(
                    f"{self.file}: image {sample.get('img_id')!r} has no "
                    "`pred_instances`, only "
                    f"{sorted(key for key in sample if key.startswith('pred'))}; a "
                    "file of arrays keeps boxes and masks of objects alone"
                )
            record, prediction = read_sample(sample)
            shape = prediction["bboxes"].shape
            if len(prediction["scores"]) and shape[1:] != (4,):
                raise ValueError(
                    f"{self.file}: image {record['img_id']!r} has boxes of the shape "
                    f"{shape}; a file of arrays keeps x1, y1, x2, y2"
                )
            prediction["bboxes"] = prediction["bboxes"].reshape(-1, 4)
            prediction["img_id"] = image_id_of(record["img_id"])
            self.results.append((prediction, (record["height"], record["width"])))

    def evaluate(self, size: int) -> dict[str, float]:
        """Write the predictions of all ranks, on rank 0.

        Args:
            size: Number of images of the data set; more are padding of the sampler.

        Returns:
            Nothing.

        Raises:
            OSError: The file cannot be written; on every rank.
        """
        results = collect_results(self.results, size, self.collect_device)
        try:
            return on_main_process(lambda: self.compute_metrics(results or []))
        finally:
            self.results.clear()

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Write the file.

        Args:
            results: Pairs of a prediction and the image's height and width.
        """
        predictions = [prediction for prediction, _ in results]
        sizes = [own for _, own in results]
        classes = tuple(self.dataset_meta["classes"])
        SavedPredictions.from_predictions(classes, predictions, sizes).save(self.file)
        print_log(f"Predictions are written to {self.file}", logger="current")
        return {}
