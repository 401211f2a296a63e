"""What the doctor checks of configs and models, beside :mod:`imb_det.checks`."""

from __future__ import annotations

from imb_det.core.check_context import Check

#: In the order in which findings of equal severity are told.
CONFIG_CHECKS: tuple[Check, ...] = ()

__all__ = ["CONFIG_CHECKS"]
