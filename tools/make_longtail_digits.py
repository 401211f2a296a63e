"""Make the long-tailed digits data set: COCO, LVIS and VOC form from one seed."""

from __future__ import annotations

import argparse
import sys

from tqdm import tqdm

from imb_det.digits import (
    DigitsOptions,
    find_longtail_digits,
    make_longtail_digits,
    summary_table,
)

IMAGES_PER_SECOND = 150  # on one CPU core


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="data/longtail_digits", help="folder to make")
    parser.add_argument("--seed", type=int, default=0, help="seed of the data set")
    parser.add_argument("--num-train", type=int, default=1500, help="training images")
    parser.add_argument("--num-val", type=int, default=800, help="validation images")
    parser.add_argument("--force", action="store_true", help="replace one that exists")
    args = parser.parse_args()
    try:
        args.options = DigitsOptions(args.seed, args.num_train, args.num_val)
    except ValueError as error:
        parser.error(str(error))
    return args


def main() -> str | int:
    """Make the data set; return an error line or an exit status."""
    args = parse_args()
    total = args.options.num_train + args.options.num_val
    try:
        manifest = find_longtail_digits(args.out, args.options, force=args.force)
        if manifest is None:
            seconds = 3 + total // IMAGES_PER_SECOND
            print(f"Making {total} scenes in {args.out}: about {seconds} s", flush=True)
            manifest = make_longtail_digits(
                args.out, args.options, force=args.force, progress=tqdm
            )
        else:
            print(f"{args.out} is complete, nothing to do")
    except (ImportError, OSError, RuntimeError) as error:
        return f"error: {error}"
    except KeyboardInterrupt:
        print("interrupted; nothing was left behind, run it again", file=sys.stderr)
        return 130
    print(summary_table(manifest))
    return 0


if __name__ == "__main__":
    sys.exit(main())
