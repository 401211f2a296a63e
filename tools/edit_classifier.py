"""Edit the classifier of a trained detector, show what moves, and write the weights.

Nothing is trained. tau_norm divides the rows of the classes by their length to the
power of tau and drops their bias; that is dangerous in detection, as background stays.
ncm puts the mean features of the true boxes of each class into its row.
"""

from __future__ import annotations

from pathlib import Path

from imb_det.calibration.what_moves import check_report
from imb_det.cli import load_config, make_parser, parse_args
from imb_det.decoupled.edit_session import EDITS, EditSession


def main() -> None:
    """Edit as the command line says."""
    parser = make_parser(__doc__ or "")
    add = parser.add_argument
    add("checkpoint", help="weights of the detector")
    add("--method", choices=EDITS, required=True)
    add("--value", type=float, default=1.0, help="tau, or a factor (default: 1)")
    add("--keep-bias", action="store_true", help="tau_norm: leave the bias")
    add("--keep-scale", action="store_true", help="tau_norm: keep the mean length")
    add("--score-thr", type=float, default=0.3, help="of F1, recall (default: 0.3)")
    add("--resamples", type=int, default=1000, help="of the images (default: 1000)")
    add("--out", default="edited", metavar="DIR", help="(default: edited)")
    args = parse_args(parser, files=["config", "checkpoint"])
    cfg, out = load_config(args), Path(args.out)
    try:
        check_report(args.score_thr, args.resamples)
        session = EditSession(cfg, args.checkpoint, out)
        options = args.method, args.value, args.keep_bias, args.keep_scale
        session.check(*options)
        session.predict("as_trained")
        session.edit(*options)
        session.predict("edited")
        print(session.report(args.score_thr, args.resamples))
        file = session.write()
    except (OSError, TypeError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    print(f"\nwritten: {file}")


if __name__ == "__main__":
    main()
