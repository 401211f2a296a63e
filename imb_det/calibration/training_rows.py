"""Boxes of box heads as a training samples them, without training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from mmengine.config import ConfigDict
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

__all__ = ["box_heads", "see_training_rows", "with_labels"]

#: Told the loss of a head, the outputs of its classifier, and the classes of the rows.
See = Callable[[nn.Module, Tensor, Tensor], None]


def box_heads(model: Any) -> list[Any]:
    """Return the box heads of a two-stage detector or cascade; none of another one.

    Args:
        model: Detector of mmdet.
    """
    heads = getattr(getattr(model, "roi_head", None), "bbox_head", None)
    found = list(heads) if isinstance(heads, nn.ModuleList) else [heads]
    return [
        head for head in found if isinstance(getattr(head, "loss_cls", None), nn.Module)
    ]


def with_labels(model: Any, dataset: Any) -> ConfigDict:
    """Return the config of a data set whose images come with their boxes, and masks.

    Args:
        model: Detector, which needs masks or not.
        dataset: Config of images that are tested, without wrappers.
    """
    made = deepcopy(dataset)
    load = dict(type="LoadAnnotations", with_bbox=True)
    load["with_mask"] = bool(getattr(model, "with_mask", False))
    image, *others = [
        # A name may have the scope of a library before it.
        step
        for step in made.pipeline
        if str(step["type"]).rpartition(".")[2] != load["type"]
    ]
    # Boxes are loaded right after the image, so that they are resized with it.
    made.pipeline = [image, load, *others]
    return made


@torch.no_grad()
def see_training_rows(
    model: Any, loader: DataLoader, what: str, see: See | None = None, seed: int = 0
) -> None:
    """Let box heads see the boxes that they would be trained on.

    Proposals are made, matched and sampled as in training; the detector is in eval
    mode, and its buffers and the random numbers of the process stay.

    Args:
        model: Two-stage detector or cascade, see :func:`box_heads`.
        loader: Of images with boxes, see :func:`with_labels`.
        what: Short name of the pass, for the progress bar.
        see: Called in place of the classification loss of each head, with the rows that
            were sampled; not with candidates of samplers that go by their loss, such as
            OHEM. Default None.
        seed: Of the samplers. Default 0.
    """
    model.eval()
    kept = [(buffer, buffer.clone()) for buffer in model.buffers()]
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    dataset: Any = loader.dataset
    with (
        _seen([head.loss_cls for head in box_heads(model)], see),
        torch.random.fork_rng(devices=devices),
        tqdm(total=len(dataset), desc=what, unit="img") as bar,
    ):
        torch.manual_seed(seed)
        for batch in loader:
            data = model.data_preprocessor(batch, False)
            model(**data, mode="loss")
            bar.update(len(data["inputs"]))
    for buffer, value in kept:
        buffer.copy_(value)


@contextmanager
def _seen(losses: list[nn.Module], see: See | None) -> Iterator[None]:
    """Put something in the place of losses, for a while."""

    def stand_in(loss: nn.Module) -> Callable[..., Tensor]:
        real = loss.forward

        def forward(
            cls_score: Tensor, label: Tensor, *args: Any, **options: Any
        ) -> Tensor:
            # Samplers, and weights of PISA, ask for the loss of each row.
            if options.get("reduction_override") == "none":
                made: Tensor = real(cls_score, label, *args, **options)
                return made
            if see is not None:
                see(loss, cls_score, label)
            return cls_score.new_zeros(())

        return forward

    for loss in losses:
        loss.forward = stand_in(loss)
    try:
        yield
    finally:
        for loss in losses:
            del loss.forward
