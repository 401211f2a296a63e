"""Split a COCO, LVIS or PASCAL VOC set so that every part has its share of every class.

Images may hold many classes. Images and boxes of each class are balanced, groups of
images stay together, and no class with images to spare is left out of training or
validation. Says what was reached, and what was impossible.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from imb_det.core.shown_text import accept_any_text
from imb_det.splitting import Parts, SplitOptions, split_dataset


def main() -> None:
    """Split as the command line says."""
    accept_any_text()
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("source", type=Path, help="annotation file, or folder of PASCAL VOC")
    how = parser.add_mutually_exclusive_group()
    parts = ["train=0.8", "val=0.2"]
    text = "of training, validation and tests (default: train=0.8 val=0.2)"
    how.add_argument(
        "--parts", nargs="+", metavar="NAME=SHARE", default=parts, help=text
    )
    how.add_argument("--folds", type=int, metavar="K", help="K folds in place of parts")
    add("--out", type=Path, default="splits", metavar="DIR", help="(default: splits)")
    add("--seed", type=int, default=0, help="(default: 0)")
    add("--list", help="VOC: of ImageSets/Main, without .txt (default: all images)")
    text = "images with the same match of this expression in their name stay together"
    add("--group-by", metavar="REGEX", help=f"{text}, or of its (groups)")
    add("--group-key", metavar="KEY", help="key of COCO images, such as video_id")
    text = "keep images together whose hashes differ in up to BITS of 256, such as 20"
    add("--near-copies", type=int, metavar="BITS", help=text)
    add("--images", type=Path, metavar="DIR", help="of the images, for their hashes")
    add("--overwrite", action="store_true", help="replace files of an earlier split")
    args = parser.parse_args()
    try:
        options = SplitOptions(
            Parts.parse(args.parts) if args.folds is None else Parts.folds(args.folds),
            args.seed,
            args.list,
            args.group_by,
            args.group_key,
            args.near_copies,
            args.images,
            args.overwrite,
        )
        report = split_dataset(args.source, args.out, options)
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    print(report.text())
    print(f"\nwritten: {args.out}")


if __name__ == "__main__":
    main()
