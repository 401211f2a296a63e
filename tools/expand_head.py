"""Write weights for more classes, from a detector of fewer, or of objects alone.

The config is that of the detector to come; its `load_from` takes what is written.
"""

from __future__ import annotations

from pathlib import Path

from imb_det.cli import load_config, make_parser, parse_args
from imb_det.decoupled.expansion import expand


def main() -> None:
    """Expand as the command line says."""
    parser = make_parser(__doc__ or "")
    add = parser.add_argument
    add("checkpoint", help="weights of the detector that there is")
    add("--fill", default="mean", choices=["mean", "keep"], help="rows of new classes")
    add("--classes", nargs="+", help="of the checkpoint (default: as it says)")
    add("--more", nargs="+", default=[], metavar="FILE", help="rows of other classes")
    add("--seed", type=int, default=0, help="of rows that start anew (default: 0)")
    add("--out", default="expanded.pth", metavar="FILE", help="(default: expanded.pth)")
    args = parse_args(parser, files=["config", "checkpoint"])
    cfg, out = load_config(args), Path(args.out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        names, more = args.classes, args.more
        lines = expand(cfg, args.checkpoint, out, args.fill, names, args.seed, more)
    except (OSError, TypeError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    print("\n".join([*lines, f"written: {out}"]))


if __name__ == "__main__":
    main()
