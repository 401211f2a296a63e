"""What must hold before a training, a validation or a test begins.

A check is a function of a :class:`~imb_det.core.CheckContext` that yields findings. The
hook runs :data:`CHECKS`; :data:`ALL_CHECKS` has in addition what data sets log by
themselves, for a look at a config without a training.
"""

from .activations import check_activations
from .audits import check_audits
from .boxes import check_boxes
from .components import check_components
from .images import check_images
from .loss_callers import check_loss_callers
from .metric_needs import check_metric_needs
from .num_classes import check_class_order, check_num_classes
from .proposal_samplers import check_samplers
from .running import run_checks
from .stages import check_stages
from .watched_figures import check_watched

#: In the order in which findings of equal severity are told.
CHECKS = (
    check_num_classes,
    check_class_order,
    check_activations,
    check_loss_callers,
    check_samplers,
    check_boxes,
    check_images,
    check_metric_needs,
    check_watched,
    check_stages,
    check_components,
)
ALL_CHECKS = (*CHECKS, check_audits)

__all__ = [
    "ALL_CHECKS",
    "CHECKS",
    "check_activations",
    "check_audits",
    "check_boxes",
    "check_class_order",
    "check_components",
    "check_images",
    "check_loss_callers",
    "check_metric_needs",
    "check_num_classes",
    "check_samplers",
    "check_stages",
    "check_watched",
    "run_checks",
]
