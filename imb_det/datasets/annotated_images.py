"""The image files of a data set, with what its annotations say about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import mmcv
from mmcv.transforms import LoadImageFromFile
from mmengine.logging import print_log

from imb_det.statistics.dataset_access import leaf_datasets

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
    """

    path: str
    width: int | None
    height: int | None
    source: str
    color_type: str = "color"
    backend: str | None = "cv2"
    reach: tuple[float, float] = (0, 0)

    @property
    def is_rotated(self) -> bool:
        """Whether mmcv applies the EXIF orientation while it decodes."""
        backend = self.backend or mmcv.image.io.imread_backend
        return self.color_type in ("color", "grayscale") and backend in (
            "cv2",
            "pillow",
        )


def annotated_images(dataset: Any) -> Iterator[AnnotatedImage]:
    """List the image files of a data set, through its wrappers.

    Images that are no local files are left out, with one log line for each part.

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
        is_remote = backend_args.get("backend", "local") != "local"
        elsewhere = []
        for index in range(len(leaf)):
            info = leaf.get_data_info(index)
            path = info.get("img_path")
            if not isinstance(path, str):
                continue
            if is_remote or "://" in path:
                elsewhere.append(path)
                continue
            yield AnnotatedImage(
                path,
                info.get("width") or None,
                info.get("height") or None,
                source,
                getattr(loader, "color_type", "color"),
                getattr(loader, "imdecode_backend", "cv2"),
                _reach(info.get("instances") or ()),
            )
        if elsewhere:
            print_log(
                f"{source}: {len(elsewhere)} images are not local files "
                f"({elsewhere[0]}), not checked",
                logger="current",
            )


def _reach(instances: Iterable[Mapping[str, Any]]) -> tuple[float, float]:
    """Return the largest x2 and y2 of the boxes."""
    boxes = [i["bbox"] for i in instances if i.get("bbox") is not None]
    right, down = (max((float(b[k]) for b in boxes), default=0) for k in (2, 3))
    return right, down
