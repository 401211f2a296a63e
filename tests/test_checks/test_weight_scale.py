"""Class weights that let frequent classes vanish beside background."""

import pytest
from torch import nn

from imb_det.checks import check_weight_scale
from imb_det.core import CheckContext
from imb_det.statistics import ClassStats
from tests.toys import MODELS

#: Weights of inverse counts with mean 1 over the boxes: 50.5 and 0.505 of 101.
STEEP = ClassStats(("rare", "often"), [1, 100], [1, 100], 101)
#: A long tail, in which the ratio of weights ends at 100.
COUNTS = [1] * 99 + [1000]
LONG = ClassStats(
    (*(f"rare_{i}" for i in range(99)), "often"), COUNTS, COUNTS, sum(COUNTS)
)


def findings(stats, train_loop="a loop", type="CrossEntropyLoss", **options):
    options.setdefault("use_sigmoid", False)
    loss = MODELS.build(dict(type=f"imb_det.{type}", **options))
    for part in loss.modules():
        if hasattr(part, "set_class_stats"):
            part.set_class_stats(stats)
    model = nn.ModuleDict(dict(head=nn.ModuleDict(dict(loss_cls=loss))))
    return list(check_weight_scale(CheckContext(model=model, train_loop=train_loop)))


@pytest.mark.parametrize("type", ["CrossEntropyLoss", "LDAMLoss"])
def test_a_class_that_vanishes(type):
    (found,) = findings(LONG, class_weight="inverse", type=type)
    assert found.where == f"`head.loss_cls` ({type})"
    # max_ratio 100: weights 1 and 0.01 times k = 1099 / (99 + 1000 * 0.01).
    assert (
        "`class_weight='inverse'` gives 'often' 0.1, and background" in found.evidence
    )
    assert findings(LONG, class_weight="sqrt_inverse", type=type) == []


def test_of_a_stage_and_of_the_scale_of_classifiers():
    late = dict(rule="inverse", normalize="classes")
    stages = dict(stages=dict(plain=None, late=late))
    (found,) = findings(STEEP, class_weight=stages)
    assert "'often' 0.02" in found.evidence  # 2 * 0.01 / 1.01
    assert findings(STEEP, class_weight="inverse") == []


def test_beside_a_smaller_weight_of_background():
    assert findings(LONG, class_weight="inverse", bg_weight=0.5) == []


def test_pixels_have_no_background():
    options = dict(class_weight=dict(rule="inverse", by="images"), ignore_index=255)
    assert findings(LONG, **options) == []


def test_what_is_no_rule_or_no_training():
    assert findings(STEEP, class_weight=[1.0, 0.01]) == []  # as it was written
    assert findings(LONG, train_loop=None, class_weight="inverse") == []
    columns = dict(class_weight="inverse", use_sigmoid=True)
    assert findings(LONG, **columns)
    assert findings(LONG, weight_negatives=True, **columns) == []
