"""What the doctor checks of data sets, beside :mod:`imb_det.checks`."""

from __future__ import annotations

from typing import Any

from .balance import check_class_balance, check_untrained_classes
from .box_sizes import check_box_sizes
from .coco_files import check_coco_files
from .company import check_company
from .image_copies import check_image_copies
from .measurable import check_measurable
from .objects import check_empty_images, check_ignored_objects
from .repeated_objects import check_repeated_objects
from .turned_images import check_turned_images
from .voc_lists import check_voc_lists

#: In the order in which findings of equal severity are told.
DATA_CHECKS: tuple[Any, ...] = (
    check_coco_files,
    check_voc_lists,
    check_image_copies,
    check_turned_images,
    check_repeated_objects,
    check_untrained_classes,
    check_measurable,
    check_box_sizes,
    check_class_balance,
    check_company,
    check_empty_images,
    check_ignored_objects,
)

__all__ = ["DATA_CHECKS"]
