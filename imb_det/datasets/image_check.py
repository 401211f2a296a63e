"""Looks at every image file before training does, without decoding pixels."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import mmcv
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from imb_det.core.finding import Finding, Severity
from imb_det.core.text import and_more
from imb_det.statistics.image_header import (
    ImageHeader,
    check_regular,
    damage,
    ends_properly,
    read_header,
)

from .annotated_images import AnnotatedImage, annotated_images

__all__ = ["ImageFault", "inspect_images"]

_TAIL_BYTES = 64
_THREADS = 8
_BATCH = 64  # files a task of the thread pool
_PROGRESS_FROM = 2000  # files; fewer are checked in about a second
_SAME_SHAPE = 0.01  # relative difference of aspect ratios that rounding explains
_CODES = {
    "missing": "image_missing",
    "unreadable": "image_unreadable",
    "out of reach": "image_backend",
    "truncated or damaged": "image_damaged",
    "of another size than annotated": "image_size_differs",
}
_REMEDIES = {
    "missing": "Correct `data_root` and `data_prefix` of the data set, or fetch them",
    "unreadable": "Replace them, or take them out of the annotations",
    "out of reach": "Correct `backend_args` of `LoadImageFromFile`, or install what "
    "the backend needs",
    "truncated or damaged": "Fetch them once more",
    "of another size than annotated": "Annotations and files are of different versions "
    "of the data set, or EXIF rotation was applied to one of them only",
}


class ImageFault(NamedTuple):
    """Why a file cannot be trained on, or only with doubts."""

    image: AnnotatedImage
    kind: str
    detail: str
    is_fatal: bool = True

    def finding(self) -> Finding:
        """Return the fault in the form of all findings."""
        verdict = "cannot be used" if self.is_fatal else "may not fit their boxes"
        return Finding(
            _CODES[self.kind],
            Severity.ERROR if self.is_fatal else Severity.WARNING,
            f"image files {verdict}, {self.kind}",
            self.image.path,
            f"{self.detail} (annotated in {self.image.source})",
            _REMEDIES[self.kind],
        )


def _read_header(path: str) -> tuple[ImageHeader, bool]:
    """Return the header, and whether the file is known to be complete."""
    with open(path, "rb", buffering=0) as file:
        header = read_header(file)
        if header is not None:
            length = file.seek(0, 2)
            file.seek(max(0, length - _TAIL_BYTES))
            return header, ends_properly(file.read(), header.format)
    with Image.open(path) as image:
        orientation = image.getexif().get(0x0112, 1)
        width, height = image.size
        return ImageHeader(width, height, orientation, image.format or ""), False


def _decoded_size(image: AnnotatedImage) -> tuple[int, int] | None:
    """Return the size that mmcv decodes, None if it cannot."""
    try:
        pixels = mmcv.imread(image.path, image.color_type, backend=image.backend)
        return pixels.shape[1], pixels.shape[0]
    except Exception:  # each decoder has errors of its own
        return None


def _inspect(image: AnnotatedImage) -> ImageFault | None:
    """Check one file; the cheap way first."""
    if image.unreachable:
        return ImageFault(image, "out of reach", image.unreachable)
    header, size = None, (0, 0)
    try:
        check_regular(image.path)
        header, is_complete = _read_header(image.path)
        problem = None if is_complete else damage(image.path, header)
        if problem is None and not is_complete and _decoded_size(image) is None:
            problem = "mmcv cannot decode it"  # Pillow does without the last bytes
        if problem is not None:
            return ImageFault(image, "truncated or damaged", problem)
        size = header.displayed if image.is_rotated else header[:2]
    except FileNotFoundError:
        return ImageFault(image, "missing", "no such file")
    except Image.DecompressionBombError:
        return None  # larger than Pillow likes, which mmcv does not mind
    except UnidentifiedImageError:
        pass  # mmcv knows formats that Pillow does not
    except (OSError, ValueError) as error:
        reason = str(error).removeprefix(f"{image.path} is ")
        return ImageFault(image, "unreadable", reason)
    if header is None or not header.is_certain:
        decoded = _decoded_size(image)
        if decoded is None:
            return ImageFault(image, "unreadable", "no image that mmcv can decode")
        size = decoded
    if image.width is None or image.height is None:
        return None
    if size == (image.width, image.height):
        return None
    detail = f"file {size[0]} x {size[1]}, annotated {image.width} x {image.height}"
    if header is not None and header.orientation >= 5:
        verb = "applies" if image.is_rotated else "ignores"
        detail += (
            f"; EXIF orientation {header.orientation}, which mmcv {verb} with "
            f"color_type='{image.color_type}'"
        )
    right, down = image.reach
    if right > size[0] or down > size[1]:
        detail += f"; the boxes reach to {right:g} x {down:g}"
    elif abs(size[0] * image.height / (size[1] * image.width) - 1) <= _SAME_SHAPE:
        return ImageFault(image, "of another size than annotated", detail, False)
    return ImageFault(image, "of another size than annotated", detail)


def inspect_images(datasets: Iterable[Any]) -> tuple[int, list[Finding]]:
    """Check that all image files are there, complete and of the annotated size.

    A JPEG or PNG file is judged by its first and last bytes; where these leave a
    doubt, and for other formats, Pillow decodes it. Sizes are compared as mmcv will
    load them, EXIF rotation included. Only regular files are images: pipes, devices,
    sockets and folders are not opened. Files outside the folders of the config are a
    warning. Long sets show a progress bar.

    mmdet trains on images of another size than annotated, with boxes that may well be
    shifted. That is an error if a box reaches beyond the image, or if width and height
    are not in the annotated ratio (by more than 1 %), as with a rotation that the
    annotations do not know of. Else the boxes may fit, and it is a warning.

    Args:
        datasets: Built mmengine data sets or wrappers.

    Returns:
        Number of files checked, and what was found, by kind and in their order.
    """
    images = list(
        dict.fromkeys(
            image for dataset in datasets for image in annotated_images(dataset)
        )
    )
    batches = [
        images[start : start + _BATCH] for start in range(0, len(images), _BATCH)
    ]
    faults: list[ImageFault] = []
    with (
        ThreadPoolExecutor(_THREADS) as pool,
        tqdm(
            total=len(images),
            desc="checking image files",
            unit="file",
            disable=len(images) < _PROGRESS_FROM,
        ) as progress,
    ):
        for found in pool.map(lambda batch: list(map(_inspect, batch)), batches):
            faults += [fault for fault in found if fault is not None]
            progress.update(len(found))
    found_outside = [_outside(image) for image in images if not image.is_inside]
    return len(images), [*(fault.finding() for fault in faults), *found_outside]


def _outside(image: AnnotatedImage) -> Finding:
    """Tell that the annotations lead to a file which the config does not."""
    return Finding(
        "image_outside",
        Severity.WARNING,
        "image files lie outside the folders that the config names: names in the "
        "annotations lead out of them, and to whatever lies there",
        image.path,
        f"outside {and_more(dict.fromkeys(image.folders))} (annotated in "
        f"{image.source})",
        "Correct the names, or set `data_prefix` to the folder of the images",
    )
