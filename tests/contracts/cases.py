"""Every classification loss of the library, in the forms that the contract tests.

A new loss needs an entry in ``CASES``, a :class:`~tests.contracts.case.Case`: its name,
its activation, its arguments, and the oracle that says what it should return for three
classes (with softmax, a fourth entry of the weights is the background). ``case.py``
says what else a case can tell of a loss. All tests of ``tests/contracts`` then run it.
``BAD`` has what it must refuse when it is built.
"""

from . import oracles
from .bad_arguments import BAD
from .case import NAMES, NUM_CLASSES, STATS, Case
from .long_tail_cases import LONG_TAIL
from .wrapper_cases import WRAPPERS

__all__ = [
    "BAD",
    "CASES",
    "NAMES",
    "NUM_CLASSES",
    "STATS",
    "Case",
    "of_activation",
    "one_of_each_kernel",
    "one_of_each_loss",
    "with_soft_targets",
]

ONES = [1.0, 1.0, 1.0]

CASES = [
    Case(
        "CrossEntropyLoss",
        "softmax",
        lambda: oracles.softmax_cross_entropy([*ONES, 1.0]),
    ),
    Case(
        "CrossEntropyLoss",
        "softmax",
        lambda: oracles.softmax_cross_entropy([2.0, 1.0, 0.5, 0.25]),
        dict(class_weight=[2.0, 1.0, 0.5], bg_weight=0.25),
    ),
    Case(
        "CrossEntropyLoss",
        "softmax",
        lambda: oracles.softmax_cross_entropy([0.75, 0.75, 3.0, 1.0]),
        dict(class_weight="inverse"),
    ),
    Case("CrossEntropyLoss", "sigmoid", lambda: oracles.sigmoid_cross_entropy(ONES)),
    Case(
        "CrossEntropyLoss",
        "sigmoid",
        lambda: oracles.sigmoid_cross_entropy([1.0, 3.0, 1.0]),
        dict(class_weight=dict(bee=3.0)),
    ),
    Case(
        "CrossEntropyLoss",
        "sigmoid",
        lambda: oracles.sigmoid_cross_entropy([2.0, 1.0, 0.5], True, bg_weight=0.25),
        dict(class_weight=[2.0, 1.0, 0.5], weight_negatives=True, bg_weight=0.25),
    ),
    Case("CrossEntropyLoss", "mask", lambda: oracles.MaskOracle(ONES)),
    Case(
        "CrossEntropyLoss",
        "mask",
        lambda: oracles.MaskOracle([0.75, 0.75, 3.0], loss_weight=2.0),
        dict(class_weight="inverse", loss_weight=2.0),
    ),
    Case("FocalLoss", "sigmoid", lambda: oracles.focal_loss(2.0, [0.25] * 3)),
    Case(
        "FocalLoss",
        "sigmoid",
        lambda: oracles.focal_loss(1.5, [0.25, 0.5, 0.75], loss_weight=2.0),
        dict(gamma=1.5, alpha=[0.25, 0.5, 0.75], loss_weight=2.0),
    ),
    Case(
        "FocalLoss",
        "sigmoid",
        lambda: oracles.focal_loss(0.5, [0.2, 0.2, 1 / 3]),
        dict(gamma=0.5, alpha="auto"),
    ),
    Case(
        "QualityFocalLoss",
        "sigmoid",
        lambda: oracles.quality_focal(2.0, ONES, ONES),
        of_rows=True,
    ),
    Case(
        "QualityFocalLoss",
        "sigmoid",
        lambda: oracles.quality_focal(
            1.5, [0.5, 0.25, 0.75], [0.75, 0.75, 0.75], loss_weight=2.0
        ),
        dict(
            beta=1.5,
            class_weight=dict(ant=2.0, cat=3.0),
            alpha=0.25,
            loss_weight=2.0,
        ),
        of_rows=True,
    ),
    Case(
        "VarifocalLoss",
        "sigmoid",
        lambda: oracles.varifocal(2.0, 0.75, ONES, ONES),
    ),
    Case(
        "VarifocalLoss",
        "sigmoid",
        lambda: oracles.varifocal(
            1.0, 0.5, [0.75, 0.75, 3.0], [0.75, 0.75, 3.0], False
        ),
        dict(
            gamma=1.0,
            alpha=0.5,
            iou_weighted=False,
            class_weight="inverse",
            weight_negatives=True,
        ),
    ),
    Case("GHMCLoss", "sigmoid", lambda: oracles.StepGHM(30, 0.75)),
    Case(
        "GHMCLoss",
        "sigmoid",
        lambda: oracles.StepGHM(4, 0.75, floor=1.0, loss_weight=2.0),
        dict(bins=4, min_count=1.0, loss_weight=2.0),
    ),
    Case(
        "GHMCLoss",
        "sigmoid",
        lambda: oracles.StepGHM(3, 0.0, floor=2.5),
        dict(bins=3, momentum=0.0, min_count=2.5),
    ),
    Case(
        "GHMCLoss",
        "sigmoid",
        lambda: oracles.PositivesGHM(4, 0.5),
        dict(bins=4, momentum=0.5, average="avg_factor"),
    ),
    Case(
        "GHMCLoss",
        "sigmoid",
        lambda: oracles.CallGHM(5, 0.75),
        dict(bins=5, statistics="call"),
    ),
    Case(
        "CDBLoss",
        "softmax",
        lambda: oracles.softmax_cdb(0.0, [0.5, 1.0, 1.5, 0.25]),
        dict(bg_weight=0.25),
        (0.5, 1.0, 1.5),
    ),
    Case(
        "CDBLoss",
        "softmax",
        lambda: oracles.softmax_cdb(0.5, [1.0] * 4),
        dict(gamma=0.5),
        (1.0, 1.0, 1.0),
    ),
    Case(
        "CDBLoss",
        "sigmoid",
        lambda: oracles.sigmoid_cdb(2.0, [0.5, 1.0, 1.5], True),
        dict(gamma=2.0),
        (0.5, 1.0, 1.5),
    ),
    Case(
        "CDBLoss",
        "sigmoid",
        lambda: oracles.sigmoid_cdb(0.0, [0.5, 1.0, 1.5], False),
        dict(weight_negatives=False),
        (0.5, 1.0, 1.5),
    ),
    Case(
        "CDBLoss",
        "mask",
        lambda: oracles.MaskOracle([0.5, 1.0, 1.5]),
        {},
        (0.5, 1.0, 1.5),
    ),
    *LONG_TAIL,
    *WRAPPERS,
]


def of_activation(*activations):
    """The cases of some activations."""
    return [case for case in CASES if case.activation in activations]


def one_of_each_loss(cases=None):
    """The last case of each loss and activation, which has arguments.

    For what a form of a loss has from the loss, or from what all losses share.
    """
    if cases is None:
        cases = of_activation("softmax", "sigmoid")
    return list({(case.loss, case.activation): case for case in cases}.values())


def one_of_each_kernel():
    """The first of these of each kernel: for what takes long and is the kernel's.

    A loss that is made of others may have none.
    """
    cases = reversed(one_of_each_loss())
    kernels = {getattr(c.build().link, "kernel", c.loss): c for c in cases}
    return list(kernels.values())


def with_soft_targets():
    """The cases of classification whose losses take soft targets."""
    return [c for c in of_activation("softmax", "sigmoid") if not c.needs_classes]
