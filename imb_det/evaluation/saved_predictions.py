"""Predictions as a file of arrays, which no reader has to trust."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from imb_det.statistics.cache import write_whole

__all__ = ["SavedPredictions", "image_id_of"]

_FORMAT, _VERSION = "imb_det predictions", 1
#: Kinds of the numbers and dimensions of each array; masks need not be there.
_ARRAYS = {
    "image_size": ("iu", 2),
    "offsets": ("iu", 1),
    "bboxes": ("f", 2),
    "scores": ("f", 1),
    "labels": ("iu", 1),
}
_OF_MASKS = {"mask_bytes": ("u", 1), "mask_offsets": ("iu", 1)}
_MORE = {"mask_scores": ("f", 1)}
#: What numpy, zipfile and zlib raise for a file that is damaged or was made up.
_DAMAGED = (
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


def image_id_of(value: Any) -> int | str:
    """Return the id of an image as a file keeps it.

    Raises:
        TypeError: Neither a whole number nor a string; shows it.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, Integral) and not isinstance(value, bool):  # NumPy's too
        return int(value)
    raise TypeError(
        f"ids of images must be whole numbers or strings, got {value!r} "
        f"({type(value).__name__})"
    )


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

        def joined(key: str, empty: Any) -> np.ndarray:
            return np.concatenate([p[key] for p in predictions] or [empty])

        counts = [len(prediction["scores"]) for prediction in predictions]
        boxes = [np.reshape(p["bboxes"], (-1, 4)) for p in predictions]
        more: dict[str, np.ndarray] = {}
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
            np.array(sizes, np.int32).reshape(-1, 2),
            _ends(counts),
            np.concatenate([np.zeros((0, 4), np.float32), *boxes]),
            joined("scores", np.zeros(0, np.float32)),
            joined("labels", np.zeros(0, np.int32)).astype(np.int32),
            **more,
        )

    def save(self, path: str | Path) -> None:
        """Write a file, whole or not at all.

        Raises:
            OSError: It cannot be written.
        """
        header = {
            "format": _FORMAT,
            "version": _VERSION,
            "classes": self.classes,
            "image_ids": self.image_ids,
        }
        names = (*_ARRAYS, *_OF_MASKS, *_MORE)
        arrays = {name: getattr(self, name) for name in names}
        arrays = {name: array for name, array in arrays.items() if array is not None}
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        write_whole(Path(path), lambda file: np.savez(file, **arrays))

    @classmethod
    def load(cls, path: str | Path) -> SavedPredictions:
        """Read a file, and check that its parts fit together.

        Raises:
            ValueError: Another file, of a later version, cut short, changed, or with
                Python objects in it, which are not read; says what is wrong.
        """
        try:
            with np.load(path, allow_pickle=False) as content:
                header = _header(content)
                wanted = {**_ARRAYS}
                if "mask_bytes" in content:
                    wanted.update(_OF_MASKS)
                wanted.update({k: v for k, v in _MORE.items() if k in content})
                arrays = {
                    name: _array(content, name, kind, dimensions)
                    for name, (kind, dimensions) in wanted.items()
                }
        except _DAMAGED as error:
            reason = str(error) or type(error).__name__
            raise ValueError(
                f"{path} is no file of predictions as `tools/test.py --out FILE.npz` "
                f"writes it, or is cut short ({reason})"
            ) from error
        saved = cls(**header, **arrays)
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
        if self.mask_bytes is not None and self.mask_offsets is not None:
            if not _covers(self.mask_offsets, len(self.mask_bytes)):
                return "`mask_offsets` do not part the run lengths among the masks"
        if len(self.labels) and not (
            0 <= self.labels.min() <= self.labels.max() < len(self.classes)
        ):
            low, high = self.labels.min(), self.labels.max()
            top = len(self.classes) - 1
            return f"labels must be 0 to {top}, got {low} to {high}"
        return ""

    def predictions(self) -> list[dict[str, Any]]:
        """Return those of each image, as ``Detections.from_predictions`` takes them.

        Masks are run lengths in COCO's form, not yet checked.
        """
        runs: list[bytes] = []
        if self.mask_bytes is not None and self.mask_offsets is not None:
            whole, ends = self.mask_bytes.tobytes(), self.mask_offsets.tolist()
            runs = [whole[a:b] for a, b in zip(ends, ends[1:], strict=False)]
        ends = self.offsets.tolist()
        made = []
        for row, image_id in enumerate(self.image_ids):
            own = slice(ends[row], ends[row + 1])
            prediction: dict[str, Any] = {
                "img_id": image_id,
                "bboxes": self.bboxes[own],
                "scores": self.scores[own],
                "labels": self.labels[own],
            }
            if self.mask_bytes is not None:
                size = self.image_size[row].tolist()
                prediction["masks"] = [
                    {"size": size, "counts": counts} for counts in runs[own]
                ]
            if self.mask_scores is not None:
                prediction["mask_scores"] = self.mask_scores[own]
            made.append(prediction)
        return made


def _ends(lengths: Sequence[int]) -> np.ndarray:
    return np.cumsum([0, *lengths], dtype=np.int64)


def _covers(offsets: np.ndarray, number: int) -> bool:
    """Tell whether offsets go from 0 to a number without a step back."""
    is_whole = offsets[0] == 0 and offsets[-1] == number
    return bool(is_whole and (offsets[1:] >= offsets[:-1]).all())


def _header(content: Any) -> dict[str, Any]:
    """Read and check the names of classes and images."""
    header = json.loads(_array(content, "header", "u", 1).tobytes().decode("ascii"))
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise ValueError("its header is that of another format")
    version = header.get("version")
    if version != _VERSION:
        raise ValueError(
            f"it has version {version!r} of the format, and this library reads version "
            f"{_VERSION}; read it with the library that wrote it"
        )
    classes, ids = header["classes"], header["image_ids"]
    if not isinstance(classes, list) or not all(isinstance(n, str) for n in classes):
        raise ValueError("`classes` must be a list of names")
    if not isinstance(ids, list):
        raise ValueError("`image_ids` must be a list")
    return {"classes": tuple(classes), "image_ids": tuple(map(image_id_of, ids))}


def _array(content: Any, name: str, kinds: str, dimensions: int) -> np.ndarray:
    array = content[name]
    if array.dtype.kind not in kinds or array.ndim != dimensions:
        raise ValueError(
            f"`{name}` is an array of {array.dtype} with {array.ndim} dimensions"
        )
    return array
