"""Losses by what the annotations of each image have verified."""

from .federated_hook import FederatedHook

__all__ = ["FederatedHook"]
