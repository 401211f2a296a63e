"""Time training steps without sampling heuristics, and the memory they need.

For each config four models train on the same made-up images, one step each in every
round, so that a busy machine is busy for all of them:

- plain: the heads of mmdet with the losses and samples of the config, all of them;
- sampling-free: the config;
- with GradientHook: the config, and the sizes of the gradients logged;
- heuristic: the config's twin, with focal loss or sampled mini-batches.

The tables have medians and quartiles of the ratio to the plain step of the same round,
and the peak of what a step allocates. `--roi-memory` has the memory of the losses of a
RoI head for an image instead, at sizes of COCO and LVIS.
"""

from __future__ import annotations

import argparse
import copy
import inspect
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from mmengine.logging import MessageHub, MMLogger
from mmengine.structures import InstanceData
from mmengine.utils import ProgressBar

from imb_det.analysis.measuring import machine, peak_memory, seconds
from imb_det.core.shown_text import write_text
from imb_det.heads import GuidedLossScaling
from imb_det.hooks import GradientHook

CONFIGS = Path(__file__).parents[1] / "configs" / "sampling_free"
#: Config and heuristic twin.
CASES = {
    f"{CONFIGS}/{model}_sampling-free_longtail-digits.py": (
        f"{CONFIGS}/{model}_{twin}_longtail-digits.py"
    )
    for model, twin in (
        ("retinanet_r18_fpn", "focal"),
        ("fcos_r18_fpn", "focal"),
        ("atss_r18_fpn", "focal"),
        ("faster-rcnn_r18_fpn", "biased-sampling"),
        ("mask-rcnn_r18_fpn", "biased-sampling"),
        ("cascade-rcnn_r18_fpn", "biased-sampling"),
    )
}
PREFIX = "imb_det.SamplingFree"
#: Settings that mmdet's heads do not have.
OURS = (
    "adaptive_thr",
    *(
        name
        for name, argument in inspect.signature(GuidedLossScaling).parameters.items()
        if argument.kind is inspect.Parameter.KEYWORD_ONLY
    ),
)
#: Proposals of an image and classes.
ROI_SIZES = (
    ("COCO", 1000, 80),
    ("COCO", 2000, 80),
    ("LVIS", 1000, 1203),
    ("LVIS", 2000, 1203),
)
ROI_LOSSES = {
    "mmdet CrossEntropyLoss": dict(type="CrossEntropyLoss"),
    "imb_det.CrossEntropyLoss": dict(type="imb_det.CrossEntropyLoss"),
    "imb_det.CrossEntropyLoss, sigmoid": dict(
        type="imb_det.CrossEntropyLoss", use_sigmoid=True
    ),
}


def without_scaling(config: Any) -> Any:
    """Return a model's config with mmdet's heads in place of the guided ones."""
    if isinstance(config, dict):
        plain = {key: without_scaling(value) for key, value in config.items()}
        if str(plain.get("type")).startswith(PREFIX):
            plain["type"] = plain["type"].removeprefix(PREFIX)
            for key in OURS:
                plain.pop(key, None)
        return ConfigDict(plain)
    if isinstance(config, list):
        return [without_scaling(value) for value in config]
    return config


def make_batch(size: int, images: int, boxes: int, classes: int) -> dict:
    """Make up images, boxes and masks that fill them."""
    generator = torch.Generator().manual_seed(0)
    samples = []
    for _ in range(images):
        corner = torch.rand(boxes, 2, generator=generator) * size * 0.7
        side = (0.1 + 0.2 * torch.rand(boxes, 2, generator=generator)) * size
        sample = DetDataSample(metainfo=dict(img_shape=(size, size)))
        sample.gt_instances = InstanceData(
            bboxes=torch.cat([corner, corner + side], 1),
            labels=torch.randint(classes, (boxes,), generator=generator),
        )
        masks = np.zeros((boxes, size, size), np.uint8)
        for mask, (x1, y1, x2, y2) in zip(
            masks, sample.gt_instances.bboxes.long().tolist(), strict=True
        ):
            mask[y1:y2, x1:x2] = 1
        sample.gt_instances.masks = BitmapMasks(masks, size, size)
        sample.ignored_instances = InstanceData(
            bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long)
        )
        samples.append(sample)
    pixels = torch.randint(256, (images, 3, size, size), generator=generator)
    return dict(inputs=list(pixels.byte()), data_samples=samples)


def make_step(
    config: Any, batch: dict, device: str, with_gradients: bool = False
) -> Callable[[], None]:
    """Return one training step of a model, which it leaves as it was."""
    torch.manual_seed(0)
    model = MODELS.build(config)
    model.init_weights()
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.0)
    runner = SimpleNamespace(
        model=model,
        optim_wrapper=None,
        message_hub=MessageHub(f"benchmark {id(model)}"),
    )
    hook = GradientHook()
    if with_gradients:
        hook.before_train(runner)

    def step() -> None:
        data = model.data_preprocessor(copy.deepcopy(batch), True)
        loss, _ = model.parse_losses(model(**data, mode="loss"))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if with_gradients:
            hook.after_train_iter(runner, 0)

    return step


