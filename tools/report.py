"""Report on a run: AP by class and frequency group, curves, pictures."""

from __future__ import annotations

import argparse

from imb_det import cli
from imb_det.analysis import make_report
from imb_det.core.shown_text import accept_any_text


def parse_args() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Print AP by class and frequency group, and write report.txt, "
        "report.json, predictions.png, curves.png and class_histogram.png."
    )
    parser.add_argument("work_dir", help="of the run; its config is read, but not run")
    add = parser.add_argument
    add("--config", metavar="FILE", help="another config: a program, which is run")
    add(
        "--predictions",
        metavar="FILE.npz",
        help="what `tools/test.py --out` wrote, or a result file of COCO or LVIS "
        "(.json) (default: WORK_DIR/predictions.npz)",
    )
    cli.add_allow_pickle(parser)
    add("--out", dest="out_dir", metavar="DIR", help="for files (default: WORK_DIR)")
    add(
        "--score-thr",
        type=float,
        default=0.3,
        help="least score of a detection in the picture (default: %(default)s)",
    )
    add(
        "--num-images",
        type=int,
        default=6,
        help="images in the picture, half for rare classes (default: %(default)s)",
    )
    args = parser.parse_args()
    if args.num_images < 1 or not 0 <= args.score_thr <= 1:
        parser.error("--num-images must be at least 1, --score-thr from 0 to 1")
    return parser, args


def main() -> None:
    """Make the report as the command line says."""
    accept_any_text()
    parser, args = parse_args()
    try:
        report = make_report(**vars(args))
    except (FileNotFoundError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    print(report.text())
    print("\nwritten: " + ", ".join(map(str, report.files)))


if __name__ == "__main__":
    main()
