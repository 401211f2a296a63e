"""Classes in training and validation, where moves one by one do not get them there."""

from __future__ import annotations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_matrix, csr_matrix

from .problem import SplitProblem

__all__ = ["covering_parts"]

_FEW = 20  # groups of a class up to which it counts as one that may get lost
_NODES = 2000  # of the tree of cases: a bound that does not depend on the machine
_MOST = 200_000  # entries of the matrix, beyond which it would take minutes


def covering_parts(problem: SplitProblem) -> dict[int, int]:
    r"""Return parts for the groups of rare classes, so that as little as can be lacks.

    For classes in few groups, it solves for the parts of these groups

    .. math:: \min \sum_{p, c} a_{pc} u_{pc} \quad\text{with}\quad
              \sum_{g \ni c} x_{gp} + u_{pc} \ge 1, \quad \sum_p x_{gp} = 1,

    x being 0 or 1, and a the numbers of :meth:`~.parts.Parts.absence`. Images that
    hold several rare classes can make it impossible to have each of them everywhere:
    three images that share three classes by twos leave one class out of one part.

    Args:
        problem: What is shared.

    Returns:
        Part by group. It is empty where there are too many groups, or nothing is found
        in the time that it may take.
    """
    number = problem.groups_with
    chosen = (number > 0) & (number <= _FEW)
    holds = problem.counts[:, problem.class_images][:, np.flatnonzero(chosen)]
    groups = np.flatnonzero(holds.getnnz(1))
    holds = csr_matrix(holds[groups])
    if not 0 < holds.nnz * len(problem.parts.names) <= _MOST:
        return {}
    cost = problem.absence[:, chosen]
    solved = _solve(holds, cost / cost.max())
    return {} if solved is None else dict(zip(groups.tolist(), solved, strict=True))


def _solve(holds: csr_matrix, cost: np.ndarray) -> list[int] | None:
    """Return the part of each group, None where none is found."""
    (num_groups, num_classes), num_parts = holds.shape, len(cost)
    group, label = holds.nonzero()
    many = num_parts * num_classes
    first_u = num_parts * num_groups  # x come first, by part and group, then u
    part = np.repeat(np.arange(num_parts), len(group))
    rows = part * num_classes + np.tile(label, num_parts)
    columns = part * num_groups + np.tile(group, num_parts)
    rows = np.concatenate([rows, np.arange(many)])
    columns = np.concatenate([columns, first_u + np.arange(many)])
    shape = (many, first_u + many)
    covers = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)
    own = np.tile(np.arange(num_groups), num_parts)
    once = coo_matrix(
        (np.ones(first_u), (own, np.arange(first_u))), shape=(num_groups, shape[1])
    )
    found = milp(
        np.concatenate([np.zeros(first_u), cost.ravel()]),
        integrality=np.concatenate([np.ones(first_u), np.zeros(many)]),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(covers.tocsr(), 1, np.inf),
            LinearConstraint(once.tocsr(), 1, 1),
        ],
        options={"node_limit": _NODES, "mip_rel_gap": 1e-9},
    )
    if found.x is None:
        return None
    shares = found.x[:first_u].reshape(num_parts, num_groups)
    parts: list[int] = shares.argmax(0).tolist()
    return parts
