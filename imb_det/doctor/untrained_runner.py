"""The runner of a training that never begins."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from imb_det.core.finding import Finding, FindingsError
from imb_det.core.hand_over import HandOver
from imb_det.core.listener import ClassStatsListener
from imb_det.heads.head_counts import counts_of_heads
from imb_det.runner_parts import components_of, context_of, places_of

from .context import DoctorContext

__all__ = ["context_of_training", "untrained_runner"]


def untrained_runner(
    cfg: Any, model: Any, datasets: Any, metrics: Any, hooks: list[Hook]
) -> Runner:
    """Return a runner that is ready to train, and writes to a folder that goes away.

    Args:
        cfg: Config of a training, of which all is taken that is not given here.
        model: Built.
        datasets: Built, by split.
        metrics: Built evaluators, by split.
        hooks: Built custom hooks.
    """
    parts: dict[str, Any] = {}
    for split in ("train", "val", "test"):
        is_there = split in datasets and (split == "train" or split in metrics)
        loader = dict(cfg[f"{split}_dataloader"]) if is_there else None
        if loader is not None:
            loader["dataset"] = datasets[split]
        parts[f"{split}_dataloader"] = loader
        parts[f"{split}_cfg"] = cfg.get(f"{split}_cfg") if is_there else None
        if split != "train":
            parts[f"{split}_evaluator"] = metrics[split] if is_there else None
    with tempfile.TemporaryDirectory(prefix="imb_det_doctor_") as folder:
        runner = Runner(
            model=model,
            work_dir=folder,
            **parts,
            optim_wrapper=cfg.get("optim_wrapper"),
            param_scheduler=cfg.get("param_scheduler"),
            auto_scale_lr=cfg.get("auto_scale_lr"),
            default_hooks=cfg.get("default_hooks"),
            custom_hooks=hooks,
            default_scope=cfg.get("default_scope") or "mmdet",
            log_level="CRITICAL",
            visualizer=None,
            cfg=_unformatted(cfg),
            experiment_name=f"doctor_{id(cfg)}",
        )
        runner._train_loop = runner.build_train_loop(runner._train_loop)
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        if runner.param_schedulers is not None:
            runner.param_schedulers = runner.build_param_scheduler(
                runner.param_schedulers
            )
    return runner


class _Unformatted(Config):
    """A config whose text is not laid out, which takes a runner seconds."""

    @property
    def pretty_text(self) -> str:
        """Return nothing: the file goes away with its folder."""
        return ""


def _unformatted(cfg: Any) -> Any:
    """Return the same config, whose text nobody needs."""
    if not isinstance(cfg, Config):
        return cfg
    other = _Unformatted.__new__(_Unformatted)
    other.__dict__.update(cfg.__dict__)
    return other


def context_of_training(
    runner: Runner,
    datasets: Mapping[str, Any],
    metrics: Mapping[str, Any],
    known: dict[str, Any],
    found: list[Finding],
) -> DoctorContext:
    """Hand the counts over, and return what a hook would look at, and the config.

    Args:
        runner: Of the training.
        datasets: By split.
        metrics: Evaluators, by split.
        known: Other fields of the context, the counts among them.
        found: Findings, to which refusals are added.
    """
    val_loop = runner.val_loop if "val" in metrics else None
    if (stats := known["class_stats"]) is not None:
        components = components_of(runner, val_loop, for_training=True)
        own = counts_of_heads(components, stats)
        try:
            hand_over = HandOver(ClassStatsListener, "set_class_stats")
            hand_over(components, stats, places_of(runner), own)
        except FindingsError as error:
            found += error.findings
    plain = context_of(runner, for_training=True, val_loop=val_loop)
    fields = {name: getattr(plain, name) for name in plain.__dataclass_fields__}
    fields.update(known)
    fields["datasets"] = datasets
    fields["metrics"] = {split: e.metrics for split, e in metrics.items()}
    return DoctorContext(**fields)
