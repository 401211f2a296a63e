"""Metric of semantic maps with frequency groups."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.evaluation import SemSegMetric as _MMDetSemSegMetric
from mmengine.fileio import put
from mmengine.logging import print_log
from PIL import Image

from imb_det.core import check_number
from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.registry import METRICS
from imb_det.statistics.class_maps import map_step
from imb_det.statistics.dataset_access import leaf_datasets

from .class_table import write_class_table
from .functional.pixel_counts import PixelCounts
from .functional.tables import text_table
from .joined_metric import JoinedMetric
from .sample_reading import array_of

__all__ = ["SemSegMetric"]

#: mmdet's number for each instance in a panoptic map, beside its class.
_INSTANCE_OFFSET = 1000
_REMEDY = (
    "Add `dict(type='LoadAnnotations', with_bbox=False, with_label=False, with_seg="
    "True)`, or for panoptic sets `LoadPanopticAnnotations`, to the test pipeline, "
    "after `Resize`"
)
#: Figures of classes by what `iou_metrics` asks for.
_FIGURES = {
    "mIoU": ("IoU", "Acc"),
    "mDice": ("Dice", "Acc"),
    "mFscore": ("Fscore", "Precision", "Recall"),
}


@METRICS.register_module()
class SemSegMetric(JoinedMetric, _MMDetSemSegMetric):
    """mmdet's metric of semantic maps, for rare, common and frequent classes apart.

    Arguments and keys are mmdet's, in per cent, so that a config changes only the
    ``type``. New are ``IoUr``, ``IoUc`` and ``IoUf``, the means over the classes of a
    group, the same of each other figure, such as ``Accr``, and ``IoU_gap``, ``IoUf``
    less ``IoUr``; and the table of the classes in the log and the work dir.

    It judges ``pred_sem_seg``, or the classes in ``pred_panoptic_seg``, as mmdet's
    panoptic models predict, by ``gt_sem_seg``.

    Where it deviates from mmdet: figures are not rounded; a figure without a class is
    -1; ``aAcc`` is the share of all pixels that are right, where mmdet takes the mean
    of the classes' accuracies; a class that is there and never found has precision and
    F score 0, and is not left out; maps are written (``output_dir``), with which mmdet
    fails; a missing or other map is an error that names the image.

    Args:
        *args: Arguments of mmdet's ``SemSegMetric``, in its order.
        **kwargs: Arguments of mmdet's ``SemSegMetric``. ``class_stats``,
            ``group_thresholds``, ``group_quantiles`` and ``table_dir``: see
            :class:`GroupMetric`.

    Raises:
        ValueError: No such metric; more in :class:`GroupMetric`.
    """

    of_groups = re.compile(
        r"(?:IoU|Acc|Dice|Fscore|Precision|Recall)(?:(?P<group>[rcf])|_gap)"
    )
    group_figures = "Figures of rare, common and frequent classes and their gap"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().__init__(*args, **kwargs)
        except KeyError as error:
            raise ValueError(f"SemSegMetric: `iou_metrics`: {error}") from error
        check_number("SemSegMetric", "beta", self.beta, 0, None, open_ends=True)
        items = dict.fromkeys(x for name in self.metrics for x in _FIGURES[name])
        self._items: tuple[str, ...] = tuple(items)

    def findings(self, context: CheckContext) -> Iterator[Finding]:
        """Yield that the pipeline loads no maps to judge by.

        Args:
            context: With this metric and the data set that it judges.
        """
        for split, metrics in context.metrics.items():
            if self.format_only or self not in metrics or split not in context.datasets:
                continue
            for leaf in leaf_datasets(context.datasets[split]):
                if map_step(leaf) is None and getattr(leaf, "pipeline", None):
                    yield Finding(
                        "no_ground_truth",
                        Severity.ERROR,
                        "the pipeline loads no maps of classes, by which SemSegMetric "
                        "judges",
                        f"`{split}_dataloader`, {type(leaf).__name__}",
                        remedy=_REMEDY,
                    )

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the pixels of a batch.

        Args:
            data_batch: Not used.
            data_samples: Data samples with a map that is predicted, and a true one.

        Raises:
            ValueError: One of them is missing, or they have other shapes.
        """
        num_classes = len(self.dataset_meta["classes"])
        for sample in data_samples:
            name = sample.get("img_id", sample.get("img_path"))
            predicted, ignored = _prediction(sample, name)
            if self.output_dir is not None:
                self._write(sample["img_path"], predicted)
            if self.format_only:
                continue
            truth = sample.get("gt_sem_seg", {})
            if "sem_seg" not in truth:
                raise ValueError(
                    f"image {name!r} has no ground truth: SemSegMetric needs a map in "
                    f"`gt_sem_seg`. {_REMEDY}"
                )
            labels = _flat(truth["sem_seg"])
            if labels.shape != predicted.shape:
                raise ValueError(
                    f"image {name!r}: the map predicted has the shape "
                    f"{predicted.shape}, and the true one {labels.shape}. {_REMEDY}"
                )
            counts = PixelCounts.of_map(predicted, labels, num_classes, ignored)
            self.results.append(({"img_id": name}, counts))

    def _write(self, name: str, predicted: np.ndarray) -> None:
        """Write a map as an image, as mmdet names them."""
        file = io.BytesIO()
        dtype = np.uint8 if predicted.max(initial=0) < 256 else np.uint16
        Image.fromarray(predicted.astype(dtype)).save(file, "PNG")
        path = Path(self.output_dir).absolute() / f"{Path(name).stem}.png"
        put(file.getvalue(), str(path), self.backend_args)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute all figures from the counts of all images.

        Args:
            results: Pairs of record and counts, from ``process``.

        Returns:
            Figures by name, without the prefix.

        Raises:
            ValueError: No image at all.
        """
        if self.format_only:
            print_log(f"the maps are in {self.output_dir}", logger="current")
            return {}
        if not results:
            raise ValueError("no image was evaluated: the data set yields none")
        counts = reduce(add, (found for _, found in results))
        of_classes = {name: 100 * values for name, values in self._values(counts)}
        figures = {"aAcc": 100 * counts.all_accuracy}
        figures |= {f"m{name}": _mean(values) for name, values in of_classes.items()}
        figures = {k: -1.0 if np.isnan(v) else v for k, v in figures.items()}
        groups = self.groups()
        for name, values in of_classes.items():
            of_group = {g[0]: _mean(values[ids]) for g, ids in groups.items()}
            own = {f"{name}{letter}": value for letter, value in of_group.items()}
            if {"r", "f"} <= set(of_group):
                own[f"{name}_gap"] = of_group["f"] - of_group["r"]
            figures |= {key: value for key, value in own.items() if np.isfinite(value)}
        self._table(counts, of_classes, groups, figures)
        return figures

    def _values(self, counts: PixelCounts) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the figures of the classes that are asked for, in [0, 1]."""
        found = {
            "IoU": counts.iou,
            "Acc": counts.accuracy,
            "Dice": counts.dice,
            "Fscore": counts.f_score(self.beta),
            "Precision": counts.precision,
            "Recall": counts.accuracy,
        }
        yield from ((name, found[name]) for name in self._items)

    def _table(
        self,
        counts: PixelCounts,
        of_classes: Mapping[str, np.ndarray],
        groups: Mapping[str, np.ndarray],
        figures: Mapping[str, float],
    ) -> None:
        """Log and write the figures of the classes, most training images first."""
        classes, stats = self.dataset_meta["classes"], self._class_stats
        group_of = {int(i): name for name, ids in groups.items() for i in ids}
        order = list(range(len(classes)))
        if stats is not None:
            order = np.argsort(-stats.image_count, kind="stable").tolist()
        rows = [
            (
                classes[i],
                group_of.get(i),
                None if stats is None else int(stats.image_count[i]),
                int(counts.there[i]),
                int(counts.found[i]),
                *(float(values[i]) for values in of_classes.values()),
            )
            for i in order
        ]
        columns = ("class", "group", "train images", "pixels", "found", *of_classes)
        text = text_table(columns, rows)
        print_log(f"Maps by class, in per cent:\n{text}", logger="current")
        if (stem := self._stem("sem_seg")) is not None:
            write_class_table(stem, rows, figures, {}, columns)

    def _reports_groups(self, kind: str | None) -> bool:
        return not self.format_only


def _prediction(sample: Mapping[str, Any], name: Any) -> tuple[np.ndarray, int]:
    """Return the class of each pixel, (h, w), and the label of those to ignore.

    Raises:
        ValueError: The model predicts no map.
    """
    if "pred_sem_seg" in sample:
        found = sample["pred_sem_seg"]
        ignored = found.get("ignore_index", 255)
        return _flat(found["sem_seg"]), int(ignored)
    if "pred_panoptic_seg" in sample:
        return _flat(sample["pred_panoptic_seg"]["sem_seg"]) % _INSTANCE_OFFSET, 255
    raise ValueError(
        f"image {name!r}: the model predicts no map of classes, neither `pred_sem_seg` "
        "nor `pred_panoptic_seg`, by which SemSegMetric judges: use a model such as "
        "PanopticFPN or Mask2Former with `panoptic_on=True`"
    )


def _flat(values: Any) -> np.ndarray:
    """Return a map (1, h, w) or (h, w) as (h, w)."""
    found = array_of(values)
    return found.reshape(found.shape[-2:])


def _mean(values: np.ndarray) -> float:
    """Return the mean of what is defined; NaN without any."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
