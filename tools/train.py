"""Train a detector; the command line is that of mmdet's ``tools/train.py``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from imb_det import cli
from imb_det.checkpoint_files import CHECKPOINT_HELP
from imb_det.command_line.ranks import run_as_rank
from imb_det.command_line.resume_point import resume_point
from imb_det.command_line.work_dir_lock import lock_work_dir
from imb_det.datasets.unread_files import explain_failures


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = cli.make_parser("Train a detector")
    parser.add_argument(
        "--amp", action="store_true", help="train with automatic mixed precision"
    )
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate by the real batch size over the config's base",
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="resume from this checkpoint; without one, from the latest in the work "
        f"dir, if any; {CHECKPOINT_HELP}",
    )
    return cli.parse_args(parser, files=["config", "resume"])


def apply_training_options(cfg: Any, args: argparse.Namespace) -> None:
    """Write ``--amp``, ``--auto-scale-lr`` and ``--resume`` into the config.

    The work folder is this training's from now on.
    """
    if args.amp:
        cfg.optim_wrapper.type = "AmpOptimWrapper"
        cfg.optim_wrapper.loss_scale = "dynamic"
    if args.auto_scale_lr:
        if not {"enable", "base_batch_size"} <= (cfg.get("auto_scale_lr") or {}).keys():
            raise RuntimeError(
                "`--auto-scale-lr` needs `auto_scale_lr = dict(enable=..., "
                "base_batch_size=...)` in the config"
            )
        cfg.auto_scale_lr.enable = True
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == "auto" else args.resume
    lock_work_dir(cfg.work_dir)
    if cfg.get("resume"):
        cfg.load_from = resume_point(cfg.work_dir, cfg.get("load_from"))


def main() -> None:
    """Train as the command line says."""
    args = parse_args()
    cfg = cli.load_config(args)
    try:
        apply_training_options(cfg, args)
    except OSError as error:  # of the work folder and its checkpoints
        sys.exit(f"train.py: error: {error}")
    with explain_failures(cfg):
        cli.build_runner(cfg).train()
    cli.leave_process_group()


if __name__ == "__main__":
    run_as_rank(main)
