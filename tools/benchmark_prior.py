"""Time counting the foreground prior against one epoch of loading the images.

Both run in this process, in turn; the ratio of each round is printed, and the median.
With --check the count is compared with one that sends every real image through the
data pipeline and asks the head for its targets.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.runner import Runner

from imb_det.prior import foreground_prior


def count_real_images(
    loader: torch.utils.data.DataLoader, model: torch.nn.Module
) -> tuple:
    """Count positive and all candidates over the batches of one epoch."""
    head, positive, total = model.bbox_head, 0, 0
    for batch in loader:
        data = model.data_preprocessor(batch, training=True)
        with torch.no_grad():
            scores = head(model.extract_feat(data["inputs"]))[0]
        metas = [sample.metainfo for sample in data["data_samples"]]
        anchors, valid = head.get_anchors(
            [score.shape[-2:] for score in scores], metas, device=scores[0].device
        )
        labels, weights = head.get_targets(
            anchors,
            valid,
            [sample.gt_instances for sample in data["data_samples"]],
            metas,
            [sample.ignored_instances for sample in data["data_samples"]],
        )[:2]
        for label, weight in zip(labels, weights, strict=True):
            positive += int(((weight > 0) & (label < head.num_classes)).sum())
            total += int((weight > 0).sum())
    return positive, total


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="config with an anchor head as `bbox_head`")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--check", action="store_true", help="compare with real images")
    args = parser.parse_args()
    torch.set_num_threads(1)
    register_all_modules(init_default_scope=True)
    cfg = Config.fromfile(args.config)
    cfg.train_dataloader.num_workers = 0
    dataset_cfg = cfg.train_dataloader.dataset
    while "dataset" in dataset_cfg:  # one pass over the images is one epoch
        dataset_cfg = dataset_cfg.dataset
    if args.check:  # the count stands for the image that is not flipped
        dataset_cfg.pipeline = [
            s for s in dataset_cfg.pipeline if s.type != "RandomFlip"
        ]
    cfg.train_dataloader.dataset = dataset_cfg
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    model = MODELS.build(cfg.model)
    divisor = model.data_preprocessor.pad_size_divisor
    ratios = []
    for _ in range(args.rounds):
        start = time.perf_counter()
        prior = foreground_prior(loader.dataset, model.bbox_head, divisor)
        middle = time.perf_counter()
        for _ in loader:
            pass
        end = time.perf_counter()
        ratios.append((end - middle) / (middle - start))
        print(
            f"prior {middle - start:7.3f} s   loading {end - middle:7.3f} s   "
            f"ratio {ratios[-1]:6.1f}"
        )
    print(f"median ratio {statistics.median(ratios):.1f}; {prior}")
    if args.check:
        real = count_real_images(loader, model)
        same = real == (prior.num_foreground, prior.num_candidates)
        print(f"real images: N_f = {real[0]:,}, N = {real[1]:,}: equal: {same}")
        raise SystemExit(not same)


if __name__ == "__main__":
    main()
