"""Score a result file with the metrics of a config, without a model."""

from __future__ import annotations

from imb_det import cli
from imb_det.evaluation.offline import score_file


def main() -> None:
    """Score as the command line says."""
    parser = cli.make_parser("Score saved predictions with the config's metrics")
    parser.add_argument(
        "results",
        help="what `tools/test.py --out` wrote (.npz), or a COCO or LVIS result file "
        "(.json)",
    )
    cli.add_allow_pickle(parser)
    args = cli.parse_args(parser, files=["config", "results"])
    try:
        figures = score_file(cli.load_config(args), args.results, args.allow_pickle)
    except (FileNotFoundError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    for name, value in figures.items():
        print(f"{name}: {value:.6g}")


if __name__ == "__main__":
    main()
