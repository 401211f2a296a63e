"""Heads of MMDetection in their smallest form, and what they make of known logits.

Every head has the same methods: ``losses`` trains one step on a fixed batch, and
``scores`` sends logits through the head's own prediction, without suppression, and
returns the score of each candidate for each class, NaN where the head kept none.
"""

from .dense_heads import DETRHead, FCOSHead, RetinaHead
from .roi_heads import MaskHead, RoIHead

__all__ = ["HEADS", "DETRHead", "FCOSHead", "MaskHead", "RetinaHead", "RoIHead"]

#: Columns of the support matrix: heading -> head and the activation it runs with;
#: None means any.
HEADS = {
    "RoI head, softmax": (RoIHead, "softmax"),
    "RoI head, sigmoid": (RoIHead, "sigmoid"),
    "RetinaHead": (RetinaHead, None),
    "FCOSHead": (FCOSHead, None),
    "DETRHead": (DETRHead, None),
    "mask head": (MaskHead, "mask"),
}
