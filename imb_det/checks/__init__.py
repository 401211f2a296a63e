"""What must hold before a training, a validation or a test begins.

A check is a function of a :class:`~imb_det.core.CheckContext` that yields findings. The
hook runs :data:`CHECKS`; :data:`ALL_CHECKS` has in addition what data sets log by
themselves, for a look at a config without a training.
"""

from .activations import check_activations
from .annotation_files import check_annotation_files
from .audits import check_audits
from .boxes import check_boxes
from .classifiers import check_classifiers
from .components import check_components
from .concatenations import (
    check_evaluated_images,
    check_image_ids,
    check_metainfo,
)
from .empty_sets import check_empty_sets
from .epoch_length import check_epoch_length
from .hidden_labels import check_hidden_labels
from .images import check_images
from .loss_callers import check_loss_callers
from .metric_needs import check_metric_needs
from .multi_image import check_multi_image, check_skipped_types
from .num_classes import check_class_order, check_num_classes
from .proposal_samplers import check_samplers
from .running import run_checks
from .stages import check_stages
from .switches import check_switches
from .watched_figures import check_watched
from .weight_scale import check_weight_scale
from .writable import check_writable

#: In the order in which findings of equal severity are told.
CHECKS = (
    check_num_classes,
    check_class_order,
    check_activations,
    check_classifiers,
    check_loss_callers,
    check_weight_scale,
    check_samplers,
    check_multi_image,
    check_skipped_types,
    check_switches,
    check_epoch_length,
    check_empty_sets,
    check_annotation_files,
    check_boxes,
    check_hidden_labels,
    check_images,
    check_metainfo,
    check_image_ids,
    check_evaluated_images,
    check_metric_needs,
    check_writable,
    check_watched,
    check_stages,
    check_components,
)
ALL_CHECKS = (*CHECKS, check_audits)

__all__ = [
    "ALL_CHECKS",
    "CHECKS",
    "check_activations",
    "check_annotation_files",
    "check_audits",
    "check_boxes",
    "check_class_order",
    "check_classifiers",
    "check_components",
    "check_empty_sets",
    "check_epoch_length",
    "check_evaluated_images",
    "check_hidden_labels",
    "check_image_ids",
    "check_images",
    "check_loss_callers",
    "check_metainfo",
    "check_metric_needs",
    "check_multi_image",
    "check_num_classes",
    "check_samplers",
    "check_skipped_types",
    "check_stages",
    "check_switches",
    "check_watched",
    "check_weight_scale",
    "check_writable",
    "run_checks",
]
