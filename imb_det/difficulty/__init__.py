"""Difficulty of classes: measuring it, tracking it, handing over its weights."""

from .class_difficulty_hook import ClassDifficultyHook
from .tracker import DifficultyTracker

__all__ = ["ClassDifficultyHook", "DifficultyTracker"]
