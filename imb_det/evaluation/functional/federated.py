"""Federated ground truth, as LVIS has it: most classes are unjudged in most images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from imb_det.statistics.coco_classes import category_ids
from imb_det.statistics.coco_federated import refuse_unfederated

from .coco_reading import Source, read_coco, read_content
from .detections import Detections
from .ground_truth import GroundTruth

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["FederatedGroundTruth"]

_LETTERS = {"r": "rare", "c": "common", "f": "frequent"}


@dataclass(frozen=True, eq=False)
class FederatedGroundTruth(GroundTruth):
    """Images in which only some classes were looked for.

    Args:
        classes: As for :class:`GroundTruth`, like ``image_ids``, ``images`` and
            ``annotations``.
        negatives: For each image, the classes that were looked for and are not there,
            length N.
        not_exhaustive: For each image, the classes of which objects may be without
            annotation, length N.
        frequency: ``r``, ``c`` or ``f`` of each class, by its training images, length
            C; None where the file does not say.
    """

    negatives: tuple[tuple[int, ...], ...] = ()
    not_exhaustive: tuple[tuple[int, ...], ...] = ()
    frequency: tuple[str, ...] | None = None

    def _take(self, kept: Sequence[int]) -> Self:
        return replace(
            super()._take(kept),
            negatives=tuple(self.negatives[row] for row in kept),
            not_exhaustive=tuple(self.not_exhaustive[row] for row in kept),
        )

    @property
    def groups(self) -> dict[str, np.ndarray] | None:
        """Class indices by the name of the group, from the letters of the file."""
        if self.frequency is None:
            return None
        letters = np.asarray(self.frequency)
        members = {n: np.flatnonzero(letters == key) for key, n in _LETTERS.items()}
        return {name: indices for name, indices in members.items() if indices.size}

    def is_judged(self, detections: Detections) -> np.ndarray:
        """Tell which detections are of classes that their image was judged for, (D,).

        Those are the classes with an object there, and the negatives. LVIS never
        judges a detection without area.
        """
        objects = [(a["image_id"], a["category_id"]) for a in self.annotations]
        among = self._is_among(detections, [*objects, *_pairs(self.negatives)])
        places = np.flatnonzero(among)
        among[places] = detections.take(places).area > 0
        return among

    def is_unjudged_if_wrong(self, detections: Detections) -> np.ndarray:
        """Tell which detections may be right without an object that says so, (D,)."""
        return self._is_among(detections, _pairs(self.not_exhaustive))

    def _is_among(
        self, detections: Detections, pairs: Sequence[tuple[int, int]]
    ) -> np.ndarray:
        """Tell which detections have an image and class that are among the pairs."""
        num_classes = len(self.classes)
        wanted = np.asarray(pairs, np.int64).reshape(-1, 2) @ [num_classes, 1]
        keys = detections.image.astype(np.int64) * num_classes + detections.label
        return np.isin(keys, wanted)

    @classmethod
    def from_lvis(cls, source: Source, classes: Sequence[str] | None = None) -> Self:
        """Read an LVIS annotation file, v0.5 or v1.

        Objects without area are left out, as by LVIS's own toolkit.

        Args:
            source: The file or its content.
            classes: Names in the order of the labels; every category of the file, in
                its order, if None.

        Raises:
            ValueError: Images without the lists that make it federated, or what
                :meth:`GroundTruth.from_coco` refuses.
        """
        file = read_content(source)
        refuse_unfederated(file.content, file.source)
        fields = read_coco(file, classes, ("ignore",), by_place=True)
        of_id = {category["id"]: category for category in file.categories}
        ids = category_ids(file.content, fields[0], file.source, by_place=True)
        labels = {category: label for label, category in enumerate(ids)}
        by_id = {image["id"]: image for image in file.images}

        def lists(key: str) -> tuple[tuple[int, ...], ...]:
            return tuple(
                tuple(labels[c] for c in by_id[i][key] if c in labels)
                for i in fields[1]
            )

        objects = [annotation for annotation in fields[3] if annotation["area"] > 0]
        return cls(
            *fields[:3],
            objects,
            negatives=lists("neg_category_ids"),
            not_exhaustive=lists("not_exhaustive_category_ids"),
            frequency=_frequency([of_id[category] for category in ids]),
        )


def _pairs(lists: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    return [(row, label) for row, own in enumerate(lists) for label in own]


def _frequency(categories: Sequence[Mapping[str, Any]]) -> tuple[str, ...] | None:
    """Read the letters of the classes, None where no class has one."""
    letters = [category.get("frequency") for category in categories]
    return None if None in letters else tuple(map(str, letters))
