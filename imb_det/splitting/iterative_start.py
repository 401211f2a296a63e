"""A first split, by iterative stratification."""

from __future__ import annotations

import heapq
from itertools import combinations
from typing import Any

import numpy as np

from .problem import SplitProblem

__all__ = ["iterative_split"]

_MOST = 12  # classes of a group whose pairs count; of many, pairs say little


def iterative_split(
    problem: SplitProblem, rng: np.random.Generator, bar: Any = None
) -> np.ndarray:
    """Share the groups out, those of the rarest classes and pairs of classes first.

    What is rarest among the groups that are left, a class or two classes that come
    together, is shared out next, the largest of its groups first. A group goes to the
    part that still needs most images of it; of several, to the part that needs most
    images of the group's classes, then most images at all, then by chance.

    Args:
        problem: What is to be shared.
        rng: Decides where parts are equally in need.
        bar: Progress bar of ``tqdm`` over the groups. Default: none.

    Returns:
        Part of each group, int64 (G,).

    Source: Sechidis, Tsoumakas, Vlahavas, "On the Stratification of Multi-Label Data",
    ECML PKDD 2011, algorithm 1; pairs as in Szymanski and Kajdanowicz, "A Network
    Perspective on Stratification of Multi-Label Data", 2017, algorithm 1. Groups of
    several images are our own: both sources place single ones.
    """
    images = problem.counts[:, problem.class_images]
    size = np.asarray(problem.counts[:, 0].todense()).ravel()
    shares = problem.parts.shares
    num_groups, num_parts = len(size), len(shares)
    start, flat, amount = images.indptr.tolist(), images.indices.tolist(), images.data
    pairs = sorted(
        {
            pair
            for group in range(num_groups)
            for pair in _pairs(flat[start[group] : start[group + 1]])
        }
    )
    number_of = {pair: number for number, pair in enumerate(pairs)}
    # Pairs first: of what is equally rare, they are the more special.
    first_class = len(pairs)
    num_labels = first_class + images.shape[1]
    labels_of: list[list[int]] = []
    amounts: list[list[float]] = []
    groups_of: list[list[int]] = [[] for _ in range(num_labels)]
    total = [0.0] * num_labels
    for group in range(num_groups):
        where = slice(start[group], start[group + 1])
        own, many = flat[where], amount[where].tolist()
        labels = [first_class + label for label in own]
        if some := _pairs(own):
            labels += [number_of[pair] for pair in some]
            many += map(min, combinations(many, 2))
        for label, number in zip(labels, many, strict=True):
            groups_of[label].append(group)
            total[label] += number
        labels_of.append(labels)
        amounts.append(many)
    need = [[share * number for share in shares] for number in total]
    need_all = [share * float(size.sum()) for share in shares]
    left = list(map(len, groups_of))
    chance = rng.random(num_groups)
    ranked = np.lexsort((chance, -size)).tolist()  # the largest first
    rank = np.empty(num_groups, np.int64)
    rank[ranked] = np.arange(num_groups)
    part_of = np.full(num_groups, -1)
    tie = rng.random((num_groups, num_parts))
    heap = [(number, label) for label, number in enumerate(left) if number]
    heapq.heapify(heap)

    def place(group: int, first: list[float]) -> None:
        own = [need[label] for label in labels_of[group] if label >= first_class]
        part = max(
            range(num_parts),
            key=lambda p: (
                first[p],
                sum(number[p] for number in own),
                need_all[p],
                tie[group, p],
            ),
        )
        part_of[group] = part
        if bar is not None:
            bar.update()
        need_all[part] -= float(size[group])
        for label, number in zip(labels_of[group], amounts[group], strict=True):
            need[label][part] -= number
            left[label] -= 1
            if left[label]:
                heapq.heappush(heap, (left[label], label))

    while heap:
        number, label = heapq.heappop(heap)
        if number != left[label]:
            continue  # an older entry
        for group in sorted(groups_of[label], key=rank.__getitem__):
            if part_of[group] < 0:
                place(group, need[label])
    for group in ranked:  # images without an object
        if part_of[group] < 0:
            place(group, need_all)
    return part_of


def _pairs(own: list[int]) -> list[tuple[int, int]]:
    """Return the pairs of the classes of a group that count."""
    return list(combinations(own, 2)) if len(own) <= _MOST else []
