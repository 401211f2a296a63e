"""Losses of pixels with what they should return for three classes, all outputs.

A new one gets an entry in ``PIXEL_CASES``; ``PIXEL_BAD`` has what ``PixelLoss`` must
refuse when it is built.
"""

from dataclasses import dataclass, field
from typing import Any

from imb_det.registry import MODELS
from imb_det.statistics import ClassStats

IGNORED = 255
#: Pixels as instances, as the hook hands them to a loss of pixels.
STATS = ClassStats(("ant", "bee", "cat"), [3, 4, 1], [400, 400, 100], 6)
ONES = [1.0, 1.0, 1.0]


@dataclass(frozen=True)
class PixelCase:
    """A loss of pixels with arguments.

    Attributes:
        arguments: Of the config, with its type.
        weights: Of three classes.
        prior: That the logits are shifted by, or None.
        quota: Arguments of the reference of the hardest pixels, or None for all.
    """

    arguments: dict
    weights: list = field(default_factory=lambda: ONES)
    prior: list | None = None
    quota: dict[str, Any] | None = None

    def build(self, **changes):
        loss = MODELS.build({"ignore_index": IGNORED, **self.arguments, **changes})
        for part in loss.modules():
            if hasattr(part, "set_class_stats"):
                part.set_class_stats(STATS)
        return loss

    def __str__(self):
        words = [f"{k}={v}" for k, v in self.arguments.items() if k != "type"]
        return "-".join([self.arguments["type"][8:], *words])


def own(kind, **arguments):
    return dict(type=f"imb_det.{kind}", **arguments)


PIXEL_CASES = [
    PixelCase(own("CrossEntropyLoss")),
    PixelCase(own("CrossEntropyLoss", class_weight=[2.0, 1.0, 0.5]), [2.0, 1.0, 0.5]),
    PixelCase(own("CrossEntropyLoss", class_weight="inverse"), [0.75, 0.75, 3.0]),
    PixelCase(own("CrossEntropyLoss", class_weight=dict(cat=3.0)), [1.0, 1.0, 3.0]),
    PixelCase(own("PixelLoss", loss=own("CrossEntropyLoss"))),
    PixelCase(
        own("PixelLoss", loss=own("LogitAdjustmentLoss")),
        prior=[4 / 9, 4 / 9, 1 / 9],
    ),
    PixelCase(
        own("PixelLoss", loss=own("LogitAdjustmentLoss", prior="images", tau=1)),
        prior=[3 / 8, 4 / 8, 1 / 8],
    ),
    PixelCase(
        own("PixelLoss", loss=own("CrossEntropyLoss"), share=0.25, min_kept=2),
        quota=dict(share=[0.25] * 3, min_kept=2),
    ),
    PixelCase(
        own(
            "PixelLoss",
            loss=own("CrossEntropyLoss", class_weight=[2.0, 1.0, 0.5]),
            share=dict(bee=0.5, cat=0.1),
            thresh=0.2,
        ),
        [2.0, 1.0, 0.5],
        quota=dict(share=[1.0, 0.5, 0.1], thresh=0.2),
    ),
]
#: One at a time, beside a loss and a share.
PIXEL_BAD = (
    dict(ignore_index=None),
    dict(ignore_index=1.5),
    dict(avg_non_ignore="yes"),
    dict(share=1.5),
    dict(share="half"),
    dict(share=None),
    dict(share=0),
    dict(min_kept=-1),
    dict(min_kept=0.5),
    dict(thresh=2),
    dict(loss_weight=-1),
    dict(reduction="most"),
    dict(loss=3),
    dict(loss=dict(type="mmdet.CrossEntropyLoss")),
)
