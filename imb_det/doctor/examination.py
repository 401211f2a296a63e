"""The whole examination of a config."""

from __future__ import annotations

from typing import Any

from imb_det.checks import ALL_CHECKS, run_checks
from imb_det.core.finding import Finding

from .building import build_context
from .config_checks import CONFIG_CHECKS
from .context import DoctorContext
from .data_checks import DATA_CHECKS

__all__ = ["examine"]


def examine(
    config: Any, config_file: str = "", look_at_images: bool = True
) -> tuple[DoctorContext, list[Finding]]:
    """Build the parts of a config, without training, and run all checks on them.

    Args:
        config: Config (:class:`mmengine.config.Config`).
        config_file: Its path, for messages. Default: unknown.
        look_at_images: Whether image files are opened. Default: True.

    Returns:
        The parts that could be built, and all findings, each once.
    """
    context, found = build_context(config, config_file, look_at_images)
    found += run_checks(context, (*ALL_CHECKS, *DATA_CHECKS, *CONFIG_CHECKS))
    return context, list(dict.fromkeys(found))
