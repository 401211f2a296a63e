"""Steps of the training pipeline that do nothing where they stand."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from mmdet.datasets.transforms import PackDetInputs
from mmengine.dataset import Compose

from imb_det.core.finding import Finding, Severity, refusal
from imb_det.doctor.context import DoctorContext
from imb_det.runner_parts import transforms_of
from imb_det.statistics.dataset_access import leaf_datasets

from .seen_changes import Seen, changed

__all__ = ["check_idle_steps"]

#: Records that go through the pipeline.
_RECORDS = 32
#: Steps that bring images to a size which they may have already.
_SIZES = ("Resize", "FixShapeResize", "Pad")
#: Words in the names of steps that are there for what they read or pack.
_NEEDED = ("Load", "Pack", "Format", "Collect", "ToTensor", "Filter")
_ORDER = (
    "Write `LoadImageFromFile` and `LoadAnnotations` first, `PackDetInputs` last, and "
    "the step behind those whose results it needs"
)


def check_idle_steps(context: DoctorContext) -> Iterator[Finding]:
    """Run the pipelines of the training set, step by step, on some records.

    Found are steps with the probability 0, steps that fail, pipelines that refuse all
    images, and steps that change nothing on any of up to 32 records. What a
    multi-image wrapper does is left out but for its probabilities.

    Args:
        context: With a training set.
    """
    dataset = context.datasets.get("train")
    if dataset is None:
        return
    never = {}
    for step in transforms_of(dataset):
        if _is_off(step):
            never[type(step).__name__] = step
    for name, step in never.items():
        yield Finding(
            "idle_transform",
            Severity.WARNING,
            "a transform of the training never does anything",
            f"`train_dataloader`, {name}",
            f"its probability is {getattr(step, 'prob', 0)}",
            f"Write `dict(type='{name}', prob=0.5)`, or take it out",
        )
    if not context.look_at_images:
        return
    for leaf in leaf_datasets(dataset):
        yield from _of_leaf(leaf, set(never))


def _is_off(step: Any) -> bool:
    """Tell whether all probabilities of a step are 0."""
    if not hasattr(step, "prob"):
        return False
    chances = np.ravel(np.asarray(step.prob, dtype=object))
    numbers = [p for p in chances.tolist() if isinstance(p, (int, float))]
    return len(numbers) == len(chances) > 0 and not any(numbers)


def _of_leaf(leaf: Any, told: set[str]) -> Iterator[Finding]:
    """Run the pipeline of one data set on some of its records."""
    pipeline = getattr(leaf, "pipeline", None)
    if not isinstance(pipeline, Compose) or not len(leaf):
        return
    steps = copy.deepcopy(pipeline.transforms)
    seen = [Seen() for _ in steps]
    places = np.linspace(0, len(leaf) - 1, min(_RECORDS, len(leaf))).astype(int)
    refused = tried = 0
    state = np.random.get_state()  # noqa: NPY002 -- what transforms draw from
    try:
        for place in dict.fromkeys(places.tolist()):
            record = leaf.get_data_info(place)
            tried += bool(record.get("instances"))
            failed = _run(record, steps, seen)
            if isinstance(failed, Exception):
                at = next(i for i, s in enumerate(seen) if s.error is not None)
                where = f"`train_dataloader`, {type(steps[at]).__name__}"
                if isinstance(failed, OSError):
                    return  # a file, which other checks tell of
                what = "a step of the training pipeline fails where it stands"
                error = _as_user_sees(failed)
                found = refusal("failing_transform", what, error, where)
                yield replace(found, remedy=_ORDER)
                return
            refused += failed is None
    finally:
        np.random.set_state(state)  # noqa: NPY002
    if refused and refused >= tried:
        most = max(range(len(steps)), key=lambda i: seen[i].refused)
        yield Finding(
            "refused_images",
            Severity.ERROR,
            "the pipeline refuses all images with objects that were tried",
            f"`train_dataloader`, {type(steps[most]).__name__}",
            f"{refused} of {tried} images with objects",
            "Correct its arguments, or take it out",
        )
        return
    yield from _idle(steps, seen, told)


def _idle(steps: Sequence[Any], seen: Sequence[Seen], told: set[str]) -> Iterator:
    """Yield steps that have changed neither image nor objects."""
    packed = next(
        (i for i, s in enumerate(steps) if isinstance(s, PackDetInputs)), None
    )
    for at, (step, what) in enumerate(zip(steps, seen, strict=True)):
        name = type(step).__name__
        if name in told or name in _SIZES or any(word in name for word in _NEEDED):
            continue
        late = packed is not None and at > packed
        if what.calls > what.refused and not what.changes:
            yield Finding(
                "idle_transform",
                Severity.WARNING if late else Severity.INFO,
                "a transform of the training has changed nothing that was tried",
                f"`train_dataloader`, {name}",
                f"{what.calls} images" + ", after `PackDetInputs`" * late,
                "Move it before `PackDetInputs`"
                if late
                else f"Take `dict(type='{name}', ...)` out, unless others need it",
            )


def _run(record: Any, steps: Sequence[Any], seen: Sequence[Seen]) -> Any:
    """Run the steps on one record; return what comes out, or the error."""
    results = copy.deepcopy(record)
    for step, what in zip(steps, seen, strict=True):
        before = copy.deepcopy(results) if not _reads(step) else None
        what.calls += 1
        try:
            results = step(results)
        except Exception as error:  # of anybody's transform
            what.error = error
            return error
        if results is None:
            what.refused += 1
            return None
        if before is None or changed(before, results):
            what.changes += 1
    return results


def _reads(step: Any) -> bool:
    return any(word in type(step).__name__ for word in _NEEDED)


def _as_user_sees(error: Exception) -> ValueError:
    """Name the kind of an error in its words."""
    text = " ".join(str(error).split()) or "no words"
    return ValueError(f"{type(error).__name__}: {text}")
