"""Put detectors of the same classes together as one, test it, and write it.

Nothing is trained. Members of other pretraining have seen other things; compare with as
many seeds of one pretraining before you thank it.
"""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from imb_det.cli import load_config, make_parser, parse_args
from imb_det.merging.backdoor_ensemble import FUSES
from imb_det.merging.ensemble_session import EnsembleSession


def main() -> None:
    """Put together as the command line says."""
    parser = make_parser(__doc__ or "")
    add = parser.add_argument
    add("checkpoints", nargs="+", help="of the members, that of the config first")
    add(
        "--configs",
        nargs="+",
        metavar="FILE",
        help="of all members but the first (default: all have that of the first)",
    )
    add("--fuse", default="logits", choices=FUSES, help="(default: logits)")
    add("--weights", type=float, nargs="+", help="of the members (default: the same)")
    add("--iou-thr", type=float, help="boxes: overlap of one object (default: 0.55)")
    add("--out", default="ensemble", metavar="DIR", help="(default: ensemble)")
    args = parse_args(parser)
    cfg, out = load_config(args), Path(args.out)
    options = dict(fuse=args.fuse, weights=args.weights, iou_thr=args.iou_thr)
    try:
        others = args.configs and [Config.fromfile(file) for file in args.configs]
        session = EnsembleSession(cfg, args.checkpoints, out, others, **options)
        print(session.report())
        files = session.write(args.config, args.cfg_options)
    except (OSError, TypeError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    print("written: " + ", ".join(map(str, files)))


if __name__ == "__main__":
    main()
