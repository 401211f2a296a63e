"""Moves and swaps of groups that bring the shares of the classes nearer."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csc_matrix

from .problem import SplitProblem

__all__ = ["LocalSearch"]

_ABSENT = 1e8  # of the cost of an error of 100 %: no error outweighs it
_FAR = 10.0  # relative error from which on the cost grows as a logarithm
_ROUNDING = 1e-15  # of a change that is taken back
_ENOUGH = 1e-3  # relative error that is not worked on
_TOTAL = 10.0  # weight of the error of all images
_SAMPLE = 400  # groups that are tried at once
_FIRST = 6  # moves that are tried as the first one of two


class LocalSearch:
    r"""Improves a split by the worst share, one or two moves at a time.

    .. math:: \sum_{p, l} \left|\frac{x_{pl}}{s_p n_l} - 1\right|^q

    with :math:`x_{pl}` of the :math:`n_l` images or boxes of a class in a part of
    share :math:`s_p`, is lowered, and before it what parts are without, see
    :meth:`~.parts.Parts.absence`. Errors beyond 1000 %, which small shares of a few
    images have in any case, count by their logarithm: else a part would be left without
    a class for them. Starting from the largest term, groups that hold the
    class are moved to where it is wanted; where no move helps, two are tried, the
    second of any group. What cannot be improved is left until something else moves.

    Args:
        problem: What is to be shared.
        part_of: Part of each group, int (G,); it is not changed.
        rng: Chooses the groups that are tried, where there are many.
        power: Exponent q. The larger, the more the worst share counts.
    """

    def __init__(
        self,
        problem: SplitProblem,
        part_of: np.ndarray,
        rng: np.random.Generator,
        power: float = 4,
    ) -> None:
        self.part_of = part_of.copy()
        self.rng, self.power = rng, power
        counts = problem.counts
        self._start, self._columns, self._amounts = (
            counts.indptr,
            counts.indices,
            counts.data,
        )
        by_column = csc_matrix(counts)
        self._column_start, self._groups = by_column.indptr, by_column.indices
        self._sums = problem.sums(self.part_of)
        self._targets = np.where(problem.targets > 0, problem.targets, 1)
        # Where a class is in one group, its shares are what they are.
        fixed = np.asarray(counts.getnnz(0) < 2)
        self._weight = np.where(fixed, 0.0, 1.0)
        self._weight[0] = _TOTAL
        self._absence = np.zeros_like(self._targets)
        self._absence[:, problem.class_images] = _ABSENT * problem.absence
        self._absence[:, np.asarray(counts.getnnz(0)) == 0] = 0
        everything = np.arange(self._sums.shape[1])
        self._costs = np.stack(
            [self._cost(p, everything, x) for p, x in enumerate(self._sums)]
        )

    @property
    def cost(self) -> float:
        """Sum over parts and columns."""
        return float(self._costs.sum())

    def run(self, max_steps: int, bar: Any = None) -> None:
        """Improve until nothing helps any more.

        Args:
            max_steps: Largest number of steps, each of which works on one share.
            bar: Progress bar of ``tqdm``. Default: none.
        """
        is_open = np.ones_like(self._costs, bool)
        least = _ENOUGH**self.power
        for _ in range(max_steps):
            # Counts are whole: what is nearer than one half cannot get nearer.
            can_change = np.abs(self._sums - self._targets) > 0.5
            can_change |= (self._sums < 0.5) & (self._absence > 0)
            costs = np.where(is_open & can_change, self._costs, -1)
            part, column = np.unravel_index(int(costs.argmax()), costs.shape)
            if costs[part, column] <= least:
                break
            touched = self._improve(int(part), int(column))
            is_open[part, column] = False
            if len(touched):
                is_open[:, touched] = True
            if bar is not None:
                bar.update()

    def _improve(self, part: int, column: int) -> np.ndarray:
        """Work on one share; return the columns that moves have changed."""
        groups = self._groups[self._column_start[column] :][
            : self._column_start[column + 1] - self._column_start[column]
        ]
        is_in = self.part_of[groups] == part
        is_too_much = self._sums[part, column] > self._targets[part, column]
        rows = self._some(groups[is_in if is_too_much else ~is_in])
        if not len(rows):
            return rows
        changes = self._changes(rows)
        if not is_too_much:
            changes[:, np.arange(changes.shape[1]) != part] = np.inf
        order = np.argsort(changes, axis=None, kind="stable")[:_FIRST]
        best = [np.unravel_index(int(i), changes.shape) for i in order]
        row, target = best[0]
        if changes[row, target] < -self._slack:
            return self._move(int(rows[row]), int(target))
        others = self._some(np.arange(len(self.part_of)))
        for row, target in best:
            if not np.isfinite(changes[row, target]):
                break
            group, home = int(rows[row]), int(self.part_of[rows[row]])
            touched = self._move(group, int(target))
            second = self._changes(others)
            second[others == group] = np.inf
            place = np.unravel_index(int(second.argmin()), second.shape)
            rounding = _ROUNDING * abs(changes[row, target])
            if changes[row, target] + second[place] < -self._slack - rounding:
                other = self._move(int(others[place[0]]), int(place[1]))
                return np.union1d(touched, other)
            self._move(group, home)
        return rows[:0]

    @property
    def _slack(self) -> float:
        """Change of the cost of errors that may be nothing but rounding."""
        # What a part is without has an error of 1.
        errors = np.where(self._sums < 0.5, self._weight, self._costs)
        return 1e-12 * max(1.0, float(errors.sum()))

    def _some(self, groups: np.ndarray) -> np.ndarray:
        """Return all of them, or as many as are tried at once."""
        if len(groups) <= _SAMPLE:
            return groups
        return groups[self.rng.choice(len(groups), _SAMPLE, replace=False)]

    def _cost(self, part: Any, columns: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """Return the terms of some sums; parts one for each, or one for all."""
        error = np.abs(sums / self._targets[part, columns] - 1)
        beyond = np.log(np.maximum(error / _FAR, 1))
        cost = np.minimum(error, _FAR) ** self.power * (1 + self.power * beyond)
        cost *= self._weight[columns]
        return np.asarray(cost + self._absence[part, columns] * (sums < 0.5))

    def _changes(self, rows: np.ndarray) -> np.ndarray:
        """Return what the cost changes by where a group moves to a part, (k, P).

        It is infinite for the part where the group is.
        """
        length = self._start[rows + 1] - self._start[rows]
        ends = np.cumsum(length)
        first = ends - length
        flat = np.repeat(self._start[rows] - first, length) + np.arange(ends[-1])
        columns, amounts = self._columns[flat], self._amounts[flat]
        home = np.repeat(self.part_of[rows], length)
        without = self._cost(home, columns, self._sums[home, columns] - amounts)
        away = np.add.reduceat(without - self._costs[home, columns], first)
        changes = np.empty((len(rows), len(self._sums)))
        for part, sums in enumerate(self._sums):
            more = self._cost(part, columns, sums[columns] + amounts)
            changes[:, part] = away + np.add.reduceat(
                more - self._costs[part, columns], first
            )
        changes[np.arange(len(rows)), self.part_of[rows]] = np.inf
        return changes

    def _move(self, group: int, part: int) -> np.ndarray:
        """Move a group; return its columns."""
        own = slice(self._start[group], self._start[group + 1])
        columns, amounts = self._columns[own], self._amounts[own]
        home = int(self.part_of[group])
        self._sums[home, columns] -= amounts
        self._sums[part, columns] += amounts
        for each in (home, part):
            self._costs[each, columns] = self._cost(
                each, columns, self._sums[each, columns]
            )
        self.part_of[group] = part
        return columns
