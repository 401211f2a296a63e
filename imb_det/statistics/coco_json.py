"""The JSON of an annotation file of COCO or LVIS, and its parts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .coco_faults import FaultList

__all__ = ["check_parts", "parsed"]

_PARTS = ("images", "annotations", "categories")


def parsed(data: bytes, source: str) -> Any:
    """Read the JSON of a file.

    Args:
        data: The file, whole.
        source: Its name, for messages.

    Raises:
        FindingsError: No JSON, or not in UTF-8.
    """
    faults = FaultList(source)
    try:
        return json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        text = f"is not in UTF-8: byte {error.start} is 0x{data[error.start]:02x}"
        faults.add("annotation_file", source, text)
    except RecursionError:
        faults.add("annotation_file", source, "is nested too deeply")
    except ValueError as error:  # numbers with thousands of digits are another one
        faults.add("annotation_file", source, f"is not valid JSON: {error}")
    raise faults.error()


def check_parts(content: Any, faults: FaultList, needs_annotations: bool) -> bool:
    """Note parts that are missing or no lists.

    Args:
        content: What the JSON holds.
        faults: Gets what is found.
        needs_annotations: Whether ``annotations`` must be there.

    Returns:
        Whether entries can be read.
    """
    if not isinstance(content, Mapping):
        kind = type(content).__name__
        text = f"must hold a mapping with {', '.join(_PARTS)}, got {kind}"
        faults.add("annotation_file", faults.source, text)
        return False
    needed = [p for p in _PARTS if needs_annotations or p != "annotations"]
    if missing := [part for part in needed if part not in content]:
        text = f"has no {missing}, only {sorted(map(str, content))}"
        faults.add("annotation_keys", faults.source, text)
    for part in _PARTS:
        if part in content and not isinstance(content[part], list):
            text = f"`{part}` must be a list, got {content[part]!r:.80}"
            faults.add("annotation_keys", faults.source, text)
    return not faults.findings
