"""Parts that heads build from ``train_cfg``."""

from .adjusted_costs import AdjustedClassificationCost, AdjustedFocalLossCost
from .all_sampler import HOW_TO_SAMPLE_ALL, AllSampler

__all__ = [
    "HOW_TO_SAMPLE_ALL",
    "AdjustedClassificationCost",
    "AdjustedFocalLossCost",
    "AllSampler",
]
