"""What every part of the library stands on: protocols, findings, checks of arguments.

Nothing here imports another room of the library, mmdet, mmcv or matplotlib.
"""

from .check_context import (
    Check,
    CheckContext,
    FigureSource,
    ProposalTaker,
    SelfChecking,
)
from .checks import check_choice, check_number, is_number, refuse_idle
from .finding import Finding, FindingsError, Severity, raise_findings, refusal, render
from .hand_over import HandOver
from .listener import (
    ClassDifficultyListener,
    ClassStatsListener,
    NamedStageListener,
    PartnerListener,
    Stage,
    StageListener,
    StageProgressListener,
    TrainingMemory,
    WorkDirListener,
)
from .main_process import on_main_process
from .schedule import Schedule
from .stage_lengths import StageLengths
from .stage_plan import StagePlan
from .text import and_more

__all__ = [
    "Check",
    "CheckContext",
    "ClassDifficultyListener",
    "ClassStatsListener",
    "FigureSource",
    "Finding",
    "FindingsError",
    "HandOver",
    "NamedStageListener",
    "PartnerListener",
    "ProposalTaker",
    "Schedule",
    "SelfChecking",
    "Severity",
    "Stage",
    "StageLengths",
    "StageListener",
    "StagePlan",
    "StageProgressListener",
    "TrainingMemory",
    "WorkDirListener",
    "and_more",
    "check_choice",
    "check_number",
    "is_number",
    "on_main_process",
    "raise_findings",
    "refusal",
    "refuse_idle",
    "render",
]
