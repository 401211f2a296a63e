"""Steps of the training pipeline that do what another part does as well."""

from __future__ import annotations

from collections.abc import Iterator

from imb_det.core.finding import Finding, Severity
from imb_det.doctor.context import DoctorContext
from imb_det.runner_parts import transforms_of
from imb_det.statistics.dataset_access import dataset_nodes

__all__ = ["check_twice_done"]


def check_twice_done(context: DoctorContext) -> Iterator[Finding]:
    """Find steps of a pipeline that do what another part does as well.

    Args:
        context: With a model and a training set.
    """
    dataset = context.datasets.get("train")
    preprocessor = getattr(context.model, "data_preprocessor", None)
    if dataset is None or preprocessor is None:
        return
    kinds = [type(step).__name__ for step in transforms_of(dataset)]
    where = "`train_dataloader`"
    if "Normalize" in kinds and getattr(preprocessor, "_enable_normalize", False):
        yield Finding(
            "done_twice",
            Severity.WARNING,
            "pixels are normalised twice",
            f"{where}, Normalize",
            f"and by `mean` and `std` of {type(preprocessor).__name__}",
            "Take `dict(type='Normalize', ...)` out of the pipeline",
        )
    if "Pad" in kinds and getattr(preprocessor, "pad_size_divisor", 1) > 1:
        yield Finding(
            "done_twice",
            Severity.INFO,
            "images are padded in the pipeline, and in the batch",
            f"{where}, Pad",
            f"`pad_size_divisor={preprocessor.pad_size_divisor}` of "
            f"{type(preprocessor).__name__}",
            "Take `dict(type='Pad', ...)` out of the pipeline",
        )
    for kind in ("Resize", "RandomFlip", "PhotoMetricDistortion"):
        for node in dataset_nodes(dataset):
            pipeline = getattr(node, "pipeline", None)
            steps = getattr(pipeline, "transforms", pipeline) or ()
            if sum(type(step).__name__ == kind for step in steps) > 1:
                yield Finding(
                    "done_twice",
                    Severity.INFO,
                    "a transform stands twice in one pipeline",
                    f"{where}, {kind}",
                    remedy=f"Keep one `dict(type='{kind}', ...)`",
                )
