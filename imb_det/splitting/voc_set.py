"""A PASCAL VOC folder that is to be split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from imb_det.statistics.cache import write_whole
from imb_det.statistics.image_header import check_regular
from imb_det.statistics.label_table import LabelTable
from imb_det.statistics.voc_files import labels_of_voc_images, voc_image_ids

__all__ = ["VocSet"]

_SHOWN_FROM = 5000  # files; fewer are read in seconds


class VocSet:
    """Reads a folder with ``Annotations``, and writes image lists.

    Args:
        root: The folder.
        list_name: Name of a file in ``ImageSets/Main``, without ``.txt``. Default:
            None, all images that ``Annotations`` has a file of.

    Raises:
        OSError: Something cannot be read.
        ValueError: A file is malformed; names it and the entry.
    """

    #: Ending of the files of the parts.
    suffix = ".txt"
    without_image = 0

    def __init__(self, root: Path, list_name: str | None = None) -> None:
        self.root = root
        folder = root / "Annotations"
        if not folder.is_dir():
            raise ValueError(
                f"{root} is no PASCAL VOC folder, as it has no folder `Annotations`, "
                "nor a COCO file"
            )
        lists = root / "ImageSets" / "Main"
        self.path = folder if list_name is None else lists / f"{list_name}.txt"
        if list_name is None:
            self.names = sorted(path.stem for path in folder.glob("*.xml"))
        else:
            check_regular(self.path)
            self.names = voc_image_ids(self.path.read_bytes(), str(self.path))
        if not self.names:
            raise ValueError(f"{folder} has no file *.xml")
        is_quick = len(self.names) < _SHOWN_FROM
        shown = tqdm(self.names, "reading", unit="file", disable=is_quick)
        self.table = LabelTable.from_labels(
            *labels_of_voc_images(root, shown, str(self.path), None)
        )

    def keys(self, key: str) -> list[str | None]:
        """Refuse: there is no record of an image that would have keys.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            f"images of PASCAL VOC have no key {key!r}; --group-by goes by their names"
        )

    def image_paths(self, folder: Path | None) -> list[Path]:
        """Return the files of the images.

        Args:
            folder: Where they are; ``JPEGImages`` if None.
        """
        folder = self.root / "JPEGImages" if folder is None else folder
        return [folder / f"{name}.jpg" for name in self.names]

    def write(self, path: Path, chosen: np.ndarray) -> None:
        """Write an image list.

        Args:
            path: To write.
            chosen: Which images, bool (N,).

        Raises:
            OSError: It cannot be written.
        """
        names = [self.names[index] for index in np.flatnonzero(chosen).tolist()]
        data = "".join(f"{name}\n" for name in names).encode()
        write_whole(path, lambda file: file.write(data))
