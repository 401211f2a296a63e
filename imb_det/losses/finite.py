"""What happens to a loss that is infinite or no number."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .caller import in_head
from .one_pass import can_look
from .rows import where_counted

__all__ = ["check_finite"]

_REMEDY = (
    "The training diverges: lower `optim_wrapper.optimizer.lr`, warm up for longer in "
    "`param_scheduler`, or write `optim_wrapper=dict(clip_grad=dict(max_norm=35))`; in "
    "the first iteration, look for such numbers in the checkpoint of `load_from`"
)


def check_finite(
    owner: str,
    loss: Tensor,
    inputs: Tensor,
    label: Tensor | None = None,
    weight: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Stop where a loss is no finite number, on a CPU; a GPU would be waited for.

    There the loss goes on as it is, for a hook to stop the training. So does one of
    float16 logits: mixed precision overflows at times, leaves the step out, and lowers
    its scale.

    Args:
        owner: Name of the loss.
        loss: What it returns.
        inputs: Logits, or what else it is computed from, (N, ...).
        label: Classes (N,), ignored below 0, or targets (N, K), or None.
        weight: Factors (N,) or of the shape of the inputs, or None.
        dtype: Of the logits, where the inputs are in another; None for theirs.

    Raises:
        FloatingPointError: Names the first row and channel that count and are no finite
            numbers, or the largest that is one.
    """
    if (dtype or inputs.dtype) == torch.float16 or not can_look(loss):
        return
    total = float(loss.detach().sum())  # one read in place of many
    if math.isfinite(total) or (loss.dim() and loss.isfinite().all()):
        return
    wrong = ~inputs.detach().isfinite()
    if label is not None:
        counted, _ = where_counted(label, weight)
        if counted is not None and wrong.dim() == 2:
            wrong &= counted
    if not wrong.any():
        largest = float(inputs.detach().nan_to_num(0, 0, 0).abs().max())
        raise FloatingPointError(
            f"{in_head(owner)}: the loss is {total}, though what it is computed from "
            f"is finite, up to {largest:g} in size. {_REMEDY}"
        )
    index = wrong.nonzero()[0].tolist()
    value = inputs.detach()[tuple(index)].item()
    rows = int(wrong.flatten(1).any(1).sum())
    place = f"channel {index[1]}" if len(index) == 2 else f"at {index[1:]}"
    of_label = ""
    if label is not None and label.dim() == 1:
        of_label = f" (label {int(label[index[0]])})"
    raise FloatingPointError(
        f"{in_head(owner)}: the loss is {total}: predictions are infinite or no "
        f"numbers in {rows} of {len(wrong)} rows, the first is {value} in row "
        f"{index[0]}{of_label}, {place}. {_REMEDY}"
    )
