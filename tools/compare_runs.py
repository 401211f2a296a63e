"""Compare methods on one test set: differences of AP with bootstrap intervals."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from imb_det import cli
from imb_det.analysis.run_comparison import compare_runs
from imb_det.core.shown_text import accept_any_text
from imb_det.evaluation.config_rules import comparable_rules


def parse_args() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Print AP of saved predictions, and how much each method is above "
        "the first one, with intervals from resampled images and seeds; write "
        "comparison.json and comparison.png."
    )
    parser.add_argument("ann_file", help="COCO or LVIS annotation file of the test set")
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="[NAME=]FILE[,FILE...]",
        help="predictions of a method, with commas between its seeds: what "
        "`tools/test.py --out` wrote (.npz) or a COCO result file (.json)",
    )
    cli.add_allow_pickle(parser)
    parser.add_argument(
        "--iou-type",
        choices=("bbox", "segm"),
        default="bbox",
        help="compare boxes or masks (default: %(default)s)",
    )
    parser.add_argument(
        "--train-ann",
        metavar="FILE",
        help="annotation file of the training set, or counts of it, for the groups of "
        "rare, common and frequent classes (default: the letters of an LVIS file)",
    )
    parser.add_argument(
        "--group-thresholds",
        nargs=2,
        type=int,
        metavar=("RARE", "COMMON"),
        help="last number of training images of a rare and of a common class (default: "
        "those of the counts, else 10 100)",
    )
    parser.add_argument(
        "--group-quantiles",
        nargs=2,
        type=float,
        metavar=("RARE", "COMMON"),
        help="shares of the classes in place of thresholds",
    )
    parser.add_argument(
        "--rules",
        choices=("coco", "lvis"),
        help="rules of the evaluation (default: by the content of ANN_FILE)",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="config whose test_evaluator says the rules, with its caps; a config is a "
        "program in Python, which is run",
    )
    parser.add_argument(
        "--classes",
        nargs="+",
        metavar="NAME",
        help="classes that the detectors know, in the order of ANN_FILE: label 0 is "
        "the first of them (default: all categories of ANN_FILE)",
    )
    parser.add_argument(
        "--max-dets",
        type=int,
        metavar="N",
        help="best detections that count: of a class in an image for COCO (default: "
        "100), of an image for LVIS (default: 300)",
    )
    parser.add_argument(
        "--resamples", type=int, default=1000, metavar="N", help="(default: 1000)"
    )
    parser.add_argument(
        "--confidence",
        type=float,
        default=0.95,
        metavar="SHARE",
        help="of the intervals (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the random numbers (default: 0)"
    )
    parser.add_argument(
        "--fixed-seeds",
        action="store_true",
        help="resample only the images: intervals for these trained models",
    )
    parser.add_argument(
        "--out",
        default=".",
        metavar="DIR",
        help="folder for the files (default: this one)",
    )
    args = parser.parse_args()
    if args.config and args.rules:
        parser.error("--rules and --config both say the rules: give one of them")
    if args.seed < 0:
        parser.error(f"--seed must be >= 0, got {args.seed}")
    named = [split_run(run) for run in args.runs]
    if twice := [n for n, k in Counter(name for name, _ in named).items() if k > 1]:
        parser.error(f"two methods have one name, {twice}: write NAME=FILE")
    args.runs = dict(named)
    return parser, args


def split_run(run: str) -> tuple[str, list[str]]:
    """Split a method into its name and files; the name is that of the first file."""
    name, equals, files = run.partition("=")
    if not equals or not name or Path(run.split(",")[0]).exists():
        files = run
        first = Path(run.split(",")[0])
        # Predictions of several runs often have one name in folders of their own.
        name = first.parent.name if first.stem == "predictions" else ""
        name = name or first.stem
    return name, files.split(",")


def main() -> None:
    """Compare as the command line says."""
    accept_any_text()
    parser, args = parse_args()
    try:
        comparison = compare_runs(
            args.ann_file,
            args.runs,
            iou_type=args.iou_type,
            train=args.train_ann,
            group_thresholds=args.group_thresholds,
            group_quantiles=args.group_quantiles,
            rules=comparable_rules(args.config) if args.config else args.rules,
            classes=args.classes,
            max_dets=args.max_dets,
            resamples=args.resamples,
            confidence=args.confidence,
            seed=args.seed,
            fixed_seeds=args.fixed_seeds,
            out_dir=args.out,
            allow_pickle=args.allow_pickle,
        )
    except (FileNotFoundError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    print(comparison.text())
    out = Path(args.out)
    print(f"\nwritten: {out / 'comparison.json'}, {out / 'comparison.png'}")


if __name__ == "__main__":
    main()
