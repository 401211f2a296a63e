"""Optimal bias initialisation of a dense classifier."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import nn
from tqdm import tqdm

from imb_det.core.check_context import CheckContext
from imb_det.core.checks import check_number
from imb_det.core.finding import Finding, Severity
from imb_det.core.main_process import on_main_process
from imb_det.registry import HOOKS
from imb_det.runner_parts import bare_model
from imb_det.statistics.cache import default_cache_dir

from .blank_images import MAX_BLANK_IMAGES
from .boxes import annotated_boxes
from .cache import content_key, load_prior, store_prior
from .classification_bias import find_biases, find_head, roi_bias
from .foreground_prior import ForegroundPrior, foreground_prior
from .pretrained_bias import bias_shapes, is_trained
from .query_prior import has_queries, query_prior
from .resizing import has_random_sizes, is_arithmetic
from .training_boxes import epoch_weights, training_boxes

__all__ = ["PriorInitHook"]


@HOOKS.register_module()
class PriorInitHook(Hook):
    r"""Count the foreground prior and start a dense classifier at its optimal bias.

    Before the first iteration the positive and all candidates of the head are counted
    over the training annotations (:func:`imb_det.prior.foreground_prior`), and
    the bias of its classification layer becomes
    :math:`b = -\log(N C / N_f - 1)`. Rank 0 counts, the others receive. The counts
    are cached under a hash of annotations, transforms, anchors and assigner. The bias
    stays as it is on resume, and where a checkpoint already brought a trained one.
    Heads with class-adaptive thresholds (``adaptive_thr=True``) get counts in any case.
    The targets of GFL are IoUs, which are not known before training: counted as ones,
    they make its prior an upper bound of the optimum.

    In heads of queries (DETR, Conditional, DAB, Deformable, DINO) candidates are the
    queries of an image, and positive as many of them as it has objects. All decoder
    layers get the bias; what proposes queries in the encoder keeps its own. Heads that
    choose positives by their predictions, as RTMDet, YOLOX and TOOD, are refused.

    The proposals of a RoI head cannot be counted before training. With a guess of their
    share of positives s, a softmax classifier starts at the probabilities 1 - s for
    background and s / C for every class: its bias is 0 for classes and
    :math:`\log(C (1 - s) / s)` for background. The authors leave RoI heads as they are.

    Args:
        head: Dotted path of the head inside the model. Default ``'bbox_head'``; use
            ``'rpn_head'`` for a region proposal network, and, with
            ``foreground_share``, ``'roi_head.bbox_head'`` or, in a cascade,
            ``'roi_head.bbox_head.0'``.
        layer: Name of the classification layer inside the head. None, the default,
            takes the one layer of the head whose name ends in ``cls``.
        foreground_share: For a RoI head alone: the share of positive proposals, in
            (0, 1). Default: None.
        max_relative_error: Stop counting when the standard error of N_f / N, relative
            to it, falls below this, in (0, 1). None, the default, counts all images.
        cache_dir: Folder of cached counts; None, the default, means
            ``$XDG_CACHE_HOME/imb_det`` or ``~/.cache/imb_det``, and no cache for a user
            without a home; False, no cache.

    Raises:
        TypeError, ValueError: Names the argument, what was given and what is valid; or,
            at the start of training, if the model has no such head or layer, the layer
            has no bias, or no finite bias follows from the data.

    Source: Chen et al., "Is Heuristic Sampling Necessary in Training Deep Object
    Detectors?", IEEE TIP 2021, optimal bias initialisation.
    """

    priority = "NORMAL"

    def __init__(
        self,
        head: str = "bbox_head",
        layer: str | None = None,
        foreground_share: float | None = None,
        max_relative_error: float | None = None,
        cache_dir: str | Path | bool | None = None,
    ) -> None:
        name = type(self).__name__
        for key, path in dict(head=head, layer=layer).items():
            if not (isinstance(path, str) or (path is None and key == "layer")):
                raise TypeError(f"{name}: `{key}` must be a name, got {path!r}")
        shares = dict(
            foreground_share=foreground_share, max_relative_error=max_relative_error
        )
        for key, share in shares.items():
            if share is not None:
                check_number(name, key, share, 0, 1, open_ends=True)
        if not isinstance(cache_dir, (str, Path, bool, type(None))):
            raise TypeError(
                f"{name}: `cache_dir` must be a folder, False or None, got "
                f"{cache_dir!r}"
            )
        self.head = head
        self.layer = layer
        self.foreground_share = foreground_share
        self.max_relative_error = max_relative_error
        self.cache_dir = _folder(name, cache_dir)
        self._loaded: dict[str, torch.Size] = {}
        self._done = ("", "")

    def in_effect(self) -> tuple[str, str]:
        """Return the prior, and the bias that the classifier started with."""
        return self._done

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remember which biases were loaded; a trained one is not replaced."""
        self._loaded = bias_shapes(checkpoint)

    def findings(self, context: CheckContext) -> Iterator[Finding]:
        """Yield that there is no such head or layer; ``ImbalanceHook`` asks."""
        model, loop = context.model, context.train_loop
        if model is None or loop is None or loop.iter > 0:
            return
        try:
            head = find_head(model, self.head, self.foreground_share)
            find_biases(head, self.head, self.layer)
        except (TypeError, ValueError) as error:
            yield Finding(
                "prior_init",
                Severity.ERROR,
                "there is no classifier whose bias could be set",
                f"PriorInitHook (head={self.head!r})",
                str(error),
            )

    def before_train(self, runner: Runner) -> None:
        """Set the bias, unless training resumes or the layer is trained already."""
        model = bare_model(runner)
        if runner.iter > 0:
            print_log("PriorInitHook: resumed, the bias stays as it is", "current")
            if self.foreground_share is None:
                self._complete(runner, model)
            return
        head = find_head(model, self.head, self.foreground_share)
        thresholds = getattr(head, "class_thresholds", None)
        fresh = []
        for name, bias in find_biases(head, self.head, self.layer).items():
            if is_trained(name, bias, model, head, self._loaded):
                print_log(
                    f"PriorInitHook: the checkpoint brought a trained `{name}`, it "
                    "stays as it is",
                    "current",
                    logging.WARNING,
                )
            else:
                fresh.append(bias)
        if self.foreground_share is not None:
            for bias in fresh:
                self._start_roi_head(head, bias, self.foreground_share)
            return
        if not fresh and thresholds is None:
            return
        prior = on_main_process(lambda: self._count(runner, model, head))
        if thresholds is not None:
            thresholds.set_candidates(prior.num_foreground, prior.num_candidates)
        if fresh:
            with torch.no_grad():
                for bias in fresh:
                    bias.fill_(prior.bias)
            print_log(f"PriorInitHook: {self.head}: {prior}", "current")
            self._done = f"prior {prior.prior:.3g}", f"bias began at {prior.bias:.3f}"

    def _complete(self, runner: Runner, model: nn.Module) -> None:
        """Count for thresholds, if the training before has done without them."""
        head = find_head(model, self.head, None)
        thresholds = getattr(head, "class_thresholds", None)
        if thresholds is not None and not thresholds.num_candidates.any():
            prior = on_main_process(lambda: self._count(runner, model, head))
            thresholds.set_candidates(prior.num_foreground, prior.num_candidates)

    def _start_roi_head(
        self, head: nn.Module, bias: torch.Tensor, share: float
    ) -> None:
        """Start a RoI head at the share of positives that the user names."""
        values = roi_bias(head, share)
        with torch.no_grad():
            bias.copy_(values)
        self._done = f"share {share}", f"bias began at {values[-1]:.3f} for background"
        print_log(
            f"PriorInitHook: {self.head}: share of positives {share}, bias "
            f"{values[0]:.4f} of classes, {values[-1]:.4f} of the last column",
            "current",
        )

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
        if self.cache_dir is not None and not has_queries(head):
            key = content_key(
                dataset, head, annotated, divisor, self.max_relative_error
            )
            cached = self.cache_dir / f"foreground-prior-{key}.json"
            if (prior := load_prior(cached)) is not None:
                return prior
        with tqdm(total=len(annotated), desc="boxes", unit="img", leave=False) as bar:
            if is_arithmetic(dataset):
                if has_random_sizes(dataset):
                    print_log(
                        "PriorInitHook: scales are random; one is drawn for each image",
                        "current",
                    )
                boxes = training_boxes(dataset, annotated)
                weights = epoch_weights(dataset)
            else:
                bar.total, weights = min(len(dataset), MAX_BLANK_IMAGES), None
                print_log(
                    "PriorInitHook: image sizes or boxes are random; the prior is "
                    f"counted on one draw of them, on {bar.total} blank images",
                    "current",
                )
                boxes = training_boxes(dataset, annotated, bar.update)
        if has_queries(head):
            return query_prior(boxes, weights, model, head)
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


def _folder(name: str, cache_dir: str | Path | bool | None) -> Path | None:
    """Return the folder that ``cache_dir`` stands for."""
    if cache_dir is None:
        return default_cache_dir()
    if cache_dir is False or cache_dir == "":
        return None
    try:
        folder = default_cache_dir() if cache_dir is True else Path(cache_dir)
        if folder is not None:
            return folder.expanduser()
    except RuntimeError:
        pass
    raise ValueError(
        f"{name}: `cache_dir={cache_dir!r}` needs a home folder, and there is none; "
        "set HOME, or name a folder such as `cache_dir='/tmp/imb_det'`"
    )
