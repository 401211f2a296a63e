"""What ``tools/train.py`` and ``tools/test.py`` share: mmdet's command line."""

from __future__ import annotations

import argparse
import datetime
import gc
import logging
import os
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import torch
import torch.distributed as torch_dist
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config, DictAction
from mmengine.logging import MMLogger, print_log
from mmengine.registry import DATA_SAMPLERS, DATASETS, RUNNERS, init_default_scope
from mmengine.runner import Runner

from imb_det.command_line.config_keys import misspelt_keys
from imb_det.core.finding import FindingsError, raise_findings
from imb_det.core.shown_text import accept_any_text
from imb_det.datasets.unread_files import explain_failures
from imb_det.samplers import EpochSampler
from imb_det.statistics import ClassStats, GroupLimits

__all__ = [
    "add_allow_pickle",
    "build_runner",
    "build_train_sampler",
    "count_classes",
    "leave_process_group",
    "load_config",
    "make_parser",
    "parse_args",
    "work_dir_of",
]


_CONFIG_HELP = "path of the config file, a program in Python, which is run"


def make_parser(
    description: str, config_help: str = _CONFIG_HELP
) -> argparse.ArgumentParser:
    """Create a parser with the arguments that training and testing share.

    Args:
        description: First line of the help text.
        config_help: What ``config`` is. Default: a config file.

    Returns:
        Parser that knows ``config``, ``--work-dir``, ``--cfg-options``,
        ``--launcher`` and ``--local-rank``.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("config", help=config_help)
    parser.add_argument("--work-dir", help="folder for logs, checkpoints and results")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="replace settings of the config: `a.b=1`, lists as `key=1,2` or "
        '`key="[1,2]"`, nested as `key="[(a,b),(c,d)]"`; quote them, no blanks inside',
    )
    parser.add_argument(
        "--launcher",
        choices=["none", "pytorch", "slurm", "mpi"],
        default="none",
        help="what starts the processes of a distributed run (default: none)",
    )
    # torch.distributed.launch passes one spelling or the other, by version.
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0)
    return parser


def add_allow_pickle(parser: argparse.ArgumentParser) -> None:
    """Add ``--allow-pickle``, the same for all tools that read predictions.

    Args:
        parser: Of the tool.
    """
    parser.add_argument(
        "--allow-pickle",
        action="store_true",
        help="also read predictions that are a pickle (.pkl, .pickle). WARNING: a "
        "pickle can run any program when it is read; allow it only for files whose "
        "makers you trust",
    )


def parse_args(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
    files: Sequence[str] = ("config",),
) -> argparse.Namespace:
    """Parse the command line and stop with one line where a file is missing.

    ``LOCAL_RANK`` is set from ``--local-rank`` unless the launcher has set it.

    Args:
        parser: From :func:`make_parser`.
        argv: Arguments; ``None`` takes those of the process.
        files: Names of the arguments that hold the path of an existing file. No
            value, ``auto`` and addresses (``https://...``, ``s3://...``) pass.

    Returns:
        The parsed arguments.
    """
    accept_any_text()
    args = parser.parse_args(argv)
    for name in files:
        path = getattr(args, name)
        if path in (None, "auto") or "://" in path or Path(path).is_file():
            continue
        found = "is a folder" if Path(path).is_dir() else "does not exist"
        parser.exit(2, f"{parser.prog}: error: {name} file '{path}' {found}\n")
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    return args


def load_config(args: argparse.Namespace) -> Any:
    """Read the config and apply what the command line says about it.

    The work dir is the one of the command line, else the one of the config, else
    ``work_dirs/<name of the config>``. Names without a scope are looked up in mmdet
    unless the config says otherwise.

    Args:
        args: From :func:`parse_args`.

    Returns:
        The config (:class:`mmengine.config.Config`).

    Raises:
        SystemExit: It has keys that nobody reads, and that are nearly one that is read.
    """
    setup_cache_size_limit_of_dynamo()
    cfg = Config.fromfile(args.config)
    cfg.launcher = args.launcher
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    if args.work_dir is not None or cfg.get("work_dir") is None:
        cfg.work_dir = work_dir_of(args)
    if cfg.get("default_scope") is None:
        cfg.default_scope = "mmdet"
    try:
        raise_findings(misspelt_keys(cfg), str(args.config))
    except FindingsError as error:
        raise SystemExit(str(error)) from None
    return cfg


def work_dir_of(args: argparse.Namespace) -> str:
    """Return the work dir of the command line, else one named for the first file.

    Args:
        args: From :func:`parse_args`.
    """
    if args.work_dir is not None:
        return str(args.work_dir)
    return os.path.join("./work_dirs", Path(args.config).stem)


def build_runner(cfg: Any) -> Any:
    """Build mmengine's runner, or the one that ``runner_type`` names.

    Args:
        cfg: From :func:`load_config`.

    Returns:
        The runner, ready to train or test.
    """
    if cfg.launcher == "pytorch" and not torch.cuda.is_available():
        _prepare_cpu_rank(cfg)
    runner = RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)
    _log_in_unicode()
    return runner


def _log_in_unicode() -> None:
    """Let the log file take names of any language; mmengine asks the locale."""
    for handler in MMLogger.get_current_instance().handlers:
        if isinstance(handler, logging.FileHandler) and isinstance(
            handler.stream, TextIOWrapper
        ):
            handler.stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def build_train_sampler(cfg: Any) -> Any:
    """Build the sampler of the training set without a runner.

    Args:
        cfg: From :func:`load_config`.

    Returns:
        The sampler, with the seed of the config, else 0, and the limits of groups that
        the config gives ``ImbalanceHook``.
    """
    init_default_scope(cfg.default_scope)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    seed = cfg.get("randomness", {}).get("seed") or 0
    sampler = DATA_SAMPLERS.build(
        cfg.train_dataloader.sampler, default_args=dict(dataset=dataset, seed=seed)
    )
    if isinstance(sampler, EpochSampler):
        limits = GroupLimits.from_config(cfg)
        sampler.set_class_stats(sampler.class_stats.with_limits(limits))
    return sampler


def count_classes(cfg: Any, split: str = "train") -> ClassStats:
    """Count the data set of a loader, with the limits of groups of the config.

    Args:
        cfg: From :func:`load_config`.
        split: ``'train'``, ``'val'`` or ``'test'``.

    Returns:
        The counts.

    Raises:
        ValueError: The config has no such loader, or its files are malformed.
    """
    loader = cfg.get(f"{split}_dataloader")
    if not loader:
        raise ValueError(f"the config has no `{split}_dataloader`")
    init_default_scope(cfg.default_scope)
    with explain_failures({f"{split}_dataloader": {"dataset": loader.dataset}}):
        stats = ClassStats.from_dataset(DATASETS.build(loader.dataset))
    return stats.with_limits(GroupLimits.from_config(cfg))


def leave_process_group() -> None:
    """End the process group of a distributed run; a tool's last line.

    The threads of a group hold tensors of its last collectives. If Python exits
    before they have let go of them, the process aborts now and then, after all work
    is done. The group joins its threads when nothing uses it any more, so the model
    of the runner, which does, has to go first.
    """
    if torch_dist.is_initialized():
        gc.collect()
        torch_dist.destroy_process_group()


def _prepare_cpu_rank(cfg: Any) -> None:
    """Make mmengine run DDP on a machine without CUDA.

    By default it takes nccl, calls CUDA while it makes the process group, and wraps the
    model for the GPU of the rank: none of it works there. It leaves a group that exists
    alone, so the group is made here; the wrapper is told to use no GPU. Other backends
    than nccl and gloo (and so other accelerators) stay with mmengine.
    """
    dist_cfg = dict(cfg.get("env_cfg", {}).get("dist_cfg", {}))
    backend = dist_cfg.get("backend", "nccl")
    if backend not in ("nccl", "gloo"):
        return
    if not torch_dist.is_initialized():
        if backend == "nccl":
            print_log(
                "No CUDA device: the ranks talk through gloo in place of nccl.",
                logger="current",
                level=logging.WARNING,
            )
        seconds = dist_cfg.get("timeout")
        torch_dist.init_process_group(
            "gloo",
            timeout=None if seconds is None else datetime.timedelta(seconds=seconds),
        )
    wrapper = cfg.get("model_wrapper_cfg") or dict(
        type="MMDistributedDataParallel",
        broadcast_buffers=False,
        find_unused_parameters=cfg.get("find_unused_parameters", False),
    )
    wrapper.setdefault("device_ids", None)
    cfg.model_wrapper_cfg = wrapper
