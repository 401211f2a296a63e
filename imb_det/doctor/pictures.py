"""Pictures of what findings are about: the image with its boxes."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageOps

from imb_det.core.finding import Finding, Severity
from imb_det.statistics.dataset_access import iter_data_infos

from .context import DoctorContext

__all__ = ["pictures_of"]

_SIDE = 320  # pixels of a picture
_SEEN = 10  # pixels; what is smaller gets a ring
_OF_A_KIND = 3
_AT_MOST = 24
_IMAGE_ID = re.compile(r"\(id [^,]*, image ([^)]*)\)")  # as of COCO's entries
_BOX = re.compile(r"\(([^()]*)\)")
_COLOURS = {"box": "#4c72b0", "found": "#c44e52"}


def pictures_of(
    context: DoctorContext, findings: Iterable[Finding]
) -> list[dict[str, str]]:
    """Draw the images that findings name, with all their boxes.

    The box of the finding is red, where its evidence has one as (x1, y1, x2, y2).

    Args:
        context: With data sets.
        findings: Errors and warnings are drawn, up to three of a kind.

    Returns:
        For each, ``code``, ``text`` and ``image``, a JPEG as the address of an
        ``<img>``. Images that cannot be read are left out.
    """
    wanted = [f for f in findings if f.severity is not Severity.INFO and f.where]
    if not wanted or not context.datasets:
        return []
    names = _images_by_name(context)
    drawn: list[dict[str, str]] = []
    number: dict[str, int] = {}
    for finding in wanted:
        info = _image_of(finding, names)
        if info is None or number.get(finding.code, 0) >= _OF_A_KIND:
            continue
        address = _draw(info, _box_in(finding.evidence))
        if address is None:
            continue
        number[finding.code] = number.get(finding.code, 0) + 1
        text = finding.place
        drawn.append({"code": finding.code, "text": text, "image": address})
        if len(drawn) >= _AT_MOST:
            break
    return drawn


def _images_by_name(context: DoctorContext) -> dict[str, dict[str, Any]]:
    """Return records by the paths and file names that findings may name."""
    found: dict[str, dict[str, Any]] = {}
    for dataset in context.datasets.values():
        for info in iter_data_infos(dataset):
            for key in ("img_path", "xml_path"):
                path = info.get(key)
                if isinstance(path, str):
                    found.setdefault(path, info)
                    found.setdefault(Path(path).name, info)
            if "img_id" in info:
                found.setdefault(f"image_id={info['img_id']}", info)
    return found


def _image_of(
    finding: Finding, names: Mapping[str, dict[str, Any]]
) -> dict[str, Any] | None:
    text = f"{finding.where} {finding.evidence}"
    named = _IMAGE_ID.search(text)
    if named and (info := names.get(f"image_id={named[1]}")) is not None:
        return info
    words = re.split(r"[\s'\"`,;:]+", text)
    for word in words:
        info = names.get(word) or names.get(Path(word).name if word else "")
        if info is not None:
            return info
    return None


def _box_in(evidence: str) -> tuple[float, ...] | None:
    for text in _BOX.findall(evidence):
        try:
            box = tuple(float(part) for part in text.split(","))
        except ValueError:
            continue
        if len(box) == 4:
            return box
    return None


def _draw(info: Mapping[str, Any], marked: tuple[float, ...] | None) -> str | None:
    """Return a small JPEG as an address; None where the file cannot be read."""
    try:
        with Image.open(info["img_path"]) as file:
            image = ImageOps.exif_transpose(file).convert("RGB")
    except (OSError, ValueError, KeyError, SyntaxError, Image.DecompressionBombError):
        return None
    scale = min(_SIDE / max(image.size), 1.0)
    width, height = (max(round(side * scale), 1) for side in image.size)
    image = image.resize((width, height))
    pen = ImageDraw.Draw(image)
    for instance in info.get("instances", ()):
        if (corners := _corners(instance.get("bbox"), scale)) is not None:
            pen.rectangle(corners, outline=_COLOURS["box"], width=2)
    if (corners := _corners(marked, scale)) is not None:
        x1, y1, x2, y2 = corners
        pen.rectangle(corners, outline=_COLOURS["found"], width=2)
        if min(x2 - x1, y2 - y1) < _SEEN:  # a ring around what nobody would see
            ring = (x1 - _SEEN, y1 - _SEEN, x2 + _SEEN, y2 + _SEEN)
            pen.ellipse(ring, outline=_COLOURS["found"], width=3)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def _corners(box: Any, scale: float) -> tuple[float, float, float, float] | None:
    """Return a box on the picture, or near its border; None where it has no place."""
    if box is None:
        return None
    numbers = [float(value) * scale for value in box]
    if any(number != number for number in numbers):  # NaN is unlike itself
        return None
    x1, y1, x2, y2 = (min(max(v, -_SEEN), _SIDE + _SEEN) for v in numbers)
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
