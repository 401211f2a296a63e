"""Parts that heads build from ``train_cfg``."""

from .all_sampler import AllSampler

__all__ = ["AllSampler"]
