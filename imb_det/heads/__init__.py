"""Detection heads."""

from .class_thresholds import ClassThresholds
from .detr_heads import DeformableDETRHead, DETRHead
from .expert_losses import ExpertLosses, experts_of
from .guided_bbox_head import GuidedBBoxHead
from .guided_heads import GuidedAnchorBasedHead, GuidedDenseHead
from .guided_loss_scaling import GuidedLossScaling
from .mask_query_heads import Mask2FormerHead, MaskFormerHead
from .multi_expert_heads import (
    MultiExpertConvFCBBoxHead,
    MultiExpertHead,
    MultiExpertShared2FCBBoxHead,
    MultiExpertShared4Conv1FCBBoxHead,
)
from .sampling_free_bbox_heads import (
    SamplingFreeConvFCBBoxHead,
    SamplingFreeShared2FCBBoxHead,
    SamplingFreeShared4Conv1FCBBoxHead,
)
from .sampling_free_dense_heads import (
    SamplingFreeATSSHead,
    SamplingFreeFCOSHead,
    SamplingFreeGFLHead,
    SamplingFreeRetinaHead,
    SamplingFreeRPNHead,
)

__all__ = [
    "ClassThresholds",
    "DETRHead",
    "DeformableDETRHead",
    "ExpertLosses",
    "GuidedAnchorBasedHead",
    "GuidedBBoxHead",
    "GuidedDenseHead",
    "GuidedLossScaling",
    "Mask2FormerHead",
    "MaskFormerHead",
    "MultiExpertConvFCBBoxHead",
    "MultiExpertHead",
    "MultiExpertShared2FCBBoxHead",
    "MultiExpertShared4Conv1FCBBoxHead",
    "SamplingFreeATSSHead",
    "SamplingFreeConvFCBBoxHead",
    "SamplingFreeFCOSHead",
    "SamplingFreeGFLHead",
    "SamplingFreeRPNHead",
    "SamplingFreeRetinaHead",
    "SamplingFreeShared2FCBBoxHead",
    "SamplingFreeShared4Conv1FCBBoxHead",
    "experts_of",
]
