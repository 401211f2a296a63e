"""Tells losses which classes the annotations of each image have verified."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import TRANSFORMS
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from imb_det.checks.multi_image import wants_images
from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity, raise_findings, refusal
from imb_det.core.main_process import on_main_process
from imb_det.losses import FederatedLoss, ImbalanceLoss
from imb_det.registry import HOOKS
from imb_det.runner_parts import bare_model, context_of, transforms_of
from imb_det.statistics.coco_verified import verified_labels
from imb_det.statistics.dataset_access import class_names, leaf_datasets

from .row_watcher import KNOWN, watcher_of

__all__ = ["FederatedHook"]

_COUNTS = "Write `source='counts'` into FederatedLoss"


@HOOKS.register_module()
class FederatedHook(Hook):
    """Tell each ``FederatedLoss(source='annotation')`` what is verified in an image.

    Files of LVIS say of each image which classes it has been searched for: those of its
    objects and its ``neg_category_ids``, but for its ``not_exhaustive_category_ids``.
    mmdet's data sets leave these lists out, so rank 0 reads the annotation files of the
    training once more and hands on what they say by ``img_id``. Data sets may be
    wrapped in any way.

    In each step the hook tells the loss which rows are of which image: by the boxes
    that are pooled in RoI heads, also for samplers such as OHEM, and by the order of
    rows in dense heads and heads of queries. Other heads, and transforms that mix
    images, are refused before the first iteration.

    Raises:
        FindingsError: When training starts, a ValueError with all that is wrong.

    Example:
        >>> custom_hooks = [
        ...     dict(type="imb_det.ImbalanceHook"),
        ...     dict(type="imb_det.FederatedHook"),
        ... ]
    """

    priority = "NORMAL"

    def __init__(self) -> None:
        self._labels: dict[Any, np.ndarray] | None = None
        self._known: Any = None  # the data set that rank 0 has read them of
        self._num_classes = 0
        self._handles: list[Any] = []

    def findings(self, context: CheckContext) -> Iterator[Finding]:
        """Yield heads, transforms and files that the losses cannot do with."""
        model, dataset = context.model, context.datasets.get("train")
        if model is None or dataset is None:
            return
        pairs = list(_heads(model))
        if not pairs:
            yield Finding(
                "federated_loss",
                Severity.ERROR,
                "no loss wants to know what annotations have verified",
                type(self).__name__,
                remedy="Write `loss_cls=dict(type='imb_det.FederatedLoss', "
                "use_sigmoid=True, source='annotation')`, or take the hook out of "
                "`custom_hooks`",
            )
            return  # what a file does not say is nobody's loss
        for name, head, loss in pairs:
            if watcher_of(model, head) is None:
                yield Finding(
                    "federated_head",
                    Severity.ERROR,
                    "it is not known of which image the rows are that a head passes",
                    f"`{name}` ({type(head).__name__})",
                    f"{type(loss).__name__} has source='annotation'; known are {KNOWN}",
                    _COUNTS,
                )
        for where, step in _steps(context, dataset):
            kind = type(step).__name__
            if wants_images(type(step)) or "Cached" in kind:
                yield Finding(
                    "federated_mix",
                    Severity.ERROR,
                    "a transform mixes images that are verified for other classes",
                    where,
                    kind,
                    f"{_COUNTS}, or take it out of the pipeline",
                )
            keys = getattr(step, "meta_keys", ())
            if isinstance(step, PackDetInputs) and "img_id" not in keys:
                yield Finding(
                    "federated_ids",
                    Severity.ERROR,
                    "the pipeline does not keep the ids of images",
                    f"`{kind}` of {where}",
                    f"`meta_keys` are {tuple(keys)}",
                    "Add 'img_id' to its `meta_keys`",
                )
        try:
            self._read(dataset)
        except Exception as error:  # what else is wrong must be told all the same
            what = "an annotation file does not say what it has verified"
            yield refusal("federated_file", what, error)

    def before_train(self, runner: Runner) -> None:
        """Check, read the files on rank 0, and watch the heads on all ranks."""
        context = context_of(runner, for_training=True)
        found = on_main_process(lambda: list(self.findings(context)))
        raise_findings(found, type(self).__name__)
        dataset = runner.train_dataloader.dataset
        self._labels = on_main_process(lambda: self._read(dataset))
        self._num_classes = len(class_names(dataset))
        self._watch(bare_model(runner))

    def after_train(self, runner: Runner) -> None:
        """Watch no longer."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._known = [], None

    def _read(self, dataset: Any) -> dict[Any, np.ndarray]:
        """Return the verified labels of each image of the training."""
        if self._labels is not None and self._known is dataset:
            return self._labels
        labels: dict[Any, np.ndarray] = {}
        for leaf in leaf_datasets(dataset):
            path = getattr(leaf, "ann_file", None)
            if not path or not str(path).endswith(".json"):
                raise ValueError(
                    f"{type(leaf).__name__} ({path}): an annotation file of LVIS, in "
                    "JSON, says which classes are verified in an image; write "
                    "`source='counts'` into FederatedLoss"
                )
            for image, found in verified_labels(path, class_names(dataset)).items():
                known = labels.setdefault(image, found)
                if not np.array_equal(known, found):
                    raise ValueError(
                        f"{path}: image {image!r} is in another file too, with other "
                        "classes verified; give the images ids of their own"
                    )
        self._labels, self._known = labels, dataset
        return labels

    def _watch(self, model: nn.Module) -> None:
        losses = []
        for _, head, loss in _heads(model):
            watch = watcher_of(model, head)
            if watch is not None and loss.images is not None:
                self._handles += watch(loss.images)
                losses.append(loss.images)

        def begin(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
            mode = kwargs.get("mode", args[2] if len(args) > 2 else "tensor")
            if mode != "loss":
                return
            samples = kwargs.get("data_samples", args[1] if len(args) > 1 else None)
            device = next(module.parameters()).device
            verified = self._verified(samples).to(device, non_blocking=True)
            for images in losses:
                images.begin(verified)

        def end(module: nn.Module, args: Any, outputs: Any) -> None:
            for images in losses:
                images.end()

        self._handles += [
            model.register_forward_pre_hook(begin, with_kwargs=True),
            model.register_forward_hook(end, always_call=True),
        ]

    def _verified(self, samples: Any) -> torch.Tensor:
        """Return 1 for the classes that are verified in each image, (B, C)."""
        found = torch.zeros(len(samples), self._num_classes)
        for row, sample in zip(found, samples, strict=True):
            image = sample.metainfo.get("img_id")
            labels = None if self._labels is None else self._labels.get(image)
            if labels is None:
                raise RuntimeError(
                    f"FederatedHook: no annotation file of the training has the image "
                    f"{image!r}"
                )
            row[torch.as_tensor(labels)] = 1
        return found


def _steps(context: CheckContext, dataset: Any) -> Iterator[tuple[str, Any]]:
    """Yield the steps of the training, those of pipelines to come too."""
    for step in transforms_of(dataset):
        yield "`train_dataloader`", step
    for hook in context.hooks:
        for config in getattr(hook, "switch_pipeline", None) or ():
            try:
                step = TRANSFORMS.build(dict(config))
            except Exception:  # ImbalanceHook tells of it
                continue
            yield f"`{type(hook).__name__}`", step


def _heads(model: nn.Module) -> Iterator[tuple[str, nn.Module, FederatedLoss]]:
    """Yield the heads with a loss by annotations, with their name and the loss."""
    for name, head in model.named_modules():
        if isinstance(head, ImbalanceLoss):
            continue
        for child in head.children():
            parts = child.modules() if isinstance(child, ImbalanceLoss) else ()
            for part in parts:
                if isinstance(part, FederatedLoss) and part.images is not None:
                    yield name, head, part
