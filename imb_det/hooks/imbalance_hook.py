"""The one hook that every user adds."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from imb_det.datasets.image_check import check_images
from imb_det.losses.flushing import flush, manage_statistics
from imb_det.core.main_process import on_main_process
from imb_det.core.text import and_more
from imb_det.registry import HOOKS
from imb_det.statistics import ClassStats, GroupLimits
from imb_det.statistics.running_stats import RunningStats

from .runner_parts import (
    hooks_of,
    models_of,
    parts_of,
    refresh_averages,
    train_parts_of,
)
from .sampling_receipts import write_receipts
from .startup_checks import (
    check_activations,
    check_boxes,
    check_num_classes,
    check_samplers,
    check_watched,
)

__all__ = ["ImbalanceHook", "describe"]


@HOOKS.register_module()
class ImbalanceHook(Hook):
    """Check the data, count the classes, and hand the counts to all that want them.

    Before the first iteration rank 0 looks through the training set:

    - the class counts of every head against the classes of the data sets,
    - the activation of every dense head against that of its loss,
    - the samplers of proposals, where a box head must see all of them,
    - the boxes, where the data set does not do so itself (``imb_det.VOCDataset`` and
      ``imb_det.CocoDataset`` do),
    - the image files of training and validation,
    - the figures that ``save_best`` and early stopping go by, where they belong to a
      group of classes,

    and counts :class:`~imb_det.statistics.ClassStats`. An error stops all ranks with
    the same message; else all of them get the counts. Every part of the model, every
    metric of validation and test, and every training sampler with a method
    ``set_class_stats(stats)`` gets them, once, after weights have been loaded; so does
    every hook. Metrics with a method ``set_work_dir(path)`` learn where to write.
    Checkpoints carry the counts, so that a test alone needs no training set. What a
    checkpoint of ``load_from`` knows of its own training, such as running ratios and
    numbers of candidates, is cleared (``forget_training()``); on resume it stays.

    What a sampler of this library does to the classes is written to the work folder,
    ``sampling.json`` and ``sampling.png``, with a warning if a loss weighs the same
    classes up once more.

    After every training iteration it brings what losses counted on all ranks into
    their running statistics.

    It runs before hooks of normal priority, so that they see checked data.

    Args:
        check_images: Whether to look at every local image file (about ten seconds
            for 100,000). Default: True.
        group_thresholds: Last number of training images of a rare and of a common
            class, ``0 <= first < second``, for everything that tells rare, common and
            frequent classes apart: log, sampling, difficulty, metrics, reports.
            Default: None, (10, 100), or in a test what the checkpoint has.
        group_quantiles: Shares of the classes that are rare, and rare or common, in
            place of thresholds, ``0 < first < second < 1``. Default: None.

    Raises:
        TypeError: ``check_images`` is no bool.
        ValueError: Limits of groups that do not exist.
        ValueError, FileNotFoundError: When training starts, naming what is wrong.

    Example:
        >>> custom_hooks = [dict(type="imb_det.ImbalanceHook")]
    """

    priority = "HIGH"

    def __init__(
        self,
        check_images: bool = True,
        group_thresholds: Sequence[float] | None = None,
        group_quantiles: Sequence[float] | None = None,
    ) -> None:
        if not isinstance(check_images, bool):
            raise TypeError(f"`check_images` must be a bool, got {check_images!r}")
        self.group_limits: GroupLimits | None = None
        if group_thresholds is not None or group_quantiles is not None:
            thresholds = group_thresholds or GroupLimits().thresholds
            self.group_limits = GroupLimits(thresholds, group_quantiles)
        self.check_images = check_images
        self.class_stats: ClassStats | None = None
        self._informed: list[Any] = []  # components that have `class_stats`
        self._running: list[RunningStats] = []

    def before_train(self, runner: Runner) -> None:
        """Check and count on rank 0, then hand the counts over on every rank."""
        stored = self.class_stats
        stats = on_main_process(lambda: self._examine(runner))
        if runner.iter > 0 and stored and not stored.same_counts(stats):
            print_log(
                "ImbalanceHook: the training set is not the one of the checkpoint, "
                f"which had {describe(stored)}",
                logger="current",
                level=logging.WARNING,
            )
        self._take(stats)
        print_log(
            f"ImbalanceHook: training set of {describe(self.class_stats)}",
            logger="current",
        )
        if runner.iter == 0:
            _forget_training(runner)
        metrics = _metrics(runner, runner.val_loop)
        self._inform([*parts_of(runner), *train_parts_of(runner), *metrics])
        check_watched(hooks_of(runner), metrics)
        write_receipts(runner)
        refresh_averages(runner)
        self._running = manage_statistics(runner.model)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Bring what all ranks counted in this iteration into running statistics."""
        flush(self._running)

    def after_train(self, runner: Runner) -> None:
        """No longer promise to bring running statistics up to date."""
        for stats in self._running:
            stats.managed = False

    def before_val(self, runner: Runner) -> None:
        """Hand the counts over, where validation runs alone."""
        check_num_classes(runner.model, runner.val_dataloader.dataset)
        self._inform([*parts_of(runner), *_metrics(runner, runner.val_loop)])

    def before_test(self, runner: Runner) -> None:
        """Hand the counts of the checkpoint, or of the training before, over."""
        check_num_classes(runner.model, runner.test_dataloader.dataset)
        self._inform([*parts_of(runner), *_metrics(runner, runner.test_loop)])

    def before_save_checkpoint(
        self, runner: Runner, checkpoint: dict[str, Any]
    ) -> None:
        """Put the counts into the checkpoint."""
        if self.class_stats is not None:
            content = checkpoint.setdefault("imb_det", {})
            content["class_stats"] = self.class_stats.to_dict()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Take the counts from the checkpoint; a training set overrules them."""
        content = checkpoint.get("imb_det", {}).get("class_stats")
        if content is not None:
            self._take(ClassStats.from_dict(content))

    def _examine(self, runner: Runner) -> ClassStats:
        """Check everything that can be checked before training; count."""
        datasets = [runner.train_dataloader.dataset]
        if runner.val_loop is not None:
            datasets.append(runner.val_dataloader.dataset)
        for dataset in datasets:
            check_num_classes(runner.model, dataset)
        check_activations(runner.model)
        check_samplers(runner.model)
        check_boxes(datasets[0])
        if self.check_images:
            check_images(datasets)
        return ClassStats.from_dataset(datasets[0])

    def _take(self, stats: ClassStats) -> None:
        """Keep the counts; new ones must be handed over again."""
        if self.group_limits is not None:
            stats = stats.with_limits(self.group_limits)
        if stats != self.class_stats:
            self._informed.clear()
        self.class_stats = stats

    def _inform(self, components: Iterable[Any]) -> None:
        """Hand the counts to those that want them and do not have them yet."""
        for component in components:
            if not hasattr(component, "set_class_stats"):
                continue
            if any(component is known for known in self._informed):
                continue
            if self.class_stats is not None:
                component.set_class_stats(self.class_stats)
                self._informed.append(component)
            else:
                print_log(
                    f"ImbalanceHook: {type(component).__name__} asks for class "
                    "statistics, but the checkpoint holds none: it was saved without "
                    "this hook",
                    logger="current",
                    level=logging.WARNING,
                )


def _forget_training(runner: Runner) -> None:
    """Clear the counts of another training, in the model and its moving averages."""
    for model in models_of(runner):
        for part in model.modules():
            forget: Any = getattr(part, "forget_training", None)
            if forget is not None:
                forget()


def _metrics(runner: Runner, loop: Any) -> list[Any]:
    """Return the metrics of a validation or test loop, and tell them the work dir."""
    metrics = list(getattr(getattr(loop, "evaluator", None), "metrics", ()))
    for metric in metrics:
        if hasattr(metric, "set_work_dir"):
            metric.set_work_dir(runner.work_dir)
    return metrics


def describe(stats: ClassStats) -> str:
    """Return the size and the imbalance of a set in one line.

    Example:
        >>> describe(ClassStats(("cat", "dog", "emu"), [3, 200, 0], [4, 400, 0], 201))
        "3 classes, 201 images, 404 boxes; rare (<= 10 images) 2, common (11 to 100) \
0, frequent (> 100) 1; imbalance ratio 100.0 ('dog' 400 boxes, 'cat' 4); without \
any box: ['emu']"
    """
    counts = dict(zip(stats.classes, stats.instance_count.tolist(), strict=True))
    text = (
        f"{stats.num_classes} classes, {stats.num_images} images, "
        f"{sum(counts.values())} boxes; {stats.describe_groups()}"
    )
    if seen := {name: count for name, count in counts.items() if count}:
        most, least = max(seen, key=seen.__getitem__), min(seen, key=seen.__getitem__)
        text += (
            f"; imbalance ratio {seen[most] / seen[least]:.1f} ({most!r} {seen[most]} "
            f"boxes, {least!r} {seen[least]})"
        )
    if unseen := [name for name, count in counts.items() if not count]:
        text += f"; without any box: {and_more(unseen)}"
    return text
