"""Random batches of every kind that a loss can meet, well-formed and spoiled."""

from dataclasses import dataclass, field

import numpy as np
import torch

from .batches import channels
from .cases import NUM_CLASSES

SPOILS = (np.nan, np.inf, -np.inf)
#: Largest logits that are drawn for a type: all rows of them must have a finite loss.
SIZES = {
    torch.float16: (0.0, 1.0, 1e2, 6e4),
    torch.bfloat16: (0.0, 1.0, 1e2, 1e20),
    torch.float32: (0.0, 1.0, 1e2, 1e4, 1e20),
    torch.float64: (0.0, 1.0, 1e2, 1e4, 1e20),
}


@dataclass
class Batch:
    """Arguments of a call.

    Attributes:
        logits: With a gradient.
        label: Classes or targets.
        weight: Of rows or elements, or None.
        counted: Which elements count, bool of the logits' shape.
        rest: Other arguments.
        place: ``'dense'`` or ``'RoI'``.
        spoiled: What one element that counts was given; None where none was.
    """

    logits: torch.Tensor
    label: torch.Tensor
    weight: torch.Tensor | None
    counted: torch.Tensor
    rest: dict = field(default_factory=dict)
    place: str = "dense"
    spoiled: float | None = None

    @property
    def arguments(self):
        return self.logits, self.label, self.weight


def random_batch(case, rng, spoil=False):
    """Draw a batch of a loss with classes.

    What does not count is spoiled with a chance of a half; with ``spoil`` so is one
    element that counts, if one does.
    """
    rows, width = int(rng.integers(0, 9)), channels(case)
    dtype = list(SIZES)[rng.integers(len(SIZES))]
    logits = float(rng.choice(SIZES[dtype])) * rng.uniform(-1, 1, (rows, width))
    counted = np.ones((rows, width), bool)
    soft = rng.random() < 0.3 and not case.needs_classes
    if soft:
        label = rng.random((rows, width))
        label[rng.random(label.shape) < 0.3] = rng.integers(2)
        if not case.sigmoid:
            label /= np.maximum(label.sum(1, keepdims=True), 1e-9)
    else:
        label = rng.integers(0, NUM_CLASSES + 1, rows)
        ignored = rng.random(rows) < rng.choice([0, 0.3, 1], p=[0.5, 0.4, 0.1])
        label[ignored] = -rng.integers(1, 100)
        counted &= ~ignored[:, None]
        if case.idle is not None:
            counted &= ~case.idle(torch.tensor(label)).numpy()
    kinds = ["none", "rows", "elements"] if case.sigmoid else ["none", "rows"]
    kind, weight = rng.choice(kinds), None
    if kind != "none":
        shape = (rows, width) if kind == "elements" else (rows, 1)
        weight = rng.choice([0.0, 0.5, 1.0, 3.0], shape)
        counted &= weight > 0
        if not soft:
            weight[ignored] = rng.choice([1.0, *SPOILS])
        weight = torch.tensor(weight if kind == "elements" else weight[:, 0])
        weight = weight.to(torch.float32)
    idle = ~counted & (rng.random(counted.shape) < rng.choice([0, 1]))
    logits[idle] = rng.choice([*SPOILS, 3e38], idle.sum())
    if soft:
        label[idle] = rng.choice([*SPOILS, -5.0, 7.0], idle.sum())
    value = None
    if spoil and counted.any():
        value = float(rng.choice(SPOILS))
        places = np.argwhere(counted)
        logits[tuple(places[rng.integers(len(places))])] = value
    rest = {}
    if rng.random() < 0.5:
        rest["avg_factor"] = float(rng.choice([0.5, 1.0, 100.0]))
    elif rng.random() < 0.4:
        rest["reduction_override"] = str(rng.choice(["none", "sum"]))
    with np.errstate(over="ignore"):
        logits = torch.tensor(logits).to(dtype)
    return Batch(
        logits.requires_grad_(),
        torch.tensor(label).float() if soft else torch.tensor(label, dtype=torch.long),
        weight,
        torch.tensor(counted),
        rest,
        str(rng.choice(["dense", "RoI"])),
        value,
    )
