"""The one hook that every user adds."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from imb_det.checks import CHECKS, run_checks
from imb_det.checks.class_counts import count_classes
from imb_det.checks.later_test import check_later_test
from imb_det.checks.rank_data import check_rank_data
from imb_det.core.check_context import CheckContext
from imb_det.core.finding import (
    Finding,
    FindingsError,
    Severity,
    raise_findings,
)
from imb_det.core.hand_over import HandOver
from imb_det.core.listener import ClassStatsListener
from imb_det.core.main_process import on_main_process
from imb_det.core.rank_epochs import RankEpochs
from imb_det.heads.head_counts import counts_of_heads
from imb_det.losses.flushing import check_alike, flush, manage_statistics
from imb_det.losses.row_weights import bind_losses
from imb_det.prior.pretrained_bias import bias_shapes
from imb_det.prior.start_bias import set_start_biases
from imb_det.registry import HOOKS
from imb_det.runner_parts import (
    bare_model,
    components_of,
    context_of,
    forget_training,
    hooks_of,
    models_of,
    places_of,
    refresh_averages,
    restart_workers,
    samplers_of,
    tell_work_dir,
)
from imb_det.samplers import EpochSampler
from imb_det.samplers.receipt_files import write_receipt
from imb_det.statistics import ClassStats, GroupLimits
from imb_det.statistics.description import describe
from imb_det.statistics.running_stats import RunningStats
from imb_det.transforms.skipped_types import widen_skipped_types

from .called_losses import CalledLosses
from .check_invalid_loss_hook import CheckInvalidLossHook
from .in_effect import InEffect

__all__ = ["ImbalanceHook"]

_TITLE = "ImbalanceHook, before the first iteration"


@HOOKS.register_module()
class ImbalanceHook(Hook):
    """Check everything, count the classes, and hand the counts to all that want them.

    Before the first iteration rank 0 runs all checks of :mod:`imb_det.checks`:

    - the classes of every head against those of the data sets, and these against each
      other,
    - the outputs and the activation of every head against those of its loss, and its
      classifier, where a loss needs cosines,
    - the samplers of proposals, where a box head must see all of them,
    - transforms that mix images, and hooks that switch pipelines (``'Mosaic'`` of
      ``YOLOXModeSwitchHook`` stands for ``'imb_det.Mosaic'`` too),
    - annotation files and boxes, where the data set does not do so itself
      (``imb_det.VOCDataset`` and ``imb_det.CocoDataset`` do),
    - data sets without an image or a box, parts of concatenations that differ, labels
      that a pipeline hides, and the image files of training and validation,
    - what metrics will need: keys, sizes and masks of their annotation file, folders
      that can be written to, and groups with a class for the figures that ``save_best``
      and early stopping go by,
    - the stages that components are configured for, and whatever a component says of
      itself (``findings(context)``),

    and counts :class:`~imb_det.statistics.ClassStats`. All ranks stop with one error
    that lists everything that is wrong. What only a later test would meet, in its data
    or its metrics, as the config has ``test_cfg``, is a warning.

    Then all ranks get the counts: every module of the model and of moving averages,
    samplers and transforms of the training, metrics and hooks with a method
    ``set_class_stats(stats)`` (:class:`~imb_det.core.ClassStatsListener`), once weights
    have been loaded, and again only when the counts are others. Of a panoptic set each
    head gets those of its outputs (:func:`~imb_det.heads.head_counts.counts_of_heads`).
    Metrics with a method
    ``set_work_dir(path)`` learn where to write. Checkpoints carry the counts, so that a
    test alone needs no training set. What a checkpoint of ``load_from`` knows of its
    own training, such as running ratios and numbers of candidates, is cleared
    (``forget_training()``); on resume it stays. A loss whose link names the bias that
    its classifier starts with gets it, unless a checkpoint has brought one.

    What a sampler of this library does to the classes is written to the work folder,
    ``sampling.json`` and ``sampling.png``, with a warning if a loss weighs the same
    classes up once more.

    After the first iteration it tells what is in effect: every loss, sampler, transform
    and head of this library, what it was told, and what it does to the gradients of
    rare classes and background, or to the images. What changes nothing is a warning.

    After every training iteration it checks the loss and brings what losses counted on
    all ranks into their running statistics. Ranks compare their data before the first
    iteration and in each whether all have a batch.

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
        check_loss: Whether a loss that is infinite or not a number stops the training
            (:class:`~imb_det.hooks.CheckInvalidLossHook`). A hook of that name in the
            config, mmdet's too, does it in place of this one. Default: True.

    Raises:
        TypeError: ``check_images`` or ``check_loss`` is no bool.
        ValueError: Limits of groups that do not exist.
        FindingsError: When a training, a validation or a test starts, a ValueError
            with all that is wrong.

    Example:
        >>> custom_hooks = [dict(type="imb_det.ImbalanceHook")]
    """

    priority = "HIGH"

    def __init__(
        self,
        check_images: bool = True,
        group_thresholds: Sequence[float] | None = None,
        group_quantiles: Sequence[float] | None = None,
        check_loss: bool = True,
    ) -> None:
        flags = dict(check_images=check_images, check_loss=check_loss)
        for key, value in flags.items():
            if not isinstance(value, bool):
                raise TypeError(f"`{key}` must be a bool, got {value!r}")
        self.check_loss = check_loss
        self.group_limits = GroupLimits.given(group_thresholds, group_quantiles)
        self.check_images = check_images
        self.class_stats: ClassStats | None = None
        self._hand_over = HandOver(ClassStatsListener, "set_class_stats")
        self._checked: list[Any] = []  # data sets
        self._running: list[RunningStats] = []
        self._loaded_biases: dict[str, torch.Size] = {}
        self._loss_check: CheckInvalidLossHook | None = None
        self._epochs = RankEpochs()
        self._called: CalledLosses | None = None
        self._effects: InEffect | None = None

    def findings(self, context: CheckContext) -> Iterator[Finding]:
        """Yield that another hook of this kind is there: limits are given once."""
        others = [hook for hook in context.hooks if isinstance(hook, ImbalanceHook)]
        if len(others) > 1 and others[0] is self:
            yield Finding(
                "imbalance_hooks",
                Severity.ERROR,
                "more than one hook counts the classes and hands the counts over",
                f"`custom_hooks` has {len(others)} of them",
                remedy="Keep one `ImbalanceHook` in `custom_hooks`",
            )

    def before_train(self, runner: Runner) -> None:
        """Check and count on rank 0, then hand the counts over on every rank."""
        stored = self.class_stats
        self._epochs = RankEpochs()
        if self.check_loss:
            self._loss_check = CheckInvalidLossHook.unless_in(hooks_of(runner))
        loaders = {"train": runner.train_dataloader}
        if runner.val_loop is not None:
            loaders["val"] = runner.val_dataloader
        raise_findings(check_rank_data(loaders), _TITLE)
        dataset = runner.train_dataloader.dataset
        if widen_skipped_types(hooks_of(runner), dataset):
            restart_workers(runner)
        stats, findings = on_main_process(lambda: count_classes(dataset))
        if stats is not None:
            if runner.iter > 0 and stored and not stored.same_counts(stats):
                print_log(
                    "ImbalanceHook: the training set is not the one of the checkpoint, "
                    f"which had {describe(stored)}",
                    logger="current",
                    level=logging.WARNING,
                )
            stats = self._take(stats)
            line = f"ImbalanceHook: training set of {describe(stats)}"
            print_log(line, logger="current")
        if runner.iter == 0:
            forget_training(runner)
        # Before the checks, as metrics then know which figures they will report.
        components = components_of(runner, runner.val_loop, for_training=True)
        tell_work_dir(runner, components)
        refused = [] if stats is None else self._inform(components, places_of(runner))
        context = context_of(
            runner,
            for_training=True,
            val_loop=runner.val_loop,
            class_stats=stats,
            look_at_images=self.check_images,
        )
        findings += on_main_process(lambda: run_checks(context, CHECKS))
        findings += [*refused, *check_later_test(runner, context)]
        raise_findings(findings, _TITLE)
        self._checked += context.datasets.values()
        if runner.iter == 0:
            for model in models_of(runner):
                set_start_biases(model, self._loaded_biases)
        receipts = {
            type(sampler).__name__: write_receipt(
                sampler, bare_model(runner), runner.work_dir
            )
            for sampler in samplers_of(runner.train_dataloader)
            if isinstance(sampler, EpochSampler)
        }
        bind_losses(bare_model(runner))
        refresh_averages(runner)
        self._called = CalledLosses(bare_model(runner), places_of(runner))
        self._effects = InEffect(
            bare_model(runner),
            places_of(runner),
            stats,
            receipts,
            context.components,
            dataset,
        )
        self._running = manage_statistics(runner.model)
        check_alike(self._running)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Stop all ranks where one has no batch any more."""
        self._epochs.batch_comes()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Check the loss; bring what all ranks counted into running statistics."""
        if self._loss_check is not None:
            self._loss_check.after_train_iter(runner, batch_idx, data_batch, outputs)
        for watching in (self._called, self._effects):
            if watching is not None:
                watching.iteration_is_over()
        flush(self._running)

    def after_train_epoch(self, runner: Runner) -> None:
        """Stop all ranks where one still has batches."""
        self._epochs.epoch_is_over()

    def after_train(self, runner: Runner) -> None:
        """No longer promise to bring running statistics up to date."""
        for stats in self._running:
            stats.managed = False

    def before_val(self, runner: Runner) -> None:
        """Check and hand the counts over, where validation runs alone."""
        self._before_evaluation(runner, val_loop=runner.val_loop)

    def before_test(self, runner: Runner) -> None:
        """Check; hand the counts of the checkpoint, or of the training before, over."""
        self._before_evaluation(runner, test_loop=runner.test_loop)

    def before_save_checkpoint(
        self, runner: Runner, checkpoint: dict[str, Any]
    ) -> None:
        """Put the counts into the checkpoint."""
        if self.class_stats is not None:
            content = checkpoint.setdefault("imb_det", {})
            content["class_stats"] = self.class_stats.to_dict()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Take the counts from the checkpoint; a training set overrules them."""
        self._loaded_biases = bias_shapes(checkpoint)
        content = checkpoint.get("imb_det", {}).get("class_stats")
        if content is not None:
            self._take(ClassStats.from_dict(content))

    def _before_evaluation(self, runner: Runner, **loops: Any) -> None:
        """Check data sets that are new, and hand the counts over."""
        components = components_of(runner, *loops.values())
        tell_work_dir(runner, components)
        findings = self._inform(components, places_of(runner))
        context = context_of(
            runner, class_stats=self.class_stats, look_at_images=False, **loops
        )
        datasets = list(context.datasets.values())
        if not all(any(d is known for known in self._checked) for d in datasets):
            names = context.datasets
            loaders = {name: getattr(runner, f"{name}_dataloader") for name in names}
            findings += check_rank_data(loaders)
            findings += on_main_process(lambda: run_checks(context, CHECKS))
        raise_findings(findings, "ImbalanceHook, before the first image")
        self._checked += datasets

    def _take(self, stats: ClassStats) -> ClassStats:
        """Keep the counts, with the limits of groups that the config has."""
        if self.group_limits is not None:
            stats = stats.with_limits(self.group_limits)
        self.class_stats = stats
        return stats

    def _inform(
        self, components: Sequence[Any], places: Mapping[int, str] | None = None
    ) -> list[Finding]:
        """Hand the counts to those that lack them; return what is refused anywhere."""
        if self.class_stats is not None:
            refused: Sequence[Finding] = ()
            try:
                own = counts_of_heads(components, self.class_stats)
                self._hand_over(components, self.class_stats, places, own)
            except FindingsError as error:
                refused = error.findings
            # Where one rank stops, the others would wait for it.
            of_ranks = all_gather_object(refused)
            return list(dict.fromkeys(chain.from_iterable(of_ranks)))
        for component in self._hand_over.listeners(components):
            print_log(
                f"ImbalanceHook: {type(component).__name__} asks for class "
                "statistics, but the checkpoint holds none: it was saved without "
                "this hook",
                logger="current",
                level=logging.WARNING,
            )
        return []
