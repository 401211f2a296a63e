"""Images with an orientation in EXIF that their size does not show."""

from __future__ import annotations

from collections.abc import Iterator

from imb_det.core.finding import Finding, Severity
from imb_det.core.text import and_more
from imb_det.datasets.annotated_images import annotated_images
from imb_det.doctor.context import DoctorContext
from imb_det.statistics.image_header import ImageHeader, check_regular, read_header

from .file_digests import each_file

__all__ = ["check_turned_images"]

#: What is in doubt and what to do, by whether mmcv goes by EXIF.
_DOUBTS = {
    True: (
        "images that EXIF turns or mirrors, which their size does not tell: boxes that "
        "were drawn without that are wrong",
        "`dict(type='LoadImageFromFile', color_type='color_ignore_orientation')` "
        "leaves images as they lie",
    ),
    False: (
        "images that are loaded as they lie, though EXIF turns or mirrors them, which "
        "their size does not tell: boxes that were drawn with that are wrong",
        "`dict(type='LoadImageFromFile', color_type='color', imdecode_backend='cv2')` "
        "goes by EXIF",
    ),
}


def check_turned_images(context: DoctorContext) -> Iterator[Finding]:
    """Find images whose EXIF mirrors or turns them, with the same size either way.

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
        found: dict[bool, list[str]] = {True: [], False: []}
        for image, head in zip(images, heads, strict=True):
            if head is not None and _is_in_doubt(head):
                text = f"{image.path} (EXIF orientation {head.orientation})"
                found[image.is_rotated].append(text)
        for is_rotated, texts in found.items():
            if texts:
                what, remedy = _DOUBTS[is_rotated]
                yield Finding(
                    "turned_image",
                    Severity.INFO,
                    what,
                    context.files(split),
                    f"{len(texts):,} of {len(images):,} images: "
                    f"{and_more(texts, quoted=False)}",
                    f"Look at some with their boxes; {remedy}",
                )


def _is_in_doubt(head: ImageHeader) -> bool:
    return head.orientation != 1 and head.displayed == head[:2]


def _header(path: str) -> ImageHeader | None:
    check_regular(path)
    with open(path, "rb", buffering=0) as file:
        return read_header(file)
