"""Size and orientation of an image file from its first bytes."""

from __future__ import annotations

import io
import stat
import struct
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from mmengine.fileio import LocalBackend, get, get_file_backend
from PIL import Image

__all__ = [
    "ImageHeader",
    "check_regular",
    "damage",
    "displayed_size",
    "ends_properly",
    "parse_header",
    "read_header",
    "size_from_image",
]

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_JPEG_END = b"\xff\xd9"
# Start-of-frame markers; the gaps are the Huffman, JPEG and arithmetic tables.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ORIENTATION = 0x0112  # EXIF tag
_HEAD_BYTES = 4096
_LONG_HEAD_BYTES = 1 << 18  # EXIF thumbnails and colour profiles come first


class ImageHeader(NamedTuple):
    """What an image file says about itself.

    Args:
        width: Stored width, before any rotation.
        height: Stored height, before any rotation.
        orientation: EXIF orientation, 1 to 8; 5 to 8 swap width and height.
        format: ``JPEG``, ``PNG``, or Pillow's name of another format.
        offset: Where the frame header of a JPEG starts, 0 elsewhere: thumbnails
            stand before it, image data behind.
    """

    width: int
    height: int
    orientation: int
    format: str
    offset: int = 0

    @property
    def displayed(self) -> tuple[int, int]:
        """Width and height after the EXIF rotation."""
        size = (self.width, self.height)
        return size[::-1] if self.orientation >= 5 else size

    @property
    def is_certain(self) -> bool:
        """Whether every version of every decoder agrees on the displayed size."""
        return self.format == "JPEG" or self.orientation == 1


def _exif_orientation(exif: bytes) -> int:
    """Return the orientation that a TIFF block gives, 1 if it gives none."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 8:
        return 1
    (start,) = struct.unpack(order + "I", exif[4:8])
    (number,) = struct.unpack(order + "H", exif[start : start + 2].ljust(2, b"\0"))
    for at in range(start + 2, min(start + 2 + 12 * number, len(exif) - 11), 12):
        tag, _, _, value = struct.unpack(order + "HHIH", exif[at : at + 10])
        if tag == _ORIENTATION:
            return value if 1 <= value <= 8 else 1
    return 1


def _parse_jpeg(head: bytes) -> ImageHeader | None:
    """Walk the segments to the frame header."""
    at, orientation = 2, 1
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            if not height:  # defined behind the image data
                return None
            return ImageHeader(width, height, orientation, "JPEG", at)
        length = struct.unpack(">H", head[at + 2 : at + 4])[0]
        if marker == 0xE1 and head[at + 4 : at + 10] == b"Exif\0\0":
            orientation = _exif_orientation(head[at + 10 : at + 2 + length])
        at += 2 + length
    return None


def parse_header(head: bytes) -> ImageHeader | None:
    """Read a JPEG or PNG header.

    Args:
        head: The first bytes of a file; some hundred are enough for most, an EXIF
            thumbnail or a colour profile takes up to some 100,000.

    Returns:
        The header, or None if it is of another format or not within ``head``.
    """
    if head[:2] == b"\xff\xd8":
        return _parse_jpeg(head)
    if head[:8] == _PNG_SIGNATURE and head[12:16] == b"IHDR" and len(head) >= 24:
        width, height = struct.unpack(">II", head[16:24])
        orientation = 1
        if (at := head.find(b"eXIf")) > 0:
            orientation = _exif_orientation(head[at + 4 :])
        return ImageHeader(width, height, orientation, "PNG")
    return None


def read_header(file: BinaryIO) -> ImageHeader | None:
    """Read a JPEG or PNG header from the beginning of a file, and no more than needed.

    Args:
        file: Open for reading, at its beginning.

    Returns:
        As :func:`parse_header`.
    """
    head = file.read(_HEAD_BYTES)
    header = parse_header(head)
    if header is None and len(head) == _HEAD_BYTES:
        header = parse_header(head + file.read(_LONG_HEAD_BYTES))
    return header


def ends_properly(tail: bytes, image_format: str) -> bool:
    """Tell whether the last bytes of a file are those of a complete image.

    Args:
        tail: Last bytes of the file, some dozens.
        image_format: ``JPEG`` or ``PNG``; other formats have no end mark.

    Returns:
        True if the end mark is there. False says nothing yet: some writers append
        data of their own.
    """
    marks = {"JPEG": _JPEG_END, "PNG": _PNG_END}
    return image_format in marks and tail.rstrip(b"\0\n").endswith(marks[image_format])


def damage(path: str, header: ImageHeader) -> str | None:
    """Decode a file to find out whether it is complete.

    Args:
        path: Image file.
        header: Its header.

    Returns:
        What is wrong with it, or None.
    """
    with open(path, "rb") as file:
        content = file.read()
    # Decoders take zeros, as interrupted downloads leave them, for image data.
    if header.format == "JPEG" and content.find(_JPEG_END, header.offset) < 0:
        return "no end mark"
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.draft("L", (1, 1))  # JPEG: reads all, computes little
            image.load()
    except Image.DecompressionBombError:
        return None  # larger than Pillow likes, which mmcv does not mind
    except (OSError, SyntaxError, ValueError) as error:
        return str(error)
    return None


def displayed_size(
    path: str, backend_args: dict[str, Any] | None = None
) -> tuple[int, int]:
    """Return the width and height with which mmcv loads an image.

    Args:
        path: Image file.
        backend_args: Arguments of mmengine's file backend; local files if None.

    Raises:
        OSError: No such file, or no image.
    """
    if isinstance(get_file_backend(path, backend_args=backend_args), LocalBackend):
        check_regular(path)
    content = get(path, backend_args=backend_args)
    header = parse_header(content)
    if header is None:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            return width, height
    return header.displayed


def size_from_image(
    path: str, source: str, backend_args: dict[str, Any] | None = None
) -> tuple[int, int]:
    """Return the width and height that the annotations of an image do not give.

    Args:
        path: Image file.
        source: The annotations, for the message.
        backend_args: As for :func:`displayed_size`.

    Raises:
        ValueError: The image tells no size either; names both files.
    """
    try:
        return displayed_size(path, backend_args)
    except Exception as error:  # of any file backend
        raise ValueError(
            f"{source} gives no image size, and the image cannot be read: {error}"
        ) from error


def check_regular(path: str | Path) -> None:
    """Refuse pipes and devices, which may have no end, folders and sockets.

    Raises:
        OSError: There is no such file, or it is none of its own kind; names it.
    """
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise OSError(f"{path} is no regular file")
