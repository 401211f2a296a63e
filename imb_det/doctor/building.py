"""Builds the parts of a config, each alone, so that one that fails hides no other."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, HOOKS, MODELS, init_default_scope
from mmengine.runner import Runner

from imb_det.checks.class_counts import count_classes
from imb_det.core.finding import Finding, FindingsError
from imb_det.datasets.unread_files import explain_failures
from imb_det.statistics import GroupLimits

from .context import DoctorContext
from .failures import absent_part, failed_part
from .known_types import unknown_types
from .untrained_runner import context_of_training, untrained_runner

__all__ = ["build_context"]

_TESTED = ("test", "val")
_SPLITS = ("train", "val", "test")


def build_context(
    config: Any,
    config_file: str = "",
    look_at_images: bool = True,
    hash_distance: int | None = None,
) -> tuple[DoctorContext, list[Finding]]:
    """Build everything that a training would, and hand the counts over.

    Args:
        config: Config of mmengine, which stays as it is.
        config_file: Its path, for messages.
        look_at_images: Whether checks may open image files. Default: True.
        hash_distance: Bits in which hashes of near copies may differ. Default: None,
            they are not looked for.

    Returns:
        What could be built, and a finding for each part that could not.
    """
    cfg = copy.deepcopy(config)
    # A look at a config is no training: what parts log by themselves is not wanted.
    if not MMLogger.check_instance_created("doctor"):
        MMLogger.get_instance("doctor", log_level="CRITICAL")
    init_default_scope(cfg.get("default_scope") or "mmdet")
    found = list(unknown_types(cfg))

    def build(code: str, what: str, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except FindingsError as error:
            found.extend(error.findings)
        except (Exception, SystemExit) as error:  # of anybody's class
            found.append(failed_part(code, what, error))
        return None

    model = None
    if cfg.get("model") is None:
        found.append(absent_part("model"))
    else:
        model = build("model", "`model`", partial(MODELS.build, cfg.model))
    datasets = {}
    for split in _SPLITS:
        loader = cfg.get(f"{split}_dataloader")
        if not isinstance(loader, Mapping):
            if split == "train":
                found.append(absent_part("train_dataloader"))
            continue
        if split == "test" and _is_that_of_val(cfg):
            continue
        name = f"`{split}_dataloader.dataset`"
        dataset = build(f"{split}_data", name, partial(_dataset, cfg, split))
        if dataset is not None:
            datasets[split] = dataset
    metrics = {}
    for split in _SPLITS[1:]:
        judge = cfg.get(f"{split}_evaluator")
        if judge is not None and split in datasets:
            name = f"`{split}_evaluator`"
            evaluator = build(f"{split}_metrics", name, partial(Evaluator, judge))
            if evaluator is not None:
                evaluator.dataset_meta = getattr(datasets[split], "metainfo", None)
                metrics[split] = evaluator
    hooks = []
    entries = cfg.get("custom_hooks") or ()
    if not isinstance(entries, (list, tuple)):
        named = f"must be a list of hooks, got {entries!r}"
        found.append(failed_part("hook", "`custom_hooks`", TypeError(named)))
        cfg.custom_hooks = entries = ()
    for place, entry in enumerate(entries):
        name = f"`custom_hooks[{place}]`"
        hook = build("hook", name, partial(_hook, entry))
        hooks += [hook] if hook is not None else []
    stats = None
    if "train" in datasets:
        stats, uncounted = count_classes(datasets["train"])
        found += uncounted
        if stats is not None:
            stats = stats.with_limits(GroupLimits.from_config(cfg))
    known: dict[str, Any] = dict(
        class_stats=stats,
        look_at_images=look_at_images,
        hash_distance=hash_distance,
        config=config,
        config_file=config_file,
    )
    context = None
    if model is not None and "train" in datasets:
        make = partial(untrained_runner, cfg, model, datasets, metrics, hooks)
        runner = build("training", "the training", make)
        if runner is not None:
            context = context_of_training(runner, datasets, metrics, known, found)
    if context is None:
        loader = None
        if "train" in datasets:
            make = partial(_train_loader, cfg, datasets["train"])
            if model is None:
                loader = build("training", "`train_dataloader`", make)
            else:
                with suppress(Exception):  # which is told with the training
                    loader = make()
        context = DoctorContext(
            model=model,
            train_dataloader=loader,
            datasets=datasets,
            metrics={split: e.metrics for split, e in metrics.items()},
            components=[*(model.modules() if model is not None else ()), *hooks],
            hooks=hooks,
            **known,
        )
    return context, found


def _is_that_of_val(cfg: Any) -> bool:
    """Tell whether the test uses what the validation does; it is looked at once."""
    test, val = ((cfg.get(f"{s}_dataloader") or {}).get("dataset") for s in _TESTED)
    return test == val and cfg.get("test_evaluator") == cfg.get("val_evaluator")


def _dataset(cfg: Any, split: str) -> Any:
    loader = cfg[f"{split}_dataloader"]
    if "dataset" not in loader:
        raise ValueError("has no `dataset`")
    with explain_failures({f"{split}_dataloader": {"dataset": loader.dataset}}):
        try:
            dataset = DATASETS.build(loader.dataset)
            if hasattr(dataset, "full_init"):
                dataset.full_init()
        except ValueError as error:
            if "need at least one array" not in str(error):
                raise
            # What mmengine ends with where it is to store no image.
            text = "no image is listed in its annotation file"
            if filters := loader.dataset.get("filter_cfg"):
                text = f"no image is left with filter_cfg={filters}, for the classes of"
                text += " `metainfo`"
            raise ValueError(text) from error
    return dataset


def _hook(entry: Any) -> Hook:
    hook = HOOKS.build({k: v for k, v in entry.items() if k != "priority"})
    if "priority" in entry:
        hook.priority = entry["priority"]
    return hook


def _train_loader(cfg: Any, dataset: Any) -> Any:
    """Return the loader of a training that cannot be built as a whole."""
    loader = dict(copy.deepcopy(cfg.train_dataloader), dataset=dataset)
    return Runner.build_dataloader(loader, seed=0)
