"""A first split, by iterative stratification."""

from __future__ import annotations

import heapq
from collections import defaultdict
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
    labels_of: list[list[Any]] = []
    amounts: list[list[float]] = []
    groups_of: dict[Any, list[int]] = defaultdict(list)
    total: dict[Any, float] = defaultdict(float)
    for group in range(num_groups):
        where = slice(start[group], start[group + 1])
        own, many = flat[where], amount[where].tolist()
        labels: list[Any] = list(own)
        if 2 <= len(own) <= _MOST:
            labels += combinations(own, 2)
            many += map(min, combinations(many, 2))
        for label, number in zip(labels, many, strict=True):
            groups_of[label].append(group)
            total[label] += number
        labels_of.append(labels)
        amounts.append(many)
    need = {label: [s * sum_ for s in shares] for label, sum_ in total.items()}
    need_all = [s * float(size.sum()) for s in shares]
    left = {label: len(groups) for label, groups in groups_of.items()}
    chance = rng.random(num_groups)
    ranked = np.lexsort((chance, -size)).tolist()  # the largest first
    rank = np.empty(num_groups, np.int64)
    rank[ranked] = np.arange(num_groups)
    part_of = np.full(num_groups, -1)
    tie = rng.random((num_groups, num_parts))

    def place(group: int, label: Any) -> None:
        own = [need[x] for x in labels_of[group] if isinstance(x, int)]
        first = need_all if label is None else need[label]
        part = max(
            range(num_parts),
            key=lambda p: (
                first[p],
                sum(n[p] for n in own),
                need_all[p],
                tie[group, p],
            ),
        )
        part_of[group] = part
        if bar is not None:
            bar.update()
        need_all[part] -= float(size[group])
        for other, number in zip(labels_of[group], amounts[group], strict=True):
            need[other][part] -= number
            left[other] -= 1
            if left[other]:
                heapq.heappush(heap, (left[other], _order(other), other))

    heap = [(number, _order(label), label) for label, number in left.items()]
    heapq.heapify(heap)
    while heap:
        number, _, label = heapq.heappop(heap)
        if number != left[label] or not number:
            continue  # an older entry
        for group in sorted(groups_of[label], key=rank.__getitem__):
            if part_of[group] < 0:
                place(group, label)
    for group in ranked:  # images without an object
        if part_of[group] < 0:
            place(group, None)
    return part_of


def _order(label: Any) -> tuple[int, ...]:
    """Sort pairs before classes that are as rare, as they are the more special."""
    return (1, label) if isinstance(label, int) else (0, *label)
