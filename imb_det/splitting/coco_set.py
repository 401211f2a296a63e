"""A COCO or LVIS file that is to be split."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imb_det.statistics.cache import write_whole
from imb_det.statistics.coco_content import CocoContent
from imb_det.statistics.coco_files import labels_of_content
from imb_det.statistics.image_header import check_regular
from imb_det.statistics.label_table import LabelTable

__all__ = ["CocoSet"]

#: What addresses of LVIS v1 begin with; mmdet takes it off for the name of the file.
_ADDRESS = "http://images.cocodataset.org/"


class CocoSet:
    """Reads a file, and writes files of some of its images.

    Args:
        path: The annotation file.

    Raises:
        OSError: It cannot be read.
        ValueError: It is malformed; names all entries that are.
    """

    #: Ending of the files of the parts.
    suffix = ".json"

    def __init__(self, path: Path) -> None:
        check_regular(path)
        self.path = path
        self.file = CocoContent.read(path)
        images = self.file.images
        if not images:
            raise ValueError(f"{path}: there is no image to share out")
        self.table = LabelTable.from_labels(*labels_of_content(self.file))
        self.names = [
            image.get("file_name")
            or (image.get("coco_url") or "").removeprefix(_ADDRESS)
            or f"image id {image['id']!r}"
            for image in images
        ]

    def keys(self, key: str) -> list[str | None]:
        """Return what the images say under a key, None where they say nothing.

        Raises:
            ValueError: No image has the key.
        """
        values = [image.get(key) for image in self.file.images]
        if all(value is None for value in values):
            known = sorted({str(name) for image in self.file.images for name in image})
            raise ValueError(f"{self.path}: no image has the key {key!r}, but {known}")
        return [
            None if value is None else json.dumps(value, sort_keys=True)
            for value in values
        ]

    def image_paths(self, folder: Path | None) -> list[Path]:
        """Return the files of the images.

        Args:
            folder: Where they are; needed.

        Raises:
            ValueError: No folder is given.
        """
        if folder is None:
            raise ValueError("the folder of the images is needed: --images")
        return [folder / name for name in self.names]

    @property
    def without_image(self) -> int:
        """Annotations of images that the file does not list; no part has them."""
        return int(np.count_nonzero(self.file.image_rows < 0))

    def write(self, path: Path, chosen: np.ndarray) -> None:
        """Write a file of some images, with everything else that the file has.

        Args:
            path: To write.
            chosen: Which images, bool (N,).

        Raises:
            OSError: It cannot be written.
        """
        own = np.append(chosen, False)[self.file.image_rows]
        content: dict[str, Any] = dict(self.file.content)
        content["images"] = _those(self.file.images, chosen)
        content["annotations"] = _those(self.file.annotations, own)
        # All at once, which is many times faster than in pieces.
        data = json.dumps(content).encode()
        write_whole(path, lambda file: file.write(data))


def _those(entries: Sequence[Any], chosen: np.ndarray) -> list[Any]:
    return [entries[index] for index in np.flatnonzero(chosen).tolist()]
