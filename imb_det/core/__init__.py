"""What every part of the library stands on: protocols, findings, checks of arguments.

Nothing here imports another room of the library, mmdet, mmcv or matplotlib.
"""

from .checks import NUMBERS, check_choice, check_inputs, check_number
from .listener import (
    ClassDifficultyListener,
    ClassStatsListener,
    PartnerListener,
    Stage,
    StageListener,
)
from .main_process import on_main_process
from .text import and_more

__all__ = [
    "NUMBERS",
    "ClassDifficultyListener",
    "ClassStatsListener",
    "PartnerListener",
    "Stage",
    "StageListener",
    "and_more",
    "check_choice",
    "check_inputs",
    "check_number",
    "on_main_process",
]
