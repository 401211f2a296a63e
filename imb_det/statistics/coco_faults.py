"""What makes an annotation file of COCO or LVIS unreadable, in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from imb_det.core.finding import Finding, FindingsError, Severity

__all__ = ["FaultList", "place_of"]

_MOST = 1000  # faults of a kind that are kept; of others only the number is known
_ENTRY = "Correct the entry, or take it out of the file"
#: What is wrong and what to do, by the code of the finding.
_FAULTS = {
    "annotation_file": (
        "an annotation file cannot be read",
        "Write the file anew, as JSON in UTF-8 without a byte order mark",
    ),
    "annotation_keys": (
        "an annotation file lacks a part",
        "Correct the key in the file, or set `ann_file` to another one",
    ),
    "entry": ("entries of an annotation file are no mappings", _ENTRY),
    "entry_key": ("entries of an annotation file lack a key", _ENTRY),
    "entry_id": (
        "ids in an annotation file are of a wrong kind",
        "Write all ids as whole numbers, or all of them as text",
    ),
    "shared_id": (
        "several entries of an annotation file share one id, so that only the last of "
        "them would be used",
        "Give each entry an id of its own",
    ),
    "category_name": (
        "categories have no name of their own",
        "Give each category a name of its own, and move the annotations of one of "
        "several to the other",
    ),
    "file_name": ("names of images are no text", _ENTRY),
    "image_size": (
        "sizes of images are no numbers",
        "Write `width` and `height` as numbers of pixels, or leave both out",
    ),
    "bbox": ("boxes are no four numbers", _ENTRY),
    "area": ("areas are no numbers", _ENTRY),
    "flag": ("flags of annotations are neither 0 nor 1", "Write 0 or 1"),
    "no_mask": (
        "objects without a mask, where masks are used",
        "Add the masks to the file, or do without them: take 'segm' out of `metric`, "
        "and `with_mask` out of `LoadAnnotations`",
    ),
    "mask": ("masks are neither polygons nor run lengths", _ENTRY),
    "federated": (
        "images or categories lack what an LVIS file says of them",
        "Add it to the file, or use imb_det.CocoMetric where it is none of LVIS",
    ),
}


def place_of(source: Any, part: str, index: int, entry: Any) -> str:
    """Say where an entry is: the file, and its place, id and image in there.

    Example:
        >>> place_of("a.json", "annotations", 2, dict(id=7, image_id=4))
        'a.json: annotations[2] (id 7, image 4)'
        >>> place_of("a.json", "images", 0, dict(id=4, file_name="4.jpg"))
        "a.json: images[0] (id 4, '4.jpg')"
    """
    where = f"{source}: {part}[{index}]"
    if not isinstance(entry, Mapping):
        return where
    key = {"annotations": "image_id", "categories": "name"}.get(part, "file_name")
    if part == "images" and key not in entry:
        key = "coco_url"  # LVIS v1 has the address in place of the name
    about = [f"id {entry['id']!r:.80}"] if "id" in entry else []
    if key in entry:
        about.append("image " * (key == "image_id") + f"{entry[key]!r:.80}")
    return f"{where} ({', '.join(about)})" if about else where


@dataclass
class FaultList:
    """Collects all that is wrong with one file.

    Args:
        source: The file, for messages.
    """

    source: str
    findings: list[Finding] = field(default_factory=list)
    number: Counter[str] = field(default_factory=Counter)

    def add(self, code: str, where: str, evidence: str) -> None:
        """Note one fault.

        Args:
            code: Key of the table above.
            where: See :func:`place_of`; the file alone where it is about all of it.
            evidence: What stands there, and what is valid.
        """
        self.number[code] += 1
        if self.number[code] <= _MOST:
            what, remedy = _FAULTS[code]
            self.findings.append(
                Finding(code, Severity.ERROR, what, where, evidence, remedy)
            )

    def add_entry(
        self, code: str, part: str, index: int, entry: Any, evidence: str
    ) -> None:
        """Note one fault of an entry."""
        self.add(code, place_of(self.source, part, index, entry), evidence)

    def everything(self) -> list[Finding]:
        """Return the findings, with one more where not all of a kind are kept."""
        found = list(self.findings)
        for code, number in self.number.items():
            if number > _MOST:
                what, remedy = _FAULTS[code]
                text = f"and {number - _MOST:,} more of them"
                found.append(
                    Finding(code, Severity.ERROR, what, self.source, text, remedy)
                )
        return found

    def error(self) -> FindingsError:
        """Return the error with all faults, a ValueError."""
        return FindingsError(self.everything(), self.source)

    def raise_all(self) -> None:
        """Refuse the file, if anything is wrong with it.

        Raises:
            FindingsError: A ValueError with all faults.
        """
        if self.findings:
            raise self.error()
