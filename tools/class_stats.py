"""Count the classes of a config or an annotation file, and what follows from it.

Prints images and boxes of each class, frequency groups, class weights by each rule and
repeat factors, as a table in Markdown to read or to paste. Writes `class_stats.json`,
from which counts can be read as from annotations, and `class_stats.md`.
"""

from __future__ import annotations

import logging
from pathlib import Path

from mmengine.logging import MMLogger

from imb_det import cli
from imb_det.statistics import ClassStats
from imb_det.statistics.class_overview import ClassOverview

_OF_CODE = (AssertionError, AttributeError, ImportError, SyntaxError, TypeError)
UNREADABLE = (*_OF_CODE, KeyError, OSError, ValueError)


def main() -> None:
    """Count as the command line says."""
    parser = cli.make_parser(
        __doc__ or "",
        "config file, a program in Python, which is run; or a file of COCO, LVIS or "
        "panoptic annotations, or of counts (.json)",
    )
    text = "which data set of the config (default: train)"
    parser.add_argument("--of", choices=["train", "val", "test"], help=text)
    text = "classes in the printed table, the most frequent and the rarest; 0: all"
    parser.add_argument("--rows", type=int, default=60, help=f"{text} (default: 60)")
    args = cli.parse_args(parser)
    is_file = args.config.endswith(".json")
    if args.rows < 0 or (is_file and (args.of or args.cfg_options)):
        parser.error("--rows must be >= 0; --of and --cfg-options are for configs")
    # What data sets log by themselves would stand in the middle of the table.
    MMLogger.get_instance("class_stats", log_level=logging.WARNING)
    source, folder = args.config, cli.work_dir_of(args)
    try:
        if is_file:
            stats = ClassStats.from_file(args.config)
        else:
            cfg = cli.load_config(args)
            stats = cli.count_classes(cfg, args.of or "train")
            source, folder = f"{source} ({args.of or 'train'})", cfg.work_dir
        overview = ClassOverview(stats, source)
        path = Path(folder, "class_stats.json")
        overview.write(path)
    except UNREADABLE as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    print(overview.markdown(args.rows or None))
    print(f"\nwritten: {path}, {path.with_suffix('.md')}")


if __name__ == "__main__":
    main()
