"""Train and compare methods x seeds x data sets; interrupt and repeat it at will."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from imb_det.core.shown_text import accept_any_text
from imb_det.experiments import (
    Experiment,
    check_truth,
    compare_experiment,
    finished_results,
    publish,
    read_experiment,
    run_all,
    status,
)


def parse_args() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Do the runs of an experiment that are not finished, and write "
        "results, comparisons with intervals, plots and tables. A run that was killed "
        "goes on, a finished one is never repeated, one that fails is named at the end."
    )
    add = parser.add_argument
    add("experiment", help="file of the experiment, a program in Python, which is run")
    add("--work-dir", metavar="DIR", help="for all runs (default: as the file says)")
    add("--processes", type=int, default=1, metavar="N", help="at once (default: 1)")
    add("--threads", type=int, metavar="N", help="of each (default: shares the cores)")
    add("--methods", nargs="+", metavar="NAME", help="only these")
    add("--datasets", nargs="+", metavar="NAME", help="only these")
    add("--seeds", nargs="+", type=int, metavar="SEED", help="only these")
    add("--list", action="store_true", help="only say what there is to do")
    add(
        "--publish",
        nargs="*",
        metavar="README",
        help="write results, comparisons and plots beside the experiment's file, and "
        "tables into these files (default: README.md beside it)",
    )
    add("--resamples", type=int, default=1000, metavar="N", help="(default: 1000)")
    args = parser.parse_args()
    for name in ("processes", "threads", "resamples"):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be at least 1, got {value}")
    return parser, args


def main() -> None:
    """Run the experiment as the command line says."""
    accept_any_text()
    parser, args = parse_args()
    try:
        whole = read_experiment(args.experiment, args.work_dir)
        chosen = whole.only(args.datasets, args.methods, args.seeds)
        if not args.list:
            check_truth(chosen)
    except (FileNotFoundError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    if args.list:
        for run in chosen.runs:
            print(f"{status(run)}  {run.name}")
        return
    tools = Path(__file__).resolve().parent
    try:
        failed = run_all(chosen, tools, args.processes, args.threads)
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")
    faults = ["failed: " + ", ".join(failed)] if failed else []
    try:
        show_results(whole, args)
    except (OSError, ValueError) as error:
        faults.append(f"error: {error}")
    if faults:
        sys.exit("\n".join(faults))


def show_results(whole: Experiment, args: argparse.Namespace) -> None:
    """Print and publish tables, also of runs that were not asked for today."""
    results = finished_results(whole)
    tables = compare_experiment(whole, results, args.resamples)
    for name, file in tables.items():
        title = whole.datasets[name].title
        print(f"\n{title} ({file}):\n\n{file.read_text(encoding='utf-8')}")
    if args.publish is not None:
        files = publish(whole, args.experiment, results, args.publish or None)
        print(f"published: {', '.join(map(str, files))}")


if __name__ == "__main__":
    main()
