"""An annotation file of COCO or LVIS: read once, with a verdict on each entry."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from imb_det.core.finding import Finding, Severity

from .coco_entries import check_entries
from .coco_faults import FaultList, place_of
from .coco_federated import check_federated, is_federated
from .coco_json import check_parts, parsed
from .coco_kinds import KINDS, NAMES, box_kinds

__all__ = ["CocoContent"]

#: Key that is to blame, by the kind of an annotation; ``bbox`` for all others.
_FAULTY = {
    "unknown_image": "image_id",
    "unknown_category": "category_id",
    "bad_area": "area",
    "huge_area": "area",
    "no_mask_area": "area",
}


class CocoContent:
    """The content of a file, all entries of which have the form of one.

    Data sets, counts, metrics and tools read files through this class, so that they
    refuse the same ones in the same words, and leave the same annotations out.

    Args:
        content: What the JSON holds; it is not copied, and ids such as 11.0 in it
            become whole numbers.
        source: The file, for messages.
        needs_annotations: Whether the file must have ``annotations``, as one of a test
            set without them has not. Default: True.
        name_key: Key that each image needs for the name of its file, as data sets do.
            Default: None.

    Raises:
        FindingsError: A ValueError with all that is malformed.
    """

    def __init__(
        self,
        content: Any,
        source: Any,
        needs_annotations: bool = True,
        name_key: str | None = None,
    ) -> None:
        self.source = str(source)
        faults = FaultList(self.source)
        if check_parts(content, faults, needs_annotations):
            check_entries(content, faults, name_key)
        faults.raise_all()
        self.is_federated = is_federated(content)
        if self.is_federated:
            check_federated(content, faults)
            faults.raise_all()
        self.content: dict[str, Any] = content
        self.images: list[dict[str, Any]] = content["images"]
        self.categories: list[dict[str, Any]] = content["categories"]
        self.annotations: list[dict[str, Any]] = content.get("annotations", [])

    @classmethod
    def read(cls, path: str | Path, source: Any = None, *options: Any) -> CocoContent:
        """Read a file.

        Args:
            path: Where it is.
            source: Its name in messages. Default: None, the path.
            *options: Further arguments of the class.

        Raises:
            FindingsError: As for the class; or no JSON, or not in UTF-8.
            OSError: It cannot be opened.
        """
        name = str(path if source is None else source)
        return cls(parsed(Path(path).read_bytes(), name), name, *options)

    @cached_property
    def image_rows(self) -> np.ndarray:
        """Place of the image of each annotation, -1 where it is not listed; (A,)."""
        return self._places(self.images, "image_id")

    @cached_property
    def category_rows(self) -> np.ndarray:
        """Place of the category of each annotation, -1 where not defined; (A,)."""
        return self._places(self.categories, "category_id")

    def _places(self, entries: list[dict[str, Any]], key: str) -> np.ndarray:
        place = {entry["id"]: index for index, entry in enumerate(entries)}
        own = (place.get(ann[key], -1) for ann in self.annotations)
        return np.fromiter(own, np.int64, len(self.annotations))

    @cached_property
    def boxes(self) -> np.ndarray:
        """Boxes x, y, w, h of the annotations, float64 (A, 4)."""
        numbers = chain.from_iterable(ann["bbox"] for ann in self.annotations)
        return _floats(list(numbers)).reshape(-1, 4)

    @cached_property
    def areas(self) -> np.ndarray:
        """Areas of the annotations, as the file has them, float64 (A,)."""
        return _floats([ann["area"] for ann in self.annotations])

    def flags(self, key: str) -> np.ndarray:
        """Tell which annotations are marked ``iscrowd`` or ``ignore``, bool (A,)."""
        return np.array([bool(ann.get(key)) for ann in self.annotations], bool)

    def sides(self, key: str) -> np.ndarray:
        """``width`` or ``height`` of the images, inf where it is not known; (N,)."""
        return _floats([image.get(key) or np.inf for image in self.images])

    @property
    def without_size(self) -> np.ndarray:
        """Places of the images without a size, ascending, int64."""
        known = np.isfinite(self.sides("width")) & np.isfinite(self.sides("height"))
        return np.flatnonzero(~known)

    def without_size_findings(self) -> Iterator[Finding]:
        """Refuse images without a size, for those who cannot do without."""
        for row in self.without_size.tolist():
            image = self.images[row]
            sides = [image.get(key) for key in ("width", "height")]
            yield Finding(
                "image_size",
                Severity.ERROR,
                "images without a size in an annotation file",
                place_of(self.source, "images", row, image),
                f"has width and height {sides}",
                "Add `width` and `height` to the images of the file, or use `imb_det.` "
                "classes, which take them from the image",
            )

    @cached_property
    def kinds(self) -> np.ndarray:
        """Kind of each annotation, its place in ``coco_kinds.NAMES``; uint8 (A,)."""
        rows = self.image_rows
        # What has no image stands in none.
        widths = np.append(self.sides("width"), np.inf)[rows]
        heights = np.append(self.sides("height"), np.inf)[rows]
        kinds = box_kinds(self.boxes, self.areas, widths, heights)
        kinds[self.category_rows < 0] = NAMES.index("unknown_category")
        kinds[rows < 0] = NAMES.index("unknown_image")
        return kinds

    def are(self, what: str) -> np.ndarray:
        """Tell which annotations are of a kind of which something holds, bool (A,).

        Args:
            what: Field of :class:`~.coco_kinds.Kind`, such as ``is_used``.
        """
        return self.table(what)[self.kinds]

    def table(self, what: str) -> np.ndarray:
        """Return a field of all kinds, by the numbers in :attr:`kinds`."""
        return np.array([True, *(getattr(kind, what) for kind in KINDS.values())])

    def of_classes(self, names: Collection[str] | None) -> np.ndarray:
        """Tell which annotations are of categories with these names, bool (A,)."""
        if names is None:
            return self.category_rows >= 0
        chosen = set(names)
        wanted = np.array([c["name"] in chosen for c in self.categories] + [False])
        return wanted[self.category_rows]

    def place_of(self, index: int) -> str:
        """Say where an annotation is: the file, and its place, id and image there."""
        return place_of(self.source, "annotations", index, self.annotations[index])

    def chosen(
        self, classes: Collection[str] | None, kinds: Collection[str]
    ) -> np.ndarray:
        """Tell which annotations are of some classes, or of none, and of some kinds."""
        own = self.of_classes(classes) | (self.category_rows < 0)
        own &= np.array([name in kinds for name in NAMES])[self.kinds]
        return own

    def findings(self, chosen: np.ndarray) -> list[Finding]:
        """Describe annotations that show no sound object, in the order of the file.

        Args:
            chosen: Which annotations, see :meth:`chosen`; bool (A,).
        """
        found = []
        for index in np.flatnonzero(chosen).tolist():
            code, annotation = NAMES[self.kinds[index]], self.annotations[index]
            key = _FAULTY.get(code, "bbox")
            row = self.category_rows[index]
            name = self.categories[row]["name"] + " " if row >= 0 else ""
            evidence = f"{name}{key} {annotation[key]!r:.120}"
            kind, where = KINDS[code], self.place_of(index)
            found.append(Finding(code, kind.severity, kind.meaning, where, evidence))
        return found


def _floats(numbers: list[Any]) -> np.ndarray:
    """Read numbers; None is NaN, and whole numbers too large are infinite."""
    try:
        return np.array(numbers, np.float64)
    except OverflowError:
        return np.array([_float(number) for number in numbers])


def _float(number: Any) -> float:
    try:
        return float("nan" if number is None else number)
    except OverflowError:
        return float("inf" if number > 0 else "-inf")
