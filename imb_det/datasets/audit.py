"""What a data set finds in its annotations while it loads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from imb_det.core.finding import Finding, Severity, render
from imb_det.core.text import look_alike
from imb_det.statistics.coco_kinds import KINDS

__all__ = ["MAX_NAMED", "DatasetAudit", "finding_of"]

#: Entries that the log names for each kind of finding; the audit itself keeps all.
MAX_NAMED = 20

#: Kinds of findings that are listed one by one, and what was done about them.
NAMED_KINDS = {
    "no_area": "boxes without area, removed",
    "not_finite": KINDS["not_finite"].meaning,
    "outside": "boxes wholly outside their image, removed",
    "category_ids": "category ids that are not 1, 2, 3, ...; labels are numbered "
    "without gaps, from 0",
    "no_size": "images without a size in the annotations, size taken from the image",
    "no_annotations": "files without `annotations`, which nothing can be judged by",
    "no_objects": "images without objects, kept as background unless `filter_cfg` "
    "drops them",
}
#: Kinds of findings that are only counted.
COUNTED_KINDS = {
    "ignored": "annotations marked `ignore`, left out as mmdet does",
    "over_border": KINDS["over_border"].meaning,
}
#: Kinds that every healthy data set may have: they raise no warning.
_HARMLESS = frozenset({"category_ids", "no_annotations", "no_objects", "over_border"})


def finding_of(
    kind: str, file: str, index: str = "", class_name: str = "", box: str = ""
) -> Finding:
    """Return one entry of an audit.

    Args:
        kind: Key of :data:`NAMED_KINDS`.
        file: Annotation file, perhaps with an entry of it.
        index: Which object: ``object[12]``, counted from 0.
        class_name: Class of the box, if it has one.
        box: The box as the file has it, as text: it may hold what is no number.
    """
    return Finding(
        kind,
        Severity.INFO if kind in _HARMLESS else Severity.WARNING,
        NAMED_KINDS[kind],
        " ".join(part for part in (file, index) if part),
        " ".join(part for part in (class_name, box) if part),
    )


@dataclass
class DatasetAudit:
    """Everything that loading one data set found; plain values, ready for JSON.

    Findings and counts are about the whole annotation file; ``num_images`` and the
    two box numbers about what is left after ``filter_cfg`` and ``indices``.

    Args:
        source: Annotation file.
        num_listed: Images that the annotation file lists.
        num_images: Images in use.
        num_boxes: Boxes in use as positive examples.
        num_ignored: Boxes in use that are crowd or difficult.
        counts: Number of findings of each kind.
        findings: The entries of the named kinds.
        unknown_classes: For each class name that the config does not know, its
            number of ``objects`` and the ``first`` file with one.
        classes: Names that the config has.
    """

    source: str
    num_listed: int = 0
    num_images: int = 0
    num_boxes: int = 0
    num_ignored: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    unknown_classes: dict[str, dict[str, Any]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()

    def add(self, kind: str, file: str, *details: str) -> None:
        """Note one finding; of counted kinds only the number is kept."""
        self.counts[kind] += 1
        if kind in NAMED_KINDS:
            self.findings.append(finding_of(kind, str(file), *details))

    def count(self, kind: str, number: int) -> None:
        """Note findings of a kind that is only counted."""
        if number:
            self.counts[kind] += number

    def take(self, findings: Iterable[Finding]) -> None:
        """Note what has been found elsewhere."""
        for found in findings:
            self.counts[found.code] += 1
            self.findings.append(found)

    def add_unknown_class(self, name: str, file: str) -> None:
        """Note an object of a class that the config does not name."""
        entry = self.unknown_classes.setdefault(
            name, {"objects": 0, "first": str(file)}
        )
        entry["objects"] += 1

    @property
    def needs_attention(self) -> bool:
        """Whether anything was left out, removed or mended."""
        return bool(self.unknown_classes or set(self.counts) - _HARMLESS)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, dictionaries and numbers."""
        content = {**vars(self), "counts": dict(self.counts)}
        return {**content, "findings": [found.to_dict() for found in self.findings]}

    def everything(self) -> Iterator[Finding]:
        """Yield all entries, unknown classes, and one entry for each counted kind."""
        yield from self.findings
        for name, entry in self.unknown_classes.items():
            alike = look_alike(name, self.classes)
            evidence = f"{entry['objects']} objects, first in {entry['first']}"
            yield Finding(
                "unknown_class",
                Severity.WARNING,
                "classes that the config does not name, left out",
                f"{self.source}: {name!r}",
                evidence + f"; the config has {alike!r}" * bool(alike),
                "Write names alike in config and annotations"
                if alike
                else "Add the class to `metainfo['classes']`, if it is to be learned",
            )
        for kind, meaning in COUNTED_KINDS.items():
            if number := self.counts[kind]:
                level = Severity.INFO if kind in _HARMLESS else Severity.WARNING
                yield Finding(kind, level, meaning, self.source, f"{number} of them")

    def summary(self, max_named: int = MAX_NAMED) -> str:
        """Return the report as a block of text.

        Args:
            max_named: Entries named of each kind.
        """
        used = f"{self.num_images} of {self.num_listed}"
        if self.num_images == self.num_listed:
            used = f"{self.num_images}"
        ignored = f" and {self.num_ignored} ignored ones" * bool(self.num_ignored)
        head = f"{self.source}: {used} images, {self.num_boxes} boxes{ignored}"
        found = list(self.everything())
        return render(found, head, max_named) if found else head
