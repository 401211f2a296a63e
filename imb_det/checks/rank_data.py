"""Data and samplers of all ranks, which must be the same."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from imb_det.core.finding import Finding
from imb_det.runner_parts import samplers_of
from imb_det.statistics.rank_agreement import compare_ranks

__all__ = ["check_rank_data"]

#: What samplers, mmengine's and others, call what ranks must share.
_SHARED = ("seed", "shuffle", "round_up", "total_size")


def check_rank_data(loaders: Mapping[str, Any]) -> list[Finding]:
    """Compare the data loaders of this rank with those of the others.

    Every rank calls it, and gets the same findings; a single process has none.

    Args:
        loaders: Built data loaders by ``train``, ``val`` and ``test``.
    """
    found = []
    for split, loader in loaders.items():
        settings = _settings(loader) if split == "train" else {}
        found += compare_ranks(f"`{split}_dataloader`", loader.dataset, settings)
    return found


def _settings(loader: Any) -> dict[str, Any]:
    """Return what ranks must have in common to train together."""
    settings: dict[str, Any] = {}
    for sampler in samplers_of(loader):
        name = type(sampler).__name__
        settings[f"a sampler {name}"] = "there"
        for key in _SHARED:
            value = getattr(sampler, key, None)
            if isinstance(value, (bool, int)):
                settings[f"`{key}` of {name}"] = value
    with contextlib.suppress(TypeError):  # of data without an end
        # Where one has fewer, the others would wait for its gradients.
        settings["the number of batches"] = len(loader)
    return settings
