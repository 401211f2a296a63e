"""Images with an orientation in EXIF that their size does not show."""

from __future__ import annotations

from collections.abc import Iterator

from imb_det.core.finding import Finding, Severity
from imb_det.core.text import and_more
from imb_det.datasets.annotated_images import AnnotatedImage, annotated_images
from imb_det.doctor.context import DoctorContext
from imb_det.statistics.image_header import ImageHeader, check_regular, parse_header

from .file_digests import each_file

__all__ = ["check_turned_images"]

_HEAD_BYTES = 4096
_LONG_HEAD_BYTES = 1 << 18  # thumbnails and colour profiles come first


def check_turned_images(context: DoctorContext) -> Iterator[Finding]:
    """Find images that EXIF mirrors or turns, with the same size either way.

    Where the size tells, :func:`~imb_det.checks.images.check_images` compares it with
    the annotations. An image turned by a half circle, or a square one, has the
    annotated size whether its boxes were drawn on the turned image or not.

    Args:
        context: With data sets, unless images are not to be looked at.
    """
    if not context.look_at_images:
        return
    for split, dataset in context.datasets.items():
        images = [i for i in annotated_images(dataset) if not i.unreachable]
        heads = each_file([i.path for i in images], _header, "looking for EXIF")
        found = [
            f"{image.path} (EXIF orientation {head.orientation})"
            for image, head in zip(images, heads, strict=True)
            if head is not None and _is_in_doubt(image, head)
        ]
        if found:
            yield Finding(
                "turned_image",
                Severity.INFO,
                "images that EXIF turns or mirrors, which their size does not tell: "
                "boxes that were drawn without that are wrong",
                context.files(split),
                f"{len(found):,} of {len(images):,} images: "
                f"{and_more(found, quoted=False)}",
                "Look at some with their boxes; `dict(type='LoadImageFromFile', "
                "color_type='color_ignore_orientation')` leaves images as they lie",
            )


def _is_in_doubt(image: AnnotatedImage, head: ImageHeader) -> bool:
    if head.orientation == 1:
        return False
    return head.displayed == head[:2]


def _header(path: str) -> ImageHeader | None:
    check_regular(path)
    with open(path, "rb", buffering=0) as file:
        head = file.read(_HEAD_BYTES)
        header = parse_header(head)
        if header is None and len(head) == _HEAD_BYTES:
            header = parse_header(head + file.read(_LONG_HEAD_BYTES))
        return header
