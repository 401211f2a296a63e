"""Concatenated data sets: what their parts disagree about, and ids that they share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmdet.datasets import CocoDataset
from mmdet.engine.hooks import DetVisualizationHook
from mmdet.evaluation import CocoMetric, VOCMetric

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.core.text import and_more
from imb_det.evaluation.counted_metric import CountedMetric
from imb_det.evaluation.metric_files import content_of
from imb_det.statistics.dataset_access import iter_data_infos, leaf_datasets

__all__ = ["check_evaluated_images", "check_image_ids", "check_metainfo"]


_SAME_CLASSES = "Write one `metainfo=dict(classes=...)`, of all classes, into each part"


def check_metainfo(context: CheckContext) -> Iterator[Finding]:
    """Find concatenations that have a list in place of ``metainfo``.

    Metrics of this library take any; mmdet's metrics, visualisers and
    ``init_detector`` need a mapping, and fail once they get there.

    Args:
        context: With data sets, metrics and hooks.
    """
    for split, dataset in context.datasets.items():
        parts = getattr(dataset, "metainfo", None)
        if not isinstance(parts, (list, tuple)):
            continue
        keys = _differences(parts)
        foreign = [
            type(metric).__name__
            for metric in context.metrics.get(split, ())
            if not isinstance(metric, CountedMetric)
        ]
        foreign += [
            type(hook).__name__
            for hook in context.hooks
            if isinstance(hook, DetVisualizationHook) and hook.draw
        ] * (split != "train")
        evidence = f"its parts differ in {keys}"
        if split == "train":
            evidence += ", and checkpoints will hold the list: `init_detector` fails"
        elif foreign:
            evidence += f", and {', '.join(foreign)} needs a mapping"
        yield Finding(
            "metainfo_differs",
            Severity.ERROR if foreign else Severity.WARNING,
            "a concatenated data set has a list in place of one `metainfo`",
            f"`{split}_dataloader`",
            evidence,
            _SAME_CLASSES
            if "classes" in keys  # labels are places in that list
            else f"Set `ignore_keys={keys}` in `ConcatDataset`",
        )


def _differences(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys that parts of a concatenation do not have alike."""
    keys = dict.fromkeys(key for part in parts for key in part)
    return [key for key in keys if len({repr(part.get(key)) for part in parts}) > 1]


def check_image_ids(context: CheckContext) -> Iterator[Finding]:
    """Find image ids that two images of a validation or a test have.

    COCO's metrics know images by nothing else. Metrics of PASCAL VOC judge each image
    by itself, but predictions that are saved cannot be told apart later.

    Args:
        context: With data sets and metrics.
    """
    for split, metrics in context.metrics.items():
        if split not in context.datasets or not metrics:
            continue
        leaves = leaf_datasets(context.datasets[split])
        if len(leaves) == 1 and isinstance(leaves[0], CocoDataset):
            continue  # it reads one image an id
        if not (twice := _shared_ids(leaves)):
            continue
        of_coco = [m for m in metrics if isinstance(m, CocoMetric)]
        if not of_coco and not any(isinstance(m, VOCMetric) for m in metrics):
            continue
        names = ", ".join(type(metric).__name__ for metric in of_coco)
        yield Finding(
            "image_ids",
            Severity.ERROR if of_coco else Severity.WARNING,
            "images of an evaluation share their ids"
            if of_coco
            else "images of an evaluation share their ids: they are judged rightly, "
            "but results of `tools/test.py --out` cannot be scored once more",
            f"{names} of {split}" if of_coco else f"`{split}_dataloader`",
            and_more([f"{key!r} in {' and '.join(v)}" for key, v in twice.items()]),
            "Give the images ids of their own, or evaluate one part after the other",
        )


def check_evaluated_images(context: CheckContext) -> Iterator[Finding]:
    """Find images of an evaluation that the annotation file of its metric lacks.

    Args:
        context: With data sets and metrics.
    """
    for split, metrics in context.metrics.items():
        if split not in context.datasets:
            continue
        leaves = leaf_datasets(context.datasets[split])
        files = {getattr(leaf, "ann_file", None) for leaf in leaves}
        for metric in metrics:
            if files == {getattr(metric, "ann_file", None)}:
                continue
            if (known := _ids_of_file(metric)) is None:
                continue
            infos = iter_data_infos(context.datasets[split])
            ids = dict.fromkeys(info.get("img_id") for info in infos)
            if not (lacking := [key for key in ids if key not in known]):
                continue
            yield Finding(
                "other_images",
                Severity.ERROR,
                "images of an evaluation that the annotation file of its metric lacks",
                f"{type(metric).__name__} of {split}",
                f"{len(lacking)} of {len(ids)}, with the ids {and_more(lacking)}",
                "Set `ann_file` of the metric to that of the data set, "
                f"{and_more(map(str, files), quoted=False)}",
            )


def _ids_of_file(metric: Any) -> set[Any] | None:
    """Return the image ids of a metric's annotation file, None if it has none."""
    content = content_of(metric)
    images = content.get("images") if isinstance(content, Mapping) else None
    return None if images is None else {image.get("id") for image in images}


def _shared_ids(leaves: Sequence[Any]) -> dict[Any, list[str]]:
    """Return the ids of more than one image, with the files that have them."""
    owners: dict[Any, list[str]] = defaultdict(list)
    for leaf in leaves:
        source = str(getattr(leaf, "ann_file", "") or type(leaf).__name__)
        for index in range(len(leaf)):
            image_id = leaf.get_data_info(index).get("img_id")
            if image_id is not None:
                owners[image_id].append(source)
    return {key: files for key, files in owners.items() if len(files) > 1}
