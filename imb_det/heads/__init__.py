"""Detection heads."""

from .guided_loss_scaling import GuidedLossScaling
from .sampling_free_retina_head import SamplingFreeRetinaHead

__all__ = ["GuidedLossScaling", "SamplingFreeRetinaHead"]
