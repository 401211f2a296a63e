"""What the doctor checks of configs and models, beside :mod:`imb_det.checks`."""

from __future__ import annotations

from typing import Any

from .awaited_hooks import check_awaited_hooks
from .class_weights import check_class_weights, check_weight_order
from .counted_twice import check_counted_twice
from .detection_limits import check_test_limits
from .empty_filter import check_filters
from .foreground_checks import check_foreground
from .learning_rate import check_learning_rate
from .loops import check_loops
from .mixed_samplers import check_mixed_samplers
from .moving_average import check_moving_average
from .pipeline_steps import check_idle_steps
from .plain_activations import check_plain_activations
from .schedules import check_schedule, check_validation
from .twice_done import check_twice_done
from .unused_options import check_custom_keys, check_files, check_test_cfg
from .watched import check_watched_keys

#: Checks of a :class:`~imb_det.doctor.context.DoctorContext`, in the order in which
#: findings of equal severity are told.
CONFIG_CHECKS: tuple[Any, ...] = (
    check_loops,
    check_plain_activations,
    check_class_weights,
    check_weight_order,
    check_awaited_hooks,
    check_counted_twice,
    check_mixed_samplers,
    check_filters,
    check_test_limits,
    check_learning_rate,
    check_schedule,
    check_validation,
    check_moving_average,
    check_watched_keys,
    check_idle_steps,
    check_twice_done,
    check_custom_keys,
    check_test_cfg,
    check_files,
    check_foreground,
)

__all__ = ["CONFIG_CHECKS"]
