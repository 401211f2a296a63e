"""Test a checkpoint; the command line is that of mmdet's ``tools/test.py``."""

from __future__ import annotations

import argparse
import warnings
from copy import deepcopy
from typing import Any

from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmdet.evaluation import DumpDetResults
from mmengine.config import ConfigDict

from imb_det import cli
from imb_det.command_line.ranks import run_as_rank


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = cli.make_parser("Test (and evaluate) a detector")
    parser.add_argument("checkpoint", help="path or address of the checkpoint")
    parser.add_argument("--out", metavar="FILE.pkl", help="write all predictions here")
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
    if args.out is not None and not args.out.endswith((".pkl", ".pickle")):
        parser.exit(2, f"{parser.prog}: error: --out must end in .pkl or .pickle\n")
    return args


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
    runner = cli.build_runner(cfg)
    if args.out is not None:
        runner.test_evaluator.metrics.append(DumpDetResults(out_file_path=args.out))
    runner.test()
    cli.leave_process_group()


if __name__ == "__main__":
    run_as_rank(main)
