"""Places of a merged detector between its parents, found by its loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from tqdm import tqdm

from imb_det.core import check_number

__all__ = ["PARTS", "part_of", "position"]

#: Parts of a detector that may have factors of their own; all else is the head.
PARTS = ("backbone", "neck", "head")


def part_of(name: str) -> str:
    """Return the part that a parameter belongs to: backbone, neck or head."""
    first = name.split(".", 1)[0]
    return first if first in PARTS[:2] else "head"


def position(
    model: Any,
    base: Mapping[str, Tensor],
    parents: Sequence[Mapping[str, Tensor]],
    batches: Iterator[Any],
    *,
    names: Sequence[str],
    steps: int = 50,
    lr: float = 0.05,
    by_part: bool = False,
) -> dict[str, list[float]]:
    r"""Find the factors of task vectors with the least loss on some images.

    .. math:: \theta(\alpha) = \theta_0 + \sum_i \alpha_i (\theta_i - \theta_0)

    Only :math:`\alpha` is learnt, by Adam, from 1 / K each.

    Args:
        model: Detector, in the form of all parents.
        base: :math:`\theta_0`.
        parents: :math:`\theta_i`, K of them.
        batches: Of images to learn from, as balanced as the loader makes them.
        names: Parameters that are merged.
        steps: Batches to learn from, >= 1. Default 50.
        lr: Learning rate. Default 0.05.
        by_part: Whether backbone, neck and head have factors of their own. Default
            False.

    Returns:
        K factors for each part.

    Raises:
        ValueError: Images that do not suffice, or a loss that is not finite.

    Source: Li et al., "Self-positioning: model merging by alphas that are learnt on a
    small probe set", 2024; rate, steps and start are our own.
    """
    check_number("position", "steps", steps, 1, None)
    device = next(model.parameters()).device
    own = dict(model.named_parameters())
    merged = [name for name in names if name in own]
    parts = sorted({part_of(name) for name in merged}) if by_part else ["all"]
    start = torch.full((len(parents),), 1 / len(parents), device=device)
    alphas = nn.ParameterDict({part: nn.Parameter(start.clone()) for part in parts})
    # As the model has them, whatever the type in which a checkpoint was written.
    starts = {name: base[name].to(own[name]) for name in merged}
    vectors = {
        name: torch.stack([p[name].to(own[name]) - starts[name] for p in parents])
        for name in merged
    }
    optimizer = torch.optim.Adam(alphas.parameters(), lr)
    model.train()
    for step in tqdm(range(steps), desc="positions", unit="step"):
        try:
            batch = next(batches)
        except StopIteration as error:
            raise ValueError(
                f"the images to learn from end after {step} of {steps} steps"
            ) from error
        placed = {
            name: starts[name]
            + torch.tensordot(alphas[part_of(name) if by_part else "all"], v, 1)
            for name, v in vectors.items()
        }
        data = model.data_preprocessor(batch, training=True)
        losses = functional_call(model, placed, (), dict(data, mode="loss"))
        total, _ = model.parse_losses(losses)
        if not torch.isfinite(total):
            raise ValueError(
                f"the loss is {total.item():g} in step {step + 1} of {steps}: the "
                "checkpoints are too different, or `lr` is too large"
            )
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    model.zero_grad()
    model.eval()
    return {part: alpha.detach().tolist() for part, alpha in alphas.items()}
