"""Image files of all data sets."""

from __future__ import annotations

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding
from imb_det.datasets.image_check import inspect_images

__all__ = ["check_images"]


def check_images(context: CheckContext) -> list[Finding]:
    """Find image files that are missing, damaged or of another size than annotated.

    Args:
        context: With data sets, unless images are not to be looked at.
    """
    if not context.look_at_images:
        return []
    return inspect_images(context.datasets.values())[1]
