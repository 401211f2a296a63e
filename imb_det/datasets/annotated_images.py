"""The image files of a data set, with what its annotations say about them."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import mmcv
from mmcv.transforms import LoadImageFromFile
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.logging import print_log

from imb_det.statistics.dataset_access import leaf_datasets
from imb_det.statistics.shown_labels import hides_labels

__all__ = ["AnnotatedImage", "annotated_images"]


class AnnotatedImage(NamedTuple):
    """An image file and what the annotations say about it.

    Args:
        path: Image file.
        width: Annotated width, None if unknown.
        height: Annotated height, None if unknown.
        source: Annotation file.
        color_type: Flag with which mmcv decodes; some of them ignore EXIF.
        backend: Decoder with which mmcv decodes, None for its default.
        reach: How far right and down the boxes reach, in pixels; 0 without boxes.
        folders: Those that the config names for the images; none if it does not.
        unreachable: Why nothing can be read from where it lies; empty otherwise.
    """

    path: str
    width: int | None
    height: int | None
    source: str
    color_type: str = "color"
    backend: str | None = "cv2"
    reach: tuple[float, float] = (0, 0)
    folders: tuple[str, ...] = ()
    unreachable: str = ""

    @property
    def is_rotated(self) -> bool:
        """Whether mmcv applies the EXIF orientation while it decodes."""
        backend = self.backend or mmcv.image.io.imread_backend
        return self.color_type in ("color", "grayscale") and backend in (
            "cv2",
            "pillow",
        )

    @property
    def is_inside(self) -> bool:
        """Whether it lies in a folder of the config, by its name: links may lead on."""
        path = osp.abspath(self.path)
        return not self.folders or any(
            path.startswith(folder.rstrip(osp.sep) + osp.sep) for folder in self.folders
        )


def annotated_images(dataset: Any) -> Iterator[AnnotatedImage]:
    """List the image files of a data set, through its wrappers.

    Images that another backend than that of local files reads are left out, with one
    log line for each part. mmengine takes the backend that ``backend_args`` of
    ``LoadImageFromFile`` name, else the one that an address stands for, as ``s3://``
    and ``https://`` do. Anything else is a local file, whatever its name looks like.

    Args:
        dataset: Built mmengine data set or wrapper.
    """
    for leaf in leaf_datasets(dataset):
        source = str(getattr(leaf, "ann_file", "") or type(leaf).__name__)
        steps = getattr(getattr(leaf, "pipeline", None), "transforms", ())
        loader = next((s for s in steps if isinstance(s, LoadImageFromFile)), None)
        owner = loader or leaf
        backend_args = (
            getattr(owner, "backend_args", None)
            or getattr(owner, "file_client_args", None)
            or {}
        )
        folders = _folders(leaf)
        is_hidden = hides_labels(leaf)
        elsewhere: list[str] = []
        told: set[str] = set()  # one image stands for all that one backend cannot read
        for index in range(len(leaf)):
            info = leaf.get_data_info(index)
            path = info.get("img_path")
            if not isinstance(path, str):
                continue
            is_local, fault = True, ""
            if backend_args or "://" in path:
                is_local, fault = _where(path, backend_args)
            if not is_local and (not fault or fault in told):
                elsewhere.append(path)
                continue
            told.add(fault)
            yield AnnotatedImage(
                path,
                info.get("width") or None,
                info.get("height") or None,
                source,
                getattr(loader, "color_type", "color"),
                getattr(loader, "imdecode_backend", "cv2"),
                _reach(() if is_hidden else info.get("instances") or ()),
                folders,
                fault,
            )
        if elsewhere:
            print_log(
                f"{source}: {len(elsewhere)} images are not local files "
                f"({elsewhere[0]}), not checked",
                logger="current",
            )


def _where(path: str, backend_args: Mapping[str, Any]) -> tuple[bool, str]:
    """Tell whether mmengine reads an image from a local file, and why it cannot."""
    try:
        backend = get_file_backend(
            path, backend_args=dict(backend_args), enable_singleton=True
        )
    except (KeyError, ValueError) as error:
        if not backend_args and not osp.exists(path):
            return True, ""  # a missing file with the name of an address
        what = f"backend_args={dict(backend_args)}" if backend_args else "its name"
        return False, f"mmengine knows no file backend for {what} ({error})"
    except Exception as error:  # of a backend that cannot be had here
        return False, f"its file backend cannot be had: {error}"
    return isinstance(backend, LocalBackend), ""


def _folders(leaf: Any) -> tuple[str, ...]:
    """Return the folders that the config of a data set names, absolute."""
    prefixes = getattr(leaf, "data_prefix", None)
    named = [getattr(leaf, "data_root", None)]
    named += list(prefixes.values()) if isinstance(prefixes, Mapping) else []
    return tuple(
        osp.abspath(folder) for folder in named if isinstance(folder, str) and folder
    )


def _reach(instances: Iterable[Mapping[str, Any]]) -> tuple[float, float]:
    """Return the largest x2 and y2 of the boxes."""
    boxes = [i["bbox"] for i in instances if i.get("bbox") is not None]
    right, down = (max((float(b[k]) for b in boxes), default=0) for k in (2, 3))
    return right, down
