"""Every hook of the library, with arguments, and a training in which it has its say.

A new hook needs an entry in ``CASES``, and in ``BAD`` what it must refuse.
"""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

import torch
from mmdet.registry import DATASETS
from mmengine.model import BaseModel
from mmengine.registry import MODELS

from imb_det.datasets import VOCDataset
from imb_det.registry import HOOKS
from tests import toys
from tests.tiny_sets import write_voc
from tests.toy_runner import IMAGES, PIPELINE, dataset_config

UNFLIPPED = [step for step in PIPELINE if step["type"] != "RandomFlip"]
IMBALANCE, SEED = (dict(type=f"imb_det.{n}Hook") for n in ("Imbalance", "EpochSeed"))


class Case(NamedTuple):
    """A hook with arguments.

    Attributes:
        name: Registered name.
        arguments: Of the config.
        keys: What it adds to ``checkpoint["imb_det"]``.
        bare: What a training without any head, loss or sampler of interest comes to:
            None where it runs as ever, else the words of the error.
        loss: Classification loss of the model: a type, with sigmoid, or a config.
        data: Form of the annotations, ``'VOC'`` or ``'LVIS'``.
        others: Hooks that it needs beside those that every training has.
    """

    name: str
    arguments: dict
    keys: tuple = ()
    bare: str | None = None
    loss: str | dict = "CrossEntropyLoss"
    data: str = "VOC"
    others: tuple = ()

    @property
    def config(self):
        return dict(type=f"imb_det.{self.name}", **self.arguments)

    def build(self, **changes):
        return HOOKS.build({**self.config, **changes})

    def __str__(self):
        return "-".join([self.name, *(f"{k}={v}" for k, v in self.arguments.items())])


CASES = [
    Case("ImbalanceHook", {}, ("class_stats",)),
    Case("EpochSeedHook", {}),
    Case("CheckInvalidLossHook", {}),
    Case("PipelineSwitchHook", dict(switch_epoch=0, switch_pipeline=UNFLIPPED)),
    Case("StageHook", dict(stages=[dict(name="all")]), ("stage",)),
    Case(
        "FreezeHook",
        dict(stages=dict(all=dict(freeze=["backbone"]))),
        ("freeze",),
        bare="`backbone`",
        others=(dict(type="imb_det.StageHook", stages=[dict(name="all")]),),
    ),
    Case("GradientHook", {}, bare="no part of the model has a module `loss_cls`"),
    Case("PriorInitHook", dict(cache_dir=False), bare="BareModel has no part"),
    Case(
        "ClassDifficultyHook",
        dict(source="score", warmup=0),
        ("class_difficulty",),
        bare="no component takes class difficulty",
        loss="imb_det.CDBLoss",
    ),
    Case(
        "CALSHook",
        dict(held_out=dict(dataset=dict(type="HeldOutImages"))),
        ("cals",),
        bare="no head has a CALSLoss",
        loss=dict(
            type="imb_det.CALSLoss",
            use_sigmoid=False,
            loss=dict(type="imb_det.CrossEntropyLoss"),
            loss_weight=0.01,  # the toy learns fast
        ),
    ),
    Case(
        "FederatedHook",
        {},
        bare="no loss wants to know what annotations have verified",
        loss=dict(type="imb_det.FederatedLoss", use_sigmoid=True, source="annotation"),
        data="LVIS",
    ),
]
#: Arguments that each must refuse, one at a time, beside those of its case.
BAD = {
    "ImbalanceHook": (dict(check_images=1), dict(check_loss="no")),
    "EpochSeedHook": (),
    "CheckInvalidLossHook": (dict(interval=0), dict(interval="often")),
    "PipelineSwitchHook": (
        dict(switch_epoch=-1),
        dict(switch_epoch="late"),
        dict(switch_epoch=True),
        dict(switch_pipeline=[]),
        dict(switch_pipeline="flips"),
    ),
    "StageHook": (dict(stages="plain"), dict(stages=[])),
    "FederatedHook": (),
    "FreezeHook": (
        dict(stages=["classifier"]),
        dict(stages={}),
        dict(stages=dict(late="fc_cls")),
        dict(stages=dict(late=dict(train="fc_cls"))),
        dict(stages=dict(late=dict(train_only="fc_cls"))),
        dict(stages=dict(late=dict(train_only=[3]))),
        dict(stages=dict(late=dict(train_only=["a"], freeze=["b"]))),
        dict(stages=dict(late=dict(reinit=True))),
        dict(stages=dict(late=dict(recount_norms=-1))),
    ),
    "GradientHook": (),
    "PriorInitHook": (
        dict(head=3),
        dict(layer=3),
        dict(foreground_share=0),
        dict(foreground_share="half"),
        dict(max_relative_error=1.0),
        dict(max_relative_error="small"),
        dict(cache_dir=3),
    ),
    "ClassDifficultyHook": (
        dict(source="loss"),
        dict(held_out=[]),
        dict(tau=-1),
        dict(tau="static"),
        dict(momentum=1.0),
        dict(momentum="half"),
        dict(max_ratio=0.5),
        dict(max_ratio="large"),
        dict(warmup=-1),
        dict(interval=0),
        dict(by_epoch=1),
        dict(background_is_error="yes"),
    ),
    "CALSHook": (
        dict(held_out=[]),
        dict(held_out=dict(batch_size=2)),
        dict(multiplier_range=(0, 1)),
        dict(multiplier_range=1.0),
        dict(rho_range=(2, 1)),
        dict(rho_range="wide"),
        dict(rho_interval=0),
        dict(rho_factor=0.5),
        dict(progress=1.5),
        dict(interval=0),
        dict(by_epoch=1),
    ),
}
REFUSED = [(name, bad) for name, many in BAD.items() for bad in many]


@MODELS.register_module()
class BareModel(BaseModel):
    """A model with nothing in it that a hook of the library knows."""

    def __init__(self, data_preprocessor=None):
        super().__init__(data_preprocessor)
        self.weight = torch.nn.Parameter(torch.zeros(2))

    def forward(self, inputs, data_samples=None, mode="tensor"):
        if mode == "loss":
            return dict(loss=(self.weight**2).sum() + self.weight.sum())
        return data_samples


def detector(case):
    """A model in which the hook finds what it is for."""
    config = toys.retinanet_config(2)
    loss = case.loss
    if isinstance(loss, str):
        loss = dict(type=loss, use_sigmoid=True)
    config.bbox_head.loss_cls = loss
    return config


@cache
def written_images():
    """A data set for hooks that want one of their own, written once."""
    return dataset_config(write_voc(Path(mkdtemp()) / "held_out", IMAGES))


@DATASETS.register_module()
class HeldOutImages(VOCDataset):
    """That data set, whose config needs no path."""

    def __init__(self):
        super().__init__(**{k: v for k, v in written_images().items() if k != "type"})


def bare_model():
    preprocessor = dict(type="DetDataPreprocessor", pad_size_divisor=32)
    return dict(type="BareModel", data_preprocessor=preprocessor)


def hooks_with(case):
    """The hook of a case among those that every training here has."""
    others = [each for each in (IMBALANCE, SEED) if each["type"] != case.config["type"]]
    return [*others, *case.others, case.config]
