"""Multipliers of an augmented Lagrangian over the course of a training."""

from __future__ import annotations

from typing import Any

import numpy as np

from imb_det.losses.cals_loss import START_MULTIPLIER

__all__ = ["Multipliers"]


class Multipliers:
    r"""Multipliers of the classes and factors of their penalties.

    .. math:: \lambda_c \leftarrow \frac{1}{n} \sum_i \mathrm{clip}\left(
              P'(h_{ic}; \lambda_c, \rho_c), \lambda_{min}, \lambda_{max}\right), \qquad
              \rho_c \leftarrow \min(\gamma \rho_c, \rho_{max}) \text{ where }
              \bar h_c > \tau \max(\bar h_c^{old}, 0)

    over n held-out rows: a class whose constraint :math:`h \le 0` is broken, and hardly
    less than the time before, is held back more.

    Args:
        outputs: K, classes and background.
        multiplier_range: :math:`\lambda_{min}`, at which all start, and
            :math:`\lambda_{max}`. Default (1e-6, 1e6).
        rho_range: :math:`\rho` at the start, and :math:`\rho_{max}`. Default (1, 10).
        rho_factor: :math:`\gamma`, >= 1. Default 1.2.
        progress: :math:`\tau`, in [0, 1]. Default 0.9.

    Attributes:
        multiplier: :math:`\lambda`, float64 (K,).
        rho: :math:`\rho`, float64 (K,).
        constraint: Mean h of the last update, float64 (K,); NaN before.
        updates: How many there were.
    """

    def __init__(
        self,
        outputs: int,
        multiplier_range: tuple[float, float] = (START_MULTIPLIER, 1e6),
        rho_range: tuple[float, float] = (1.0, 10.0),
        rho_factor: float = 1.2,
        progress: float = 0.9,
    ) -> None:
        self.multiplier_range, self.rho_range = multiplier_range, rho_range
        self.rho_factor, self.progress = rho_factor, progress
        self.multiplier: np.ndarray = np.full(outputs, float(multiplier_range[0]))
        self.rho: np.ndarray = np.full(outputs, float(rho_range[0]))
        self.constraint: np.ndarray = np.full(outputs, np.nan)
        self.updates = 0

    def update(self, slope: np.ndarray, constraint: np.ndarray, with_rho: bool) -> None:
        r"""Take new means of held-out rows in.

        Args:
            slope: Mean derivative of the penalty by h, each clipped, (K,).
            constraint: Mean h, (K,).
            with_rho: Whether it is time to change :math:`\rho`, which needs an update
                before.
        """
        if with_rho and self.updates:
            slow = constraint > self.progress * self.constraint.clip(min=0)
            raised = np.where(slow, self.rho_factor * self.rho, self.rho)
            self.rho = raised.clip(*self.rho_range)
        self.multiplier = slope.clip(*self.multiplier_range)
        self.constraint = constraint
        self.updates += 1

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, as written to checkpoints."""
        return {
            "multiplier": self.multiplier.tolist(),
            "rho": self.rho.tolist(),
            "constraint": self.constraint.tolist() if self.updates else None,
            "updates": self.updates,
        }

    def load_dict(self, content: dict[str, Any]) -> None:
        """Continue from :meth:`to_dict`'s form.

        Raises:
            ValueError: It is about another number of classes.
        """
        given = content["multiplier"]
        if len(given) != len(self.multiplier):
            raise ValueError(
                f"the checkpoint has multipliers of {len(given) - 1} classes and "
                f"background, but the training set has {len(self.multiplier) - 1} "
                "classes"
            )
        self.multiplier = np.array(given, float)
        self.rho = np.array(content["rho"], float)
        self.updates = int(content["updates"])
        if content["constraint"] is not None:
            self.constraint = np.array(content["constraint"], float)
