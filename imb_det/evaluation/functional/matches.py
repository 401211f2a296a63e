"""Verdicts on detections, from which every figure follows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["IGNORED", "RIGHT", "WRONG", "Judgement", "Matches", "best_in", "ranks_in"]

#: Verdicts on a detection.
WRONG, RIGHT, IGNORED = 0, 1, -1


@dataclass(frozen=True, eq=False)
class Matches:
    """Verdicts, class after class, with the best scores of a class first.

    Args:
        image: Row of the image of each detection, int32 (D,).
        label: Its class index, int32 (D,), ascending.
        score: Its score, float64 (D,), descending in each class.
        verdict: :data:`RIGHT`, :data:`WRONG` or :data:`IGNORED` at each overlap, int8
            (D, T).
        object_image: Row of the image of each object to find, (G,).
        object_label: Its class index, (G,).
        num_images: Number of images.
        num_classes: Number of classes.
        named: Whether the best detection of each of these objects has its class, bool
            (G,), see :func:`.named_right`; None where nobody has asked.
    """

    image: np.ndarray
    label: np.ndarray
    score: np.ndarray
    verdict: np.ndarray
    object_image: np.ndarray
    object_label: np.ndarray
    num_images: int
    num_classes: int
    named: np.ndarray | None = None

    @property
    def object_count(self) -> np.ndarray:
        """Objects to find, by class, int64 (C,)."""
        return np.bincount(self.object_label, minlength=self.num_classes)

    def of_class(self, label: int) -> Matches:
        """Select one class."""
        ends = np.searchsorted(self.label, [label, label + 1])
        objects = self.object_label == label
        return replace(
            self._take(slice(*ends)),
            object_image=self.object_image[objects],
            object_label=self.object_label[objects],
            named=None if self.named is None else self.named[objects],
        )

    def best(self, most: int) -> Matches:
        """Keep the best detections of each class in each image.

        Args:
            most: How many, >= 1.
        """
        group = self.label.astype(np.int64) * self.num_images + self.image
        chosen = best_in(group, most)
        return self if isinstance(chosen, slice) else self._take(chosen)

    def _take(self, index: np.ndarray | slice) -> Matches:
        return replace(
            self,
            image=self.image[index],
            label=self.label[index],
            score=self.score[index],
            verdict=self.verdict[index],
        )


@dataclass(frozen=True, eq=False)
class Judgement:
    """What one matching has found.

    Args:
        iou_thrs: Overlaps at which a detection is right, (T,).
        by_area: Verdicts for all objects, and for those of each range of areas if they
            are wanted, length A; the detections are the same.
        index: Place of each of them among the detections that were given, int64 (D,).
        found_by: Which of them has found an object, row in ``by_area[0]``; -1 for
            none; of the objects to find there, int32 (G, T).
        to_find: Rows of these objects among the annotations, int64 (G,).
    """

    iou_thrs: np.ndarray
    by_area: tuple[Matches, ...]
    index: np.ndarray
    found_by: np.ndarray
    to_find: np.ndarray

    @property
    def whole(self) -> Matches:
        """Verdicts for objects of all areas."""
        return self.by_area[0]

    def column(self, iou_thr: float) -> int:
        """Return the index of an overlap.

        Raises:
            ValueError: It is not among those that were judged.
        """
        places = np.flatnonzero(np.isclose(self.iou_thrs, iou_thr))
        if not places.size:
            raise ValueError(
                f"an overlap of {iou_thr:g} was not judged, only "
                f"{np.round(self.iou_thrs, 4).tolist()}"
            )
        return int(places[0])


def best_in(
    group: np.ndarray, most: int | None, score: np.ndarray | None = None
) -> np.ndarray | slice:
    """Select the best ones of each group, the first ones of equal scores.

    Args:
        group: What each belongs to, whole numbers >= 0, (D,).
        most: How many of a group, >= 1; all if None.
        score: By which they are good, (D,); None where the best come first. Default:
            None.

    Returns:
        What selects them: bool (D,), or a slice where that is all.
    """
    if most is None or len(group) <= most:
        return slice(None)
    is_dense = group.max() < 8 * len(group)
    if is_dense and np.bincount(group).max() <= most:
        return slice(None)
    rank = ranks_in(group, score)
    return rank < most if rank.max() >= most else slice(None)


def ranks_in(group: np.ndarray, score: np.ndarray | None = None) -> np.ndarray:
    """Number what belongs together from 0, the best first, int64 (D,)."""
    order = (
        np.argsort(group, kind="stable")
        if score is None
        else np.lexsort((-score, group))
    )
    first = np.flatnonzero(np.diff(group[order], prepend=-1))
    size = np.diff(np.append(first, len(group)))
    rank = np.empty(len(group), np.int64)
    rank[order] = np.arange(len(group)) - np.repeat(first, size)
    return rank
