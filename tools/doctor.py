"""Look at a config, its data and its model before training, and say what is wrong.

Findings come with what was seen, where, and the line to change. Exit status: 0, or 1
where something is as bad as --fail-on says.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.config import DictAction

from imb_det.core.finding import Severity
from imb_det.core.shown_text import accept_any_text
from imb_det.datasets.image_hashes import MOST_BITS
from imb_det.doctor.examination import diagnose


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("config", help="config of a training, a program in Python, which is run")
    add("--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE")
    text = "for JSON and the config that is prescribed"
    add("--out", type=Path, metavar="DIR", help=text)
    add("--html", action="store_true", help="also write a page, doctor.html, to --out")
    add("--no-images", action="store_true", help="open no image file")
    text = "look for images whose hashes differ in up to BITS of 256, such as 20"
    add("--near-copies", type=int, metavar="BITS", help=text)
    add("--max-named", type=int, default=5, metavar="N", help="of a kind (default: 5)")
    add("--fail-on", choices=[s.value for s in Severity], default="error")
    args = parser.parse_args()
    if args.html and args.out is None:
        parser.error("--html needs --out DIR, where the page is written")
    if args.no_images and args.near_copies is not None:
        parser.error("--near-copies has no effect with --no-images: leave one out")
    if args.near_copies is not None and not 0 <= args.near_copies <= MOST_BITS:
        parser.error(f"--near-copies must be 0 to {MOST_BITS}, got {args.near_copies}")
    return args


def main() -> int:
    """Examine, print, and return the exit status."""
    accept_any_text()
    args = parse_args()
    try:
        more = not args.no_images, args.out, args.html, args.near_copies
        diagnosis, _ = diagnose(args.config, args.cfg_options, *more)
    except OSError as error:  # of the folder
        sys.exit(f"doctor.py: error: {error}")
    print(diagnosis.text(args.max_named))
    return int(diagnosis.fails(Severity(args.fail_on)))


if __name__ == "__main__":
    sys.exit(main())
