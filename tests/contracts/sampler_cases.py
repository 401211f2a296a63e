"""Samplers that the library registers, and how to build each of them."""

import pkgutil
from importlib import import_module

import imb_det.samplers
from imb_det.registry import DATA_SAMPLERS


def registered_samplers():
    """All registered classes of ``imb_det.samplers`` by name."""
    package = imb_det.samplers
    for module in pkgutil.walk_packages(package.__path__, "imb_det.samplers."):
        import_module(module.name)
    return {
        name: cls
        for name, cls in DATA_SAMPLERS.module_dict.items()
        if cls.__module__.startswith("imb_det.samplers.")
    }


#: Arguments to build each sampler with, and arguments that it must refuse.
CASES = {
    "RepeatFactorSampler": (
        dict(repeat_thr=0.5),
        dict(repeat_thr="auto"),
        dict(repeat_thr=0.3, by="instance", power=1.0, max_repeat=3),
        dict(repeat_thr=0.9, by="geometric", num_samples=7),
        dict(repeat_thr=0.5, num_samples="dataset"),
    ),
    "ClassAwareSampler": (
        dict(),
        dict(power=0.5, num_samples=11),
        dict(progressive_epochs=3),
    ),
    "CDBSampler": (dict(), dict(by="mean"), dict(by="class", num_samples=5)),
    "TargetLevelSampler": (
        dict(level=0.5),
        dict(level=1.0, max_repeat=4.0),
        dict(level=0.7, mode="undersample", num_samples=9),
    ),
    "StagedSampler": (
        dict(stages=dict(plain=None, late=dict(type="imb_det.ClassAwareSampler"))),
        dict(
            stages=dict(late=dict(type="imb_det.RepeatFactorSampler", repeat_thr=0.5)),
            num_samples=9,
        ),
    ),
}
BAD = {
    "RepeatFactorSampler": (
        dict(repeat_thr=-1),
        dict(repeat_thr=1000),
        dict(repeat_thr="some"),
        dict(repeat_thr=None),
        dict(repeat_thr=float("nan")),
        dict(power=-0.5),
        dict(by="box"),
        dict(max_repeat=0.5),
    ),
    "ClassAwareSampler": (
        dict(power=2),
        dict(power="half"),
        dict(progressive_epochs=1),
        dict(progressive_epochs=2.5),
    ),
    "CDBSampler": (dict(by="min"),),
    "TargetLevelSampler": (
        dict(level=1.5),
        dict(level="full"),
        dict(mode="both"),
        dict(max_repeat=0),
    ),
    "StagedSampler": (
        dict(stages={}),
        dict(stages=["plain"]),
        dict(stages=dict(plain="all")),
        dict(stages=dict(plain=dict(type="DefaultSampler"))),
        dict(stages=dict(plain=dict(type="imb_det.CDBSampler"))),
        dict(stages=dict(plain=dict(type="imb_det.ClassAwareSampler", seed=3))),
    ),
}
ARGUMENTS = [(name, kwargs) for name, many in CASES.items() for kwargs in many]
REFUSED = [(name, kwargs) for name, many in BAD.items() for kwargs in many]


def label_of(case):
    name, kwargs = case
    return "-".join([name, *(f"{k}={v}" for k, v in kwargs.items())])
