"""Show what the sampler of a config does to the classes, without training.

Reads the training set, builds the sampler, prints its receipt, and writes
`sampling.json` and `sampling.png`. Try other settings with --cfg-options, as in
`--cfg-options train_dataloader.sampler.repeat_thr=0.01`.
"""

from __future__ import annotations

import logging
from pathlib import Path

from mmengine.logging import MMLogger

from imb_det.cli import build_train_sampler, load_config, make_parser, parse_args
from imb_det.samplers import EpochSampler
from imb_det.samplers.receipt_plot import plot_receipt


def main() -> None:
    """Print the receipt and write the files."""
    parser = make_parser(__doc__ or "")
    parser.add_argument(
        "--epoch",
        type=int,
        default=0,
        help="epoch of a sampler that changes, counted from 0 (default: 0)",
    )
    args = parse_args(parser)
    if args.epoch < 0:
        parser.error(f"--epoch must be >= 0, got {args.epoch}")
    cfg = load_config(args)
    # What data set and sampler log by themselves is part of the receipt.
    MMLogger.get_instance("sampling", log_level=logging.WARNING)
    try:
        sampler = build_train_sampler(cfg)
    except (OSError, TypeError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    if not isinstance(sampler, EpochSampler):
        parser.exit(
            2,
            f"{parser.prog}: error: `train_dataloader.sampler` is a "
            f"{type(sampler).__name__}, which changes nothing; set for example "
            "`--cfg-options train_dataloader.sampler.type=imb_det.RepeatFactorSampler"
            " train_dataloader.sampler.repeat_thr=auto`\n",
        )
    try:
        receipt = sampler.receipt(args.epoch)
    except RuntimeError as error:  # its weights come from the training
        parser.exit(2, f"{parser.prog}: error: --epoch {args.epoch}: {error}\n")
    print(receipt.text())
    path = Path(cfg.work_dir, "sampling.json")
    receipt.to_json(path)
    plot_receipt(path.with_suffix(".png"), receipt)
    print(f"\nwritten: {path}, {path.with_suffix('.png')}")


if __name__ == "__main__":
    main()
