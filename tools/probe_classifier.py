"""Show whether the features or the classifier of a detector lose the rare classes.

The outputs of the backbone are averaged over the true boxes of training and test set,
and logistic regressions on them are compared: plain, with class weights, with logit
adjustment. No detector is trained; the backbone is that of the config, with its
pretrained weights, or that of --checkpoint.
"""

from __future__ import annotations

import logging

import torch
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import load_checkpoint

from imb_det.analysis.box_features import box_dataset, box_features
from imb_det.analysis.probe import probe, probe_table
from imb_det.cli import load_config, make_parser, parse_args
from imb_det.statistics import ClassStats, GroupLimits


def main() -> None:
    """Print the table."""
    parser = make_parser(__doc__ or "")
    add = parser.add_argument
    add("--checkpoint", help="of the detector (default: the config's pretrained one)")
    add("--flip", action="store_true", help="mirrored training images come too")
    add("--weight-decay", type=float, default=0.01, help="> 0 (default: 0.01)")
    args = parse_args(parser)
    if not args.weight_decay > 0:
        parser.error(f"--weight-decay must be > 0, got {args.weight_decay}")
    cfg = load_config(args)
    for name in ("train_dataloader", "test_dataloader"):
        if cfg.get(name) is None:
            parser.error(f"{args.config} lacks {name}")
    MMLogger.get_instance("probe", log_level=logging.WARNING)
    torch.manual_seed(0)
    try:
        init_default_scope(cfg.get("default_scope", "mmdet"))
        steps = cfg.test_dataloader.dataset.pipeline
        train = box_dataset(cfg.train_dataloader, steps)
        test = box_dataset(cfg.test_dataloader, steps)
        stats = ClassStats.from_dataset(train)
        model = MODELS.build(cfg.model)
        model.init_weights()
        if args.checkpoint:
            load_checkpoint(model, args.checkpoint, map_location="cpu")
        known = box_features(model, train, args.flip), box_features(model, test)
    except (OSError, TypeError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    print(f"{len(known[0][1])} training boxes, {len(known[1][1])} test boxes\n")
    stats = stats.with_limits(GroupLimits.from_config(cfg))
    print(probe_table(stats, probe(*known, stats, args.weight_decay)), end="")


if __name__ == "__main__":
    main()
