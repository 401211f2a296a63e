"""Test a checkpoint; the command line is that of mmdet's ``tools/test.py``."""

from __future__ import annotations

import argparse
import warnings
from copy import deepcopy
from pathlib import Path
from typing import Any

from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmdet.evaluation import DumpDetResults
from mmengine.config import ConfigDict

from imb_det import cli
from imb_det.checkpoint_files import CHECKPOINT_HELP
from imb_det.checks.writable import obstacle
from imb_det.command_line.ranks import run_as_rank
from imb_det.datasets.unread_files import explain_failures
from imb_det.evaluation.prediction_dump import PredictionDump

_PICKLES = (".pkl", ".pickle")


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = cli.make_parser("Test (and evaluate) a detector")
    parser.add_argument(
        "checkpoint", help=f"path or address of the checkpoint; {CHECKPOINT_HELP}"
    )
    parser.add_argument(
        "--out",
        metavar="FILE.npz",
        help="write all predictions here, with the names of the classes; FILE.pkl "
        "writes mmdet's pickle, which can run any program when it is read",
    )
    parser.add_argument("--show", action="store_true", help="show each prediction")
    parser.add_argument(
        "--show-dir",
        metavar="DIR",
        help="paint the predictions into work_dir/<timestamp>/DIR",
    )
    parser.add_argument(
        "--wait-time", type=float, default=2, help="seconds to show one image"
    )
    parser.add_argument("--tta", action="store_true", help="augment the test images")
    args = cli.parse_args(parser, files=["config", "checkpoint"])
    if args.out is not None and (problem := problem_of(Path(args.out))):
        parser.exit(2, f"{parser.prog}: error: --out {problem}\n")
    return args


def problem_of(out: Path) -> str:
    """Return why predictions cannot be written to a file, or nothing."""
    if out.suffix not in (".npz", *_PICKLES):
        return f"must end in .npz (or .pkl, .pickle for a pickle), got '{out}'"
    if out.is_dir():
        return f"'{out}' is a folder"
    reason = obstacle(out.parent)
    return f"'{out}' cannot be written: {reason}" if reason else ""


def keep_predictions(evaluator: Any, out: str) -> None:
    """Write the predictions of a test, before any metric could fail."""
    if out.endswith(_PICKLES):
        dump = DumpDetResults(out_file_path=out)
    else:
        dump = PredictionDump(out)
        dump.dataset_meta = evaluator.dataset_meta
    evaluator.metrics.insert(0, dump)


def add_test_time_augmentation(cfg: Any) -> None:
    """Wrap the model and replace the test pipeline; defaults are those of mmdet."""
    if "tta_model" not in cfg:
        warnings.warn("The config has no `tta_model`; using the default.", stacklevel=2)
        nms = dict(type="nms", iou_threshold=0.5)
        cfg.tta_model = dict(type="DetTTAModel", tta_cfg=dict(nms=nms, max_per_img=100))
    if "tta_pipeline" not in cfg:
        warnings.warn(
            "The config has no `tta_pipeline`; using the default: flips.", stacklevel=2
        )
        dataset = cfg.test_dataloader.dataset
        while "dataset" in dataset:
            dataset = dataset["dataset"]
        meta_keys = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")
        pack = dict(
            type="PackDetInputs", meta_keys=(*meta_keys, "flip", "flip_direction")
        )
        flips = [dict(type="RandomFlip", prob=prob) for prob in (1.0, 0.0)]
        cfg.tta_pipeline = [
            *deepcopy(dataset.pipeline[:-1]),
            dict(type="TestTimeAug", transforms=[flips, [pack]]),
        ]
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline


def main() -> None:
    """Test as the command line says."""
    args = parse_args()
    cfg = cli.load_config(args)
    cfg.load_from = args.checkpoint
    if args.show or args.show_dir:
        cfg = trigger_visualization_hook(cfg, args)
    if args.tta:
        add_test_time_augmentation(cfg)
    with explain_failures(cfg):
        runner = cli.build_runner(cfg)
        if args.out is not None:
            keep_predictions(runner.test_evaluator, args.out)
        runner.test()
    cli.leave_process_group()


if __name__ == "__main__":
    run_as_rank(main)
