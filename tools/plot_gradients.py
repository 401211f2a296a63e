"""Draw how large the gradients of several runs were, side by side.

The runs need `dict(type='imb_det.GradientHook')` in `custom_hooks`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from imb_det import analysis
from imb_det.core.shown_text import accept_any_text


def parse_args() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Draw the classification gradient of foreground and background, "
        "and its ratio to that of the boxes, as GradientHook logged them; print their "
        "means over the second half of each run."
    )
    parser.add_argument("work_dirs", nargs="+", help="work dirs of the runs")
    parser.add_argument(
        "--names", nargs="+", help="what to call them (default: names of the folders)"
    )
    parser.add_argument(
        "--out", default="gradients.png", help="picture (default: %(default)s)"
    )
    args = parser.parse_args()
    names = args.names or [Path(folder).resolve().name for folder in args.work_dirs]
    if len(names) != len(args.work_dirs):
        parser.error(f"{len(names)} names for {len(args.work_dirs)} work dirs")
    if len(set(names)) != len(names):
        parser.error(f"two runs have one name, {names}: use --names")
    for folder in args.work_dirs:
        if not Path(folder).is_dir():
            parser.error(f"no such folder: {folder}")
    args.names = names
    return parser, args


def main() -> None:
    """Read the logs, draw and print."""
    accept_any_text()
    parser, args = parse_args()
    runs = {
        name: analysis.read_run_log(folder)
        for name, folder in zip(args.names, args.work_dirs, strict=True)
    }
    try:
        table = analysis.gradient_table(runs)
    except ValueError as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    analysis.plot_gradients(args.out, runs)
    print(analysis.gradient_text(table))
    print(f"written: {args.out}")


if __name__ == "__main__":
    main()
