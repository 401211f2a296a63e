"""From what is to be shared to the best split that is found."""

from __future__ import annotations

from typing import Any

import numpy as np
from tqdm import tqdm

from .coverage import covering_parts
from .iterative_start import iterative_split
from .local_search import LocalSearch
from .problem import SplitProblem

__all__ = ["stratify"]

_STEPS = 6000  # of one search
_SMALL = 3000  # groups up to which several starts are compared
_STARTS = 16  # of two parts; the more parts, the fewer
_SHOWN_FROM = 5000  # groups; fewer are done in seconds


def stratify(problem: SplitProblem, seed: int = 0) -> np.ndarray:
    """Share groups of images among parts, so that each class has its shares.

    Iterative stratification is improved by moves and swaps, first of all where a part
    is without a class. Of small sets several splits are made, and the best is taken.

    Args:
        problem: What is shared. The same groups in the same order give the same split.
        seed: Of all that is left to chance. Default: 0.

    Returns:
        Part of each group, int64 (G,).
    """
    num_groups = problem.counts.shape[0]
    starts = 1
    if num_groups <= _SMALL:
        starts = max(1, _STARTS // len(problem.parts.names))
    covering: dict[int, int] | None = None
    best = (np.inf, np.zeros(num_groups, np.int64))
    for number in range(starts):
        rng = np.random.default_rng([seed, number])
        with _bar("placing", num_groups) as bar:
            search = LocalSearch(problem, iterative_split(problem, rng, bar), rng)
        with _bar("balancing", num_groups) as bar:
            search.run(_STEPS, bar)
            lacking = problem.absence_of(search.part_of)
            if lacking > problem.parts.least_absence(problem.groups_with):
                if covering is None:
                    covering = covering_parts(problem)
                covered = search.part_of.copy()
                covered[list(covering)] = list(covering.values())
                again = LocalSearch(problem, covered, rng)
                again.run(_STEPS, bar)
                search = min(search, again, key=lambda each: each.cost)
        if search.cost < best[0]:
            best = search.cost, search.part_of
    return best[1]


def _bar(what: str, num_groups: int) -> Any:
    """Return a progress bar, of groups or steps."""
    total, unit = (num_groups, "group") if what == "placing" else (None, "step")
    is_quick = num_groups < _SHOWN_FROM
    return tqdm(total=total, desc=what, unit=unit, leave=False, disable=is_quick)
