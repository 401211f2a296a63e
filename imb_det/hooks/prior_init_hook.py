"""Optimal bias initialisation of a dense classifier."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from mmdet.models.dense_heads.anchor_head import AnchorHead
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import nn
from tqdm import tqdm

from imb_det.main_process import on_main_process
from imb_det.registry import HOOKS
from imb_det.statistics import ForegroundPrior, foreground_prior
from imb_det.statistics.cache import default_cache_dir
from imb_det.statistics.training_boxes import (
    annotated_boxes,
    epoch_weights,
    is_deterministic,
    training_boxes,
)

from .prior_cache import content_key, load_prior, store_prior
from .runner_parts import bare_model

__all__ = ["PriorInitHook"]


@HOOKS.register_module()
class PriorInitHook(Hook):
    r"""Count the foreground prior and start a dense classifier at its optimal bias.

    Before the first iteration the positive and all candidates of the head are counted
    over the training annotations (:func:`imb_det.statistics.foreground_prior`), and
    the bias of its classification layer becomes
    :math:`b = -\log(N C / N_f - 1)`. Rank 0 counts, the others receive. The counts
    are cached under a hash of annotations, transforms, anchors and assigner. Nothing
    happens on resume, nor where a checkpoint already brought a trained bias.

    Args:
        head: Dotted path of the head inside the model. Default ``'bbox_head'``; use
            ``'rpn_head'`` for a region proposal network.
        layer: Name of the classification layer inside the head. None, the default,
            takes the one convolution of the head whose name ends in ``cls``.
        max_relative_error: Stop counting when the standard error of N_f / N, relative
            to it, falls below this, in (0, 1). None, the default, counts all images.
        cache_dir: Folder of cached counts; None, the default, means
            ``$XDG_CACHE_HOME/imb_det`` or ``~/.cache/imb_det``; False, no cache.

    Raises:
        TypeError, ValueError: At the start of training, if the model has no such head
            or layer, the layer has no bias, or no finite bias follows from the data.

    Source: Chen et al., "Is Heuristic Sampling Necessary in Training Deep Object
    Detectors?", IEEE TIP 2021, optimal bias initialisation.
    """

    priority = "NORMAL"

    def __init__(
        self,
        head: str = "bbox_head",
        layer: str | None = None,
        max_relative_error: float | None = None,
        cache_dir: str | Path | bool | None = None,
    ) -> None:
        if max_relative_error is not None and not 0 < max_relative_error < 1:
            raise ValueError(
                "PriorInitHook: `max_relative_error` must be None or in (0, 1), got "
                f"{max_relative_error}"
            )
        self.head = head
        self.layer = layer
        self.max_relative_error = max_relative_error
        if cache_dir is None or cache_dir is True:
            cache_dir = default_cache_dir()
        self.cache_dir = Path(cache_dir).expanduser() if cache_dir else None
        self._loaded: dict[str, torch.Size] = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remember which biases were loaded; a trained one is not replaced."""
        state = checkpoint.get("state_dict", checkpoint)
        self._loaded = {
            key.removeprefix("module."): value.shape
            for key, value in state.items()
            if key.endswith(".bias")
        }

    def before_train(self, runner: Runner) -> None:
        """Set the bias, unless training resumes or the layer is trained already."""
        if runner.iter > 0:
            print_log("PriorInitHook: resumed, the bias stays as it is", "current")
            return
        model = bare_model(runner)
        head = _find_head(model, self.head)
        name, bias = _find_bias(head, self.head, self.layer)
        if self._loaded.get(name) == bias.shape:
            print_log(
                f"PriorInitHook: the checkpoint brought a trained `{name}`, it stays "
                "as it is",
                "current",
                logging.WARNING,
            )
            return
        prior = on_main_process(lambda: self._count(runner, model, head))
        with torch.no_grad():
            bias.fill_(prior.bias)
        print_log(f"PriorInitHook: {self.head}: {prior}", "current")

    def _count(
        self, runner: Runner, model: nn.Module, head: nn.Module
    ) -> ForegroundPrior:
        """Take the counts from the cache, or count and store them."""
        dataset = runner.train_dataloader.dataset
        if getattr(model.data_preprocessor, "batch_augments", None):
            print_log(
                "PriorInitHook: `batch_augments` of the data preprocessor change sizes "
                "after the data set; the prior is counted without them",
                "current",
                logging.WARNING,
            )
        divisor = getattr(model.data_preprocessor, "pad_size_divisor", 1)
        annotated = annotated_boxes(dataset)
        cached = None
        if self.cache_dir is not None:
            key = content_key(
                dataset, head, annotated, divisor, self.max_relative_error
            )
            cached = self.cache_dir / f"foreground-prior-{key}.json"
            if (prior := load_prior(cached)) is not None:
                return prior
        with tqdm(total=len(annotated), desc="boxes", unit="img", leave=False) as bar:
            if is_deterministic(dataset):
                boxes = training_boxes(dataset, annotated)
                weights = epoch_weights(dataset)
            else:
                bar.total, weights = len(dataset), None
                print_log(
                    "PriorInitHook: image sizes or boxes are random; the prior is "
                    "counted on one draw of them, on blank images",
                    "current",
                )
                boxes = training_boxes(dataset, annotated, bar.update)
        with tqdm(total=len(boxes), desc="foreground prior", unit="img") as bar:
            prior = foreground_prior(
                dataset,
                head,
                divisor,
                self.max_relative_error,
                boxes,
                weights,
                lambda done, total: bar.update(done - bar.n),
            )
        if cached is not None:
            store_prior(cached, prior)
        return prior


def _find_head(model: nn.Module, path: str) -> nn.Module:
    """Return the head at a dotted path, checked for what counting needs."""
    try:
        head = model.get_submodule(path)
    except AttributeError as error:
        names = [name for name, _ in model.named_children()]
        raise ValueError(
            f"PriorInitHook: {type(model).__name__} has no part `head='{path}'`; its "
            f"parts are {names}"
        ) from error
    if (
        not isinstance(head, AnchorHead)
        or type(head).get_targets is not AnchorHead.get_targets
    ):
        raise TypeError(
            f"PriorInitHook cannot count for {type(head).__name__}: it needs a head "
            "with the targets of mmdet's AnchorHead, such as RetinaHead or RPNHead"
        )
    if (sampler := type(head.sampler).__name__) != "PseudoSampler":
        raise ValueError(
            f"PriorInitHook: `{path}` trains on what {sampler} picks, but the prior is "
            "that of all candidates; set its `train_cfg.sampler` to "
            "`dict(type='PseudoSampler')`"
        )
    if not getattr(head, "use_sigmoid_cls", False):
        raise TypeError(
            f"PriorInitHook: {type(head).__name__} classifies with softmax; the prior "
            "is derived for independent sigmoids (`use_sigmoid=True` in `loss_cls`)"
        )
    return head


def _find_bias(
    head: nn.Module, path: str, name: str | None
) -> tuple[str, torch.Tensor]:
    """Return the bias of the classification layer of that name, or of the only one."""
    layers = {
        child_name: child
        for child_name, child in head.named_children()
        if isinstance(child, nn.Conv2d) and child_name.endswith("cls")
    }
    if name is None and len(layers) == 1:
        name = next(iter(layers))
    if name not in layers:
        raise ValueError(
            f"PriorInitHook: `layer` is {name!r}, and the classification layers of "
            f"`{path}` are {list(layers)}; name one of them"
        )
    bias = layers[name].bias
    if bias is None:
        raise ValueError(f"PriorInitHook: `{path}.{name}` has no bias to initialise")
    return f"{path}.{name}.bias", bias
