"""Score thresholds by class, from the share of foreground and the class counts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from imb_det.statistics import ClassStats
from imb_det.statistics.exact_buffers import ExactBuffers

__all__ = ["ClassThresholds"]


class ClassThresholds(ExactBuffers):
    r"""Class-adaptive score thresholds of a head.

    .. math:: \theta_c = \frac{N_f}{N} \frac{n_c}{\sum_k n_k}

    where N_f of N candidates are positive and n_c training boxes have class c: a class
    is kept from the score on that it would have everywhere without any evidence. All
    of it is in buffers, so that a checkpoint brings it along.

    N_f and N are set once (``PriorInitHook`` does it for dense heads) or added up in
    training (RoI heads); the class counts come from ``ImbalanceHook``.

    Args:
        num_classes: C, >= 1.

    Source: Chen et al., "Is Heuristic Sampling Necessary in Training Deep Object
    Detectors?", IEEE TIP 2021, class-adaptive threshold. The authors' public code has
    constants in its place.
    """

    num_candidates: Tensor
    num_instances: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        # Of all counts a double holds the sum exactly, longer than anyone trains.
        zeros = torch.zeros(2, dtype=torch.float64)
        self.register_buffer("num_candidates", zeros)  # positive, all
        counts = torch.zeros(num_classes, dtype=torch.long)
        self.register_buffer("num_instances", counts)

    def set_class_stats(self, stats: ClassStats) -> None:
        """Take the number of training boxes of every class.

        Raises:
            ValueError: Counts of another number of classes.
        """
        if stats.num_classes != len(self.num_instances):
            raise ValueError(
                f"`adaptive_thr=True` in a head of {len(self.num_instances)} classes, "
                f"but the data set has {stats.num_classes}; leave it out of a head "
                "that makes proposals"
            )
        self.num_instances.copy_(torch.tensor(stats.instance_count))

    def set_candidates(self, num_foreground: float, num_candidates: float) -> None:
        """Set N_f and N."""
        self.num_candidates.zero_()
        self.add_candidates(num_foreground, num_candidates)

    def add_candidates(
        self, num_foreground: float | Tensor, num_candidates: float | Tensor
    ) -> None:
        """Add the candidates of one iteration to N_f and N."""
        self.num_candidates[0] += num_foreground
        self.num_candidates[1] += num_candidates

    def forward(self) -> Tensor:
        """Return the thresholds, (C,), in [0, 1].

        Raises:
            RuntimeError: The counts are not there: no training has brought them.
        """
        of_classes = self.num_instances / self.num_instances.sum()
        thresholds = self.num_candidates[0] / self.num_candidates[1] * of_classes
        if not thresholds.isfinite().all():
            raise RuntimeError(
                "`adaptive_thr=True` needs counts of candidates and classes, which "
                "training brings and checkpoints carry: train with "
                "`dict(type='imb_det.ImbalanceHook')` and, for dense heads, "
                "`dict(type='imb_det.PriorInitHook')` in `custom_hooks`, or set "
                "`adaptive_thr=False` to predict with `test_cfg.score_thr`"
            )
        return thresholds.float()

    def in_place_of_number(self, cfg: Any, repeats: int | None = None) -> Any:
        """Return a copy of ``test_cfg`` with the thresholds as its ``score_thr``.

        Args:
            cfg: With a number as ``score_thr``; it is left alone.
            repeats: Rows of scores that are compared as one flat tensor, row by row.
                None, the default: scores are compared as (rows, C).
        """
        thresholds = self()
        if repeats is not None:
            thresholds = thresholds.repeat(repeats)
        changed = cfg.copy()
        changed["score_thr"] = thresholds
        return changed
