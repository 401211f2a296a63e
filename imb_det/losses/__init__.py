"""Losses."""

from .base import ImbalanceLoss
from .cdb_loss import CDBLoss
from .cross_entropy_loss import CrossEntropyLoss
from .flushing import flush_statistics, manage_statistics
from .focal_loss import FocalLoss
from .ghmc_loss import GHMCLoss
from .ghmr_loss import GHMRLoss

__all__ = [
    "CDBLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "GHMCLoss",
    "GHMRLoss",
    "ImbalanceLoss",
    "flush_statistics",
    "manage_statistics",
]
