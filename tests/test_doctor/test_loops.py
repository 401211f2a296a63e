"""Validations and tests of which a part is missing."""

import pytest
from mmengine.config import Config

from imb_det.core.finding import Severity
from imb_det.doctor.config_checks.loops import check_loops
from imb_det.doctor.context import DoctorContext

WHOLE = dict(
    train_cfg=dict(max_epochs=1),
    val_dataloader=dict(batch_size=1),
    val_cfg=dict(type="ValLoop"),
    val_evaluator=dict(type="CocoMetric"),
)


def found_in(**changes):
    config = Config({**WHOLE, **changes})
    return list(check_loops(DoctorContext(config=config)))


@pytest.mark.parametrize("key", ["val_dataloader", "val_cfg", "val_evaluator"])
def test_a_validation_without_a_part_is_an_error(key):
    (found,) = found_in(**{key: None})
    assert found.severity is Severity.ERROR
    assert found.where == f"`{key}`"


def test_a_test_without_metrics_is_an_error():
    (found,) = found_in(test_dataloader=dict(batch_size=1), test_cfg=dict())
    assert found.where == "`test_evaluator`"
    assert "`test_dataloader = test_cfg = test_evaluator = None`" in found.remedy


def test_whole_loops_and_none_are_passed():
    assert not found_in()
    assert not found_in(**{key: None for key in WHOLE if key.startswith("val")})
    assert not found_in(train_cfg=None, val_cfg=None)
