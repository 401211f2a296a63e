"""Who takes which object: detections choose in the order of their scores."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .matches import IGNORED, RIGHT, ranks_in
from .objects import Objects
from .overlaps import Pairs

__all__ = ["assign"]


def assign(
    pairs: Pairs,
    objects: Objects,
    ignored: np.ndarray,
    group: np.ndarray,
    unmatched: np.ndarray,
    needed: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Let the detections choose, in their order.

    Where all who could choose an object have no other choice, the first one has it at
    once. The rest take turns: the first of all images and classes together, then the
    second, and so on.

    Args:
        pairs: Detections with the objects that they could choose.
        objects: The objects, G of them.
        ignored: Which of them are nothing to find, bool (A, G), in A judgements.
        group: Among which detections each one has its turn, int (D,).
        unmatched: Verdict on a detection that gets nothing, int8 (A, T or 1, D).
        needed: Overlaps at which a detection may choose, (T,).

    Returns:
        Verdicts, int8 (A, T, D), and, of the first judgement, which detection has each
        object, -1 for none or a crowd, int32 (G, T).
    """
    shape = (len(ignored), len(needed), len(group))
    verdicts = np.empty(shape, np.int8)
    verdicts[:] = unmatched
    found_by = np.full((len(objects), len(needed)), -1, np.int32)
    pairs = pairs.take(pairs.overlap >= needed.min(initial=1))
    choices = np.bincount(pairs.ours, minlength=len(group))
    contested = np.zeros(len(objects), bool)
    contested[pairs.theirs[choices[pairs.ours] > 1]] = True
    in_turn = contested[pairs.theirs]
    _take_at_once(pairs.take(~in_turn), objects, ignored, needed, verdicts, found_by)
    if in_turn.any():
        rest = pairs.take(in_turn)
        _take_turns(rest, objects, ignored, group, needed, verdicts, found_by)
    return verdicts, found_by


def _take_at_once(
    pairs: Pairs,
    objects: Objects,
    ignored: np.ndarray,
    needed: np.ndarray,
    verdicts: np.ndarray,
    found_by: np.ndarray,
) -> None:
    """Give each object to the first detection that may have it, a crowd to all."""
    outcome = np.where(ignored, IGNORED, RIGHT)
    order = np.argsort(pairs.theirs, kind="stable")
    ours, theirs, overlap = pairs.take(order)
    heads = np.flatnonzero(np.diff(theirs, prepend=-1))
    place = np.arange(len(ours))
    for t, least in enumerate(needed):
        near = overlap >= least
        if not near.any():
            continue
        first = np.minimum.reduceat(np.where(near, place, len(place)), heads)
        first = first[first < len(place)]
        found_by[theirs[first], t] = ours[first]
        crowds = np.flatnonzero(near & objects.crowd[theirs])
        found_by[theirs[crowds], t] = -1
        chosen = np.concatenate([first, crowds])
        verdicts[:, t, ours[chosen]] = outcome[:, theirs[chosen]]


def _take_turns(
    pairs: Pairs,
    objects: Objects,
    ignored: np.ndarray,
    group: np.ndarray,
    needed: np.ndarray,
    verdicts: np.ndarray,
    found_by: np.ndarray,
) -> None:
    """Let the best detections of all groups choose, then the second ones, and so on."""
    judgements, overlaps = len(ignored), len(needed)
    needed = np.tile(needed, judgements)
    ignored = np.repeat(ignored, overlaps, axis=0).T
    columns = verdicts.reshape(len(needed), -1)
    taken = np.zeros((len(objects), len(needed)), bool)
    ours, heads, size = np.unique(pairs.ours, return_index=True, return_counts=True)
    rank = ranks_in(group[ours])
    in_turn = np.argsort(rank, kind="stable")
    turns = np.searchsorted(rank[in_turn], np.arange(rank.max() + 2))
    for begin, end in pairwise(turns.tolist()):
        now = in_turn[begin:end]
        starts = np.cumsum(size[now]) - size[now]
        own = np.arange(size[now].sum()) + np.repeat(heads[now] - starts, size[now])
        their, overlap = pairs.theirs[own], pairs.overlap[own, None]
        free = (overlap >= needed) & (~taken[their] | objects.crowd[their, None])
        spare = ignored[their]
        chosen = _choose(free & ~spare, overlap, starts)
        for choice, verdict in (
            (chosen, RIGHT),
            (np.where(chosen < 0, _choose(free & spare, overlap, starts), -1), IGNORED),
        ):
            which, column = np.nonzero(choice >= 0)
            theirs, finder = their[choice[which, column]], ours[now[which]]
            columns[column, finder] = verdict
            taken[theirs, column] = True
            first = (column < overlaps) & ~objects.crowd[theirs]
            found_by[theirs[first], column[first]] = finder[first]


def _choose(allowed: np.ndarray, overlap: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """Return the pair of largest overlap for each detection, -1 for none.

    Args:
        allowed: Pairs that may be chosen, (P, T).
        overlap: Of each pair, (P, 1).
        heads: First pair of each detection, (n,).

    Returns:
        Indices of pairs, the last one of equal overlaps, (n, T).
    """
    if not allowed.any():
        return np.full((len(heads), allowed.shape[1]), -1)
    values = np.where(allowed, overlap, -1.0)
    best = np.maximum.reduceat(values, heads)
    counts = np.diff(np.append(heads, len(values)))
    is_best = allowed & (values == np.repeat(best, counts, axis=0))
    number = np.arange(len(values))[:, None]
    return np.maximum.reduceat(np.where(is_best, number, -1), heads)
