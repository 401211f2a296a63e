"""Fit calibrators to a trained detector, show what moves, and write config and weights.

Nothing is trained. Methods are applied in the order given: shifts of logits and weights
of experts, then those of scores, and least scores (threshold_..., average_k).
"""

from __future__ import annotations

from pathlib import Path

from imb_det.calibration.fitting import METHODS
from imb_det.calibration.options import numbers_by_method
from imb_det.calibration.session import CalibrationSession
from imb_det.calibration.what_moves import check_report
from imb_det.cli import load_config, make_parser, parse_args


def main() -> None:
    """Calibrate as the command line says."""
    parser = make_parser(__doc__ or "")
    add = parser.add_argument
    add("checkpoint", help="weights of the detector")
    add("--method", nargs="+", choices=list(METHODS), required=True)
    number = dict(nargs="+", metavar="[NAME=]NUMBER")
    add("--value", help="option of a method (gamma); by NAME of several", **number)
    add("--values", help="of a shift, to try: the best AP wins", **number)
    add(
        "--on",
        default="train",
        metavar="IMAGES",
        help="to fit on: train, train-holdout (those that `indices` of the training "
        "set leave out), or an annotation FILE of images in the test set's folder",
    )
    add("--images", type=int, help="how many images to fit on at most")
    add("--same-split", action="store_true", help="fit on the images of the test")
    add("--score-thr", type=float, default=0.3, help="of F1, recall (default: 0.3)")
    add("--resamples", type=int, default=1000, help="of the images (default: 1000)")
    add("--out", default="calibrated", metavar="DIR", help="(default: calibrated)")
    args = parse_args(parser, files=["config", "checkpoint"])
    cfg, out, images = load_config(args), Path(args.out), (args.on, args.images)
    try:
        check_report(args.score_thr, args.resamples)
        numbers = numbers_by_method(args.method, args.value, args.values)
        session = CalibrationSession(
            cfg, args.checkpoint, out, *images, same_split=args.same_split
        )
        for name in args.method:
            session.fit(name, **numbers[name])
        print(session.report(args.score_thr, args.resamples))
        files = session.write(args.config, args.checkpoint, args.cfg_options)
    except (OSError, TypeError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    print("\nwritten: " + ", ".join(map(str, files)))


if __name__ == "__main__":
    main()