def measure(path: str, twin: str, args: Any, device: str) -> list[dict[str, Any]]:
    """Measure the four models of a config."""
    config, heuristic = Config.fromfile(path), Config.fromfile(twin)
    dataset = config.val_dataloader.dataset
    classes = len(dataset.metainfo.classes)
    batch = make_batch(args.size, args.batch_size, args.boxes, classes)
    plain = without_scaling(config.model)
    steps = {
        "plain": make_step(plain, batch, device),
        "sampling-free": make_step(config.model, batch, device),
        "with GradientHook": make_step(config.model, batch, device, True),
        Path(twin).stem: make_step(heuristic.model, batch, device),
    }
    bar = ProgressBar(len(steps) * (args.rounds + 1), file=sys.stderr)
    times: dict[str, list[float]] = {name: [] for name in steps}
    memory = {}
    for name, step in steps.items():
        step()
        memory[name] = peak_memory(step, device)
        bar.update()
    for _ in range(args.rounds):
        for name, step in steps.items():
            times[name].append(seconds(step, device))
            bar.update()
    print(file=sys.stderr)
    rows = []
    for name, values in times.items():
        ratios = [t / p for t, p in zip(values, times["plain"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        rows.append(
            dict(
                config=Path(path).stem,
                name=name,
                ms=1e3 * statistics.median(values),
                ratio=middle,
                quartiles=[low, high],
                memory_mb=memory[name] / 2**20,
            )
        )
    return rows


def measure_roi(device: str) -> list[dict[str, Any]]:
    """Measure what the losses of a guided RoI head allocate for one image."""
    rows = []
    for data, proposals, classes in ROI_SIZES:
        for name, loss in ROI_LOSSES.items():
            head = MODELS.build(
                ConfigDict(
                    type="imb_det.SamplingFreeShared2FCBBoxHead",
                    in_channels=1,
                    fc_out_channels=1,
                    roi_feat_size=1,
                    num_classes=classes,
                    loss_cls=loss,
                )
            ).to(device)
            columns = head.fc_cls.out_features
            scores = torch.randn(proposals, columns, device=device, requires_grad=True)
            # Deltas for each class, as in all configs but those of a cascade.
            deltas = torch.randn(
                proposals, 4 * classes, device=device, requires_grad=True
            )
            labels = torch.full((proposals,), classes, device=device)
            labels[: proposals // 8] = torch.arange(proposals // 8) % classes
            ones = torch.ones(proposals, device=device)
            targets = torch.zeros(proposals, 4, device=device)

            def step(
                head: Any = head,
                inputs: tuple = (scores, deltas),
                targets: tuple = (
                    targets,
                    labels,
                    ones,
                    targets,
                    ones[:, None] + targets,
                ),
            ) -> None:
                losses = head.loss(*inputs, *targets)
                (losses["loss_cls"] + losses["loss_bbox"]).backward()
                for leaf in inputs:
                    leaf.grad = None

            step()
            peak = peak_memory(step, device)
            rows.append(
                dict(
                    config=f"{data}, {proposals} proposals",
                    name=name,
                    logits_mb=4 * scores.numel() / 2**20,
                    memory_mb=peak / 2**20,
                )
            )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Write rows as Markdown."""
    if "ratio" not in rows[0]:
        lines = ["| head | loss | logits, MB | peak, MB | peak / logits |"]
        lines.append("|---|---|---|---|---|")
        lines += [
            f"| {row['config']} | {row['name']} | {row['logits_mb']:.2f} "
            f"| {row['memory_mb']:.2f} | {row['memory_mb'] / row['logits_mb']:.2f} |"
            for row in rows
        ]
        return "\n".join(lines)
    lines = [f"| {rows[0]['config']} | ms | to plain (quartiles) | peak, MB |"]
    lines.append("|---|---|---|---|")
    for row in rows:
        low, high = row["quartiles"]
        lines.append(
            f"| {row['name']} | {row['ms']:.1f} | {row['ratio']:.3f} ({low:.3f} to "
            f"{high:.3f}) | {row['memory_mb']:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20, help="default: 20")
    parser.add_argument("--size", type=int, default=320, help="side of an image")
    parser.add_argument("--batch-size", type=int, default=4, help="default: 4")
    parser.add_argument("--boxes", type=int, default=8, help="of an image; default: 8")
    parser.add_argument(
        "--configs",
        nargs=2,
        metavar=("CONFIG", "TWIN"),
        help="default: six small ones",
    )
    parser.add_argument("--roi-memory", action="store_true", help="see above")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--out", metavar="FILE.json", help="write all numbers here")
    args = parser.parse_args()
    if args.rounds < 2:
        parser.error("--rounds must be at least 2, for quartiles")
    register_all_modules()
    MMLogger.get_instance("benchmark", log_level="WARNING")  # no line a layer
    print(machine(args.device))
    rows: list[dict[str, Any]] = []
    cases = dict([args.configs]) if args.configs else CASES
    for path, twin in [("", "")] if args.roi_memory else cases.items():
        if args.roi_memory:
            part = measure_roi(args.device)
        else:
            part = measure(path, twin, args, args.device)
        print(table(part), flush=True)
        rows += part
        if args.out is not None:  # after each config: an interrupted run is not lost
            content = {machine(args.device): rows}
            write_text(Path(args.out), json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
