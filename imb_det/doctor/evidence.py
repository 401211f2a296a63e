"""Figures of the experiments that a prescription rests on."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import imb_det
from imb_det.experiments.guide import Advice

__all__ = ["evidence_of"]

#: Experiments that come with the library, the one that the guide rests on first.
_EXPERIMENTS = ("boards_lt", "longtail_digits")
_FIGURES = {"AP": "AP", "APr": "APr", "APf": "APf", "top1_r": "top-1 rare"}


def evidence_of(advice: Advice) -> str:
    """Return the measured differences from plain training, a sentence an experiment.

    Args:
        advice: Line of the guide.

    Returns:
        Differences with 95 % intervals over test images and seeds; empty where no
        comparison is there.
    """
    found = [_of_experiment(advice, name) for name in _EXPERIMENTS]
    return ". ".join(filter(None, found))


def _of_experiment(advice: Advice, experiment: str) -> str:
    comparison = _comparison(f"{experiment}.{advice.dataset}.json")
    found = (comparison or {}).get("differences", {}).get(advice.method)
    if comparison is None or found is None:
        return ""
    parts = []
    for name, title in _FIGURES.items():
        if name in found:
            low, high = found[name]["interval"]
            number = found[name]["difference"]
            parts.append(f"{title} {number:+.3f} [{low:+.3f}, {high:+.3f}]")
    seeds = len(comparison["methods"][advice.method]["files"])
    return (
        f"{', '.join(parts)}, beside plain training, {seeds} "
        f"{'seed' if seeds == 1 else 'seeds'} "
        f"(configs/experiments/{experiment}.py, {advice.dataset}, {advice.method})"
    )


@cache
def _comparison(name: str) -> dict[str, Any] | None:
    path = Path(imb_det.__file__).parent / ".mim" / "configs" / "experiments" / name
    if not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
