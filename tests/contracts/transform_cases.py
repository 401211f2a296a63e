"""Every transform of the library, with arguments, and images to work on.

A new transform needs entries in ``CASES`` and ``BAD``. Those that mix several images
have a method ``get_indexes``; the others get one image.
"""

from typing import NamedTuple

import numpy as np

from tests.masked_sets import build, corner_shape, ellipse, rectangle
from tests.pasted_scenes import TABLE, scene

KINDS = (None, "bitmap", "polygon")
#: Images by their objects: label, box as x y w h, shape, whether it is ignored.
SCENES = {
    "many": (
        (48, 40),
        [
            (0, (2, 3, 14, 10), rectangle),
            (1, (20, 8, 15, 20), ellipse),
            (2, (6, 18, 12, 16), corner_shape, True),
        ],
    ),
    "rare": ((40, 48), [(2, (5, 5, 10, 12), ellipse), (1, (20, 20, 8, 9), rectangle)]),
    "frequent": ((30, 30), [(0, (1, 1, 20, 12), rectangle)]),
    "empty": ((36, 24), []),
}


class Case(NamedTuple):
    """A transform with arguments.

    Attributes:
        name: Registered name.
        arguments: Of the config.
        kinds: Masks that it takes: ``bitmap``, ``polygon``, None for boxes alone.
        partners: How many other images it takes.
    """

    name: str
    arguments: dict
    kinds: tuple = KINDS
    partners: int = 0

    def build(self, **changes):
        """The transform, told what a sampler tells it."""
        config = dict(type=f"imb_det.{self.name}", **(self.arguments | changes))
        transform = build(**config)
        if hasattr(transform, "set_partners"):
            transform.set_partners(TABLE, np.ones(len(TABLE)))
        return transform

    def images(self, kind, names=tuple(SCENES)):
        """What a loading pipeline returns, the others in ``mix_results``."""
        made = [
            scene(*SCENES[names[i % len(names)]], kind, number=10 * i)
            for i in range(1 + self.partners)
        ]
        return made[0] | (dict(mix_results=made[1:]) if self.partners else {})

    def __str__(self):
        return "-".join([self.name, *(f"{k}={v}" for k, v in self.arguments.items())])


CASES = [
    Case("Mosaic", dict(img_scale=(40, 32)), partners=3),
    Case("Mosaic", dict(img_scale=(24, 56), pad_val=0.0), partners=3),
    Case("MixUp", dict(img_scale=(40, 32)), (None,), partners=1),
    Case("MixUp", dict(img_scale=(40, 40), flip_ratio=1.0), (None,), partners=1),
    Case("RareCopyPaste", dict(repeat_thr=0.5), partners=2),
    Case(
        "RareCopyPaste",
        dict(repeat_thr=0.5, max_hidden=1.0, scale_range=(0.5, 2.0), max_objects=5),
        partners=3,
    ),
]
#: Arguments that each must refuse, one at a time. Those of mmdet are its own affair.
BAD = {
    "Mosaic": (),
    "MixUp": (),
    "RareCopyPaste": (
        dict(prob=1.5),
        dict(prob="often"),
        dict(max_objects=0),
        dict(max_objects=2.5),
        dict(repeat_thr="some"),
        dict(power=-1),
        dict(max_hidden=float("nan")),
        dict(scale_range=(2, 1)),
        dict(scale_range=1.5),
        dict(scale_range=(0, "a")),
        dict(flip_prob=True),
        dict(max_tries=0),
    ),
}
REFUSED = [(name, bad) for name, many in BAD.items() for bad in many]
EVERY = [(case, kind) for case in CASES for kind in case.kinds]
