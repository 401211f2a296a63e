"""Merge checkpoints of detectors that were fine-tuned from one start, and test them.

The first checkpoint is the one whose classes, and whole numbers, the result has; with a
rule other than uniform and greedy it is the base that the others were fine-tuned from.
"""

from __future__ import annotations

from pathlib import Path

from imb_det.cli import load_config, make_parser, parse_args
from imb_det.evaluation.functional import text_table
from imb_det.merging.options import read_parts, refuse_unused
from imb_det.merging.rules import RULES
from imb_det.merging.session import MergingSession


def main() -> None:
    """Merge as the command line says."""
    parser = make_parser(__doc__ or "")
    add = parser.add_argument
    add("checkpoints", nargs="+")
    add("--rule", default="uniform", choices=[*RULES, "greedy", "position"])
    add("--values", type=float, nargs="+", help="alpha, or scales: the best AP wins")
    add("--parts", nargs="+", metavar="PART=VALUE", help="backbone=0.2 ...")
    add("--keep", type=float, help="ties: share of each change (default: 0.2)")
    add("--steps", type=int, help="of position (default: 50)")
    add("--by-part", action="store_true", help="position: a factor for each part")
    add("--images", type=int, default=200, help="to count normalisation (default: 200)")
    add("--out", default="merged", metavar="DIR", help="(default: merged)")
    args = parse_args(parser)
    cfg, out = load_config(args), Path(args.out)
    has_base = args.rule not in ("uniform", "greedy")
    try:
        refuse_unused(args)
        parts = read_parts(args.parts or ())
        session = MergingSession(cfg, args.checkpoints, out, has_base, args.keep)
        print(session.parents.text())
        if args.rule == "greedy":
            state = session.greedy(args.images)
        elif args.rule == "position":
            state = session.positioned(args.steps or 50, args.by_part)
            state = session.recount(state, args.images)
        else:
            state = session.best_of(args.rule, args.values or (), parts, args.images)
        if args.rule in ("greedy", "position"):
            found = session.figures(state)
            print(text_table(["detector", *found], [[args.rule, *found.values()]]))
        session.write(state, out / "merged.pth")
    except (OSError, TypeError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    print(f"written: {out / 'merged.pth'}")


if __name__ == "__main__":
    main()
