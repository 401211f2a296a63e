"""Whether training sees the labels of a data set, or its pipeline hides them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .class_maps import is_class_map, map_step
from .dataset_access import steps_of
from .segments import first_record

__all__ = ["hides_labels", "shows_labels"]


def shows_labels(leaf: Any) -> bool | None:
    """Tell what a data set's pipeline does with boxes and their labels.

    ``LoadAnnotations`` shows them, unless ``with_bbox`` or ``with_label`` is off;
    ``LoadEmptyAnnotations``, as unlabelled images of semi-supervised trainings have it,
    hides them; the later one counts. With ``MultiBranch`` and other alternatives they
    are shown if one of them shows them. What later steps take away by chance or by
    size, as crops and ``FilterAnnotations`` do, is another matter: it differs from
    epoch to epoch.

    Args:
        leaf: Built data set with annotations, no wrapper.

    Returns:
        None where it is not known, as no step is one of these two: steps of one's own
        may read the annotations.
    """
    return _after(getattr(leaf, "pipeline", None), None)


def hides_labels(leaf: Any) -> bool:
    """Tell whether a data set's pipeline is known to hide its labels.

    The labels of a semantic set are its maps, beside which no boxes are loaded.
    """
    if not is_class_map(first_record(leaf)):
        return shows_labels(leaf) is False
    steps = steps_of(getattr(leaf, "pipeline", None))
    return map_step(leaf) is None and any(hasattr(step, "with_seg") for step in steps)


def _after(step: Any, shown: bool | None) -> bool | None:
    """Tell whether labels are there after a step, told whether they were before."""
    names = {kind.__name__ for kind in type(step).__mro__}
    both = all(getattr(step, key, True) for key in ("with_bbox", "with_label"))
    if "LoadEmptyAnnotations" in names:
        return False if both else shown
    if "LoadAnnotations" in names:
        return both or bool(shown)
    branches = getattr(step, "branch_pipelines", None)
    if isinstance(branches, Mapping):
        return _any_of(_after(branch, shown) for branch in branches.values())
    if isinstance(step, (list, tuple)):
        for part in step:
            shown = _after(part, shown)
        return shown
    inner = getattr(step, "transforms", None)
    if "RandomChoice" in names:
        return _any_of(_after(part, shown) for part in inner or ())
    if "RandomApply" in names:
        return _any_of([shown, _after(inner, shown)])
    return shown if inner is None else _after(inner, shown)


def _any_of(outcomes: Iterable[bool | None]) -> bool | None:
    """Join what is known of alternatives."""
    found = set(outcomes)
    return True if True in found else False if False in found else None
