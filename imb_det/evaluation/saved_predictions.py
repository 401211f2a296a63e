"""Predictions of a detector for many images, and the file that keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .prediction_archive import image_id_of, read_archive, write_archive

__all__ = ["SavedPredictions"]

_ARRAYS = ("image_size", "offsets", "bboxes", "scores", "labels")
_MORE = ("mask_bytes", "mask_offsets", "mask_scores")


@dataclass(frozen=True, eq=False)
class SavedPredictions:
    """Predictions of a detector for N images, in arrays of all their D detections.

    A file is a ``.npz`` of these arrays and of one more, ``header``: JSON, in bytes,
    of format, version, names of the classes, and ids of the images. Reading it runs no
    code, whoever has made it.

    Args:
        classes: Names that the labels stand for, length C.
        image_ids: Whole numbers and strings, in the order of the images, length N.
        image_size: Height and width, int32 (N, 2).
        offsets: Image i has the detections from ``offsets[i]`` to ``offsets[i + 1]``,
            int64 (N + 1,).
        bboxes: Corners x1, y1, x2, y2, float32 or float64 (D, 4).
        scores: Float32 or float64 (D,).
        labels: Int32 (D,).
        mask_bytes: Run lengths of all masks, compressed as COCO does, uint8; None for
            boxes alone.
        mask_offsets: Where the run lengths of each mask begin and end, int64 (D + 1,).
        mask_scores: Scores of the masks, where they have their own, (D,).
    """

    classes: tuple[str, ...]
    image_ids: tuple[int | str, ...]
    image_size: np.ndarray
    offsets: np.ndarray
    bboxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    mask_bytes: np.ndarray | None = None
    mask_offsets: np.ndarray | None = None
    mask_scores: np.ndarray | None = None

    @classmethod
    def from_predictions(
        cls,
        classes: Sequence[str],
        predictions: Sequence[Mapping[str, Any]],
        sizes: Sequence[tuple[int, int]],
    ) -> SavedPredictions:
        """Join the predictions of images.

        Args:
            classes: Names that the labels stand for.
            predictions: Of :func:`~.sample_reading.read_sample`.
            sizes: Height and width of each image.
        """
        of_boxes = {
            key: np.concatenate([empty, *(p[key] for p in predictions)])
            for key, empty in (
                ("bboxes", np.zeros((0, 4), np.float32)),
                ("scores", np.zeros(0, np.float32)),
                ("labels", np.zeros(0, np.int32)),
            )
        }
        of_boxes["labels"] = of_boxes["labels"].astype(np.int32)
        more: dict[str, np.ndarray] = {}
        # Where nothing was found there may be no masks.
        found = [p for p in predictions if len(p["scores"])] or predictions
        if found and all("masks" in prediction for prediction in found):
            masks = [own for p in found for own in p["masks"].counts]
            more["mask_bytes"] = np.frombuffer(b"".join(masks), np.uint8)
            more["mask_offsets"] = _ends([len(own) for own in masks])
        if found and all("mask_scores" in prediction for prediction in found):
            more["mask_scores"] = np.concatenate([p["mask_scores"] for p in found])
        return cls(
            tuple(classes),
            tuple(image_id_of(prediction["img_id"]) for prediction in predictions),
            image_size=np.array(sizes, np.int32).reshape(-1, 2),
            offsets=_ends([len(prediction["scores"]) for prediction in predictions]),
            **of_boxes,
            **more,
        )

    def save(self, path: str | Path) -> None:
        """Write a file, whole or not at all.

        Raises:
            OSError: It cannot be written.
        """
        arrays = {name: getattr(self, name) for name in (*_ARRAYS, *_MORE)}
        arrays = {name: array for name, array in arrays.items() if array is not None}
        write_archive(path, self.classes, self.image_ids, arrays)

    @classmethod
    def load(cls, path: str | Path) -> SavedPredictions:
        """Read a file, and check that its parts fit together.

        Raises:
            ValueError: Another file, or one that is damaged or was changed; says what
                is wrong.
        """
        classes, image_ids, arrays = read_archive(path)
        saved = cls(classes, image_ids, **arrays)
        if problem := saved._problem():
            raise ValueError(f"{path} is damaged or was changed: {problem}")
        return saved

    def _problem(self) -> str:
        """Say what does not fit together; nothing if all does."""
        number = len(self.scores)
        shapes = {
            "image_size": (len(self.image_ids), 2),
            "offsets": (len(self.image_ids) + 1,),
            "bboxes": (number, 4),
            "labels": (number,),
            "mask_offsets": (number + 1,),
            "mask_scores": (number,),
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                return f"`{name}` must have the shape {shape}, got {array.shape}"
        if not _covers(self.offsets, number):
            return "`offsets` do not part the detections among the images"
        if (self.mask_bytes is None) != (self.mask_offsets is None):
            return "of `mask_bytes` and `mask_offsets` only one is there"
        if not (
            self.mask_bytes is None
            or self.mask_offsets is None
            or _covers(self.mask_offsets, len(self.mask_bytes))
        ):
            return "`mask_offsets` do not part the run lengths among the masks"
        if number and not 0 <= self.labels.min() <= self.labels.max() < len(
            self.classes
        ):
            return (
                f"labels must be 0 to {len(self.classes) - 1}, got {self.labels.min()} "
                f"to {self.labels.max()}"
            )
        return ""

    def predictions(self) -> list[dict[str, Any]]:
        """Return those of each image, as ``Detections.from_predictions`` takes them.

        Masks are run lengths in COCO's form, not yet checked.
        """
        runs: list[bytes] | None = None
        if self.mask_bytes is not None and self.mask_offsets is not None:
            whole = self.mask_bytes.tobytes()
            runs = [whole[a:b] for a, b in pairwise(self.mask_offsets.tolist())]
        made = []
        ends = pairwise(self.offsets.tolist())
        for row, (image_id, (a, b)) in enumerate(
            zip(self.image_ids, ends, strict=True)
        ):
            prediction: dict[str, Any] = {
                "img_id": image_id,
                "bboxes": self.bboxes[a:b],
                "scores": self.scores[a:b],
                "labels": self.labels[a:b],
            }
            if runs is not None:
                size = self.image_size[row].tolist()
                prediction["masks"] = [{"size": size, "counts": c} for c in runs[a:b]]
            if self.mask_scores is not None:
                prediction["mask_scores"] = self.mask_scores[a:b]
            made.append(prediction)
        return made


def _ends(lengths: Sequence[int]) -> np.ndarray:
    return np.cumsum([0, *lengths], dtype=np.int64)


def _covers(offsets: np.ndarray, number: int) -> bool:
    """Tell whether offsets go from 0 to a number without a step back."""
    is_whole = offsets[0] == 0 and offsets[-1] == number
    return bool(is_whole and (offsets[1:] >= offsets[:-1]).all())
