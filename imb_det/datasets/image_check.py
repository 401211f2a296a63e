"""Looks at every image file before training does, without decoding pixels."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import mmcv
from mmengine.logging import print_log
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from .annotated_images import AnnotatedImage, annotated_images
from .image_header import ImageHeader, damage, ends_properly, parse_header

__all__ = ["ImageFault", "check_images"]

_HEAD_BYTES = 4096
_LONG_HEAD_BYTES = 1 << 18  # EXIF thumbnails and colour profiles come first
_TAIL_BYTES = 64
_THREADS = 8
_BATCH = 64  # files a task of the thread pool
_PROGRESS_FROM = 2000  # files; fewer are checked in about a second
_NAMED_FILES = 5
_SAME_SHAPE = 0.01  # relative difference of aspect ratios that rounding explains


class ImageFault(NamedTuple):
    """Why a file cannot be trained on, or only with doubts."""

    image: AnnotatedImage
    kind: str
    detail: str
    is_fatal: bool = True


def _read_header(path: str) -> tuple[ImageHeader, bool]:
    """Return the header, and whether the file is known to be complete."""
    with open(path, "rb", buffering=0) as file:
        head = file.read(_HEAD_BYTES)
        header = parse_header(head)
        if header is None and len(head) == _HEAD_BYTES:
            header = parse_header(head + file.read(_LONG_HEAD_BYTES))
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
    header, size = None, (0, 0)
    try:
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
        return ImageFault(image, "unreadable", str(error))
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


def _describe(faults: list[ImageFault], number: int, verdict: str) -> str:
    """Write the message for faulty files."""
    sources = sorted({fault.image.source for fault in faults})
    lines = [
        f"{len(faults)} of {number} image files {verdict} (annotated in "
        f"{', '.join(sources)}):"
    ]
    for kind in dict.fromkeys(fault.kind for fault in faults):
        group = [fault for fault in faults if fault.kind == kind]
        lines.append(f"  {len(group)} {kind}:")
        lines += [f"    {f.image.path}: {f.detail}" for f in group[:_NAMED_FILES]]
        if len(group) > _NAMED_FILES:
            lines.append(f"    ... and {len(group) - _NAMED_FILES} more")
    return "\n".join(lines)


def check_images(datasets: Iterable[Any]) -> int:
    """Check that all image files are there, complete and of the annotated size.

    A JPEG or PNG file is judged by its first and last bytes; where these leave a
    doubt, and for other formats, Pillow decodes it. Sizes are compared as mmcv will
    load them, EXIF rotation included. Long sets show a progress bar.

    mmdet trains on images of another size than annotated, with boxes that may well be
    shifted. That is an error if a box reaches beyond the image, or if width and height
    are not in the annotated ratio (by more than 1 %), as with a rotation that the
    annotations do not know of. Else the boxes may fit, and it is one warning.

    Args:
        datasets: Built mmengine data sets or wrappers.

    Returns:
        Number of files checked.

    Raises:
        FileNotFoundError: Files are missing, and nothing else is wrong.
        ValueError: Files are truncated, unreadable or of another size, in which the
            boxes cannot be right. Either error names the first files of each kind,
            how many there are, and the annotation files.
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
    if doubts := [fault for fault in faults if not fault.is_fatal]:
        print_log(
            _describe(doubts, len(images), "may not fit their boxes"),
            logger="current",
            level=logging.WARNING,
        )
    if fatal := [fault for fault in faults if fault.is_fatal]:
        is_missing = all(fault.kind == "missing" for fault in fatal)
        raise (FileNotFoundError if is_missing else ValueError)(
            _describe(fatal, len(images), "cannot be trained on")
        )
    return len(images)
