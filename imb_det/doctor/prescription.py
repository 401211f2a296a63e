"""What to change in a config, and why: a few lines of the guide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from imb_det.evaluation.group_metric import GroupMetric
from imb_det.experiments.guide import GUIDE, Advice
from imb_det.statistics.imbalance_measures import imbalance_ratio

from .context import DoctorContext
from .data_checks.class_tables import objects_of
from .evidence import evidence_of
from .facts import box_heads, facts_of

__all__ = ["MAX_CHANGES", "Prescription", "prescribe"]

#: Keys of a config that are changed at once, so that one can tell what helped.
MAX_CHANGES = 3

_OWN_METRICS = {
    "CocoMetric": "imb_det.CocoMetric",
    "LVISMetric": "imb_det.LVISMetric",
    "VOCMetric": "imb_det.VOCMetric",
}


@dataclass(frozen=True)
class Prescription:
    """What to change.

    Args:
        advice: Lines of the guide that fit; none where nothing is needed.
        reasons: One sentence for each, with the figures that it rests on.
        changes: Values by dotted key of the config. Default: none.
        measuring: Changes that let the training report groups of classes, and hand
            the counts over; they change no training. Default: none.
        is_well: Whether the data were looked at, and no class is rare. Default: False.
    """

    advice: tuple[Advice, ...]
    reasons: tuple[str, ...]
    changes: dict[str, Any] = field(default_factory=dict)
    measuring: dict[str, Any] = field(default_factory=dict)
    is_well: bool = False

    @property
    def headline(self) -> str:
        """What stands where there is no advice: nothing is needed, or known."""
        return "Nothing needed" if self.is_well else "None"

    def text(self) -> str:
        """Return the prescription as lines of text."""
        if not self.advice:
            what = self.headline.lower()
            return f"Prescription: {what}. {' '.join(self.reasons)}"
        lines = ["Prescription:"]
        for number, (advice, reason) in enumerate(
            zip(self.advice, self.reasons, strict=True), 1
        ):
            lines.append(f"  {number}. {advice.use}")
            lines.append(f"     For: {advice.case}.")
            if reason:
                lines.append(f"     Measured: {reason}.")
            lines.append(f"     Cost: {advice.cost}.")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and dictionaries."""
        return {
            "advice": [
                {"use": a.use, "when": a.case, "cost": a.cost, "evidence": reason}
                for a, reason in zip(self.advice, self.reasons, strict=False)
            ],
            "reasons": list(self.reasons),
            "changes": {**self.measuring, **self.changes},
        }


def prescribe(context: DoctorContext, guide: Sequence[Advice] = GUIDE) -> Prescription:
    """Choose lines of the guide that fit a config, at most one of each matter.

    Args:
        context: With whatever could be built.
        guide: Lines of one matter in the order of what they gain. Default: the guide of
            this library.
    """
    facts = facts_of(context)
    chosen: list[Advice] = []
    changes: dict[str, Any] = {}
    for advice in guide:
        if not advice.changes or not facts.issuperset(advice.needs):
            continue
        if advice.about in {other.about for other in chosen}:
            continue
        own = dict(_placed(advice, context))
        if own.keys() & changes.keys() or len(own | changes) > _most(context):
            continue
        chosen.append(advice)
        changes |= own
    if not chosen:
        is_known = context.class_stats is not None and context.model is not None
        is_known &= not _is_of_maps(context)
        is_well = is_known and "rare_classes" not in facts
        return Prescription((), (_why_nothing(context, facts),), is_well=is_well)
    reasons = tuple(map(evidence_of, chosen))
    return Prescription(tuple(chosen), reasons, changes, _measuring(context))


def _most(context: DoctorContext) -> int:
    """Return how many keys may change; the heads of a cascade are one."""
    return MAX_CHANGES * max(len(list(box_heads(context))), 1)


def _placed(advice: Advice, context: DoctorContext) -> Iterator[tuple[str, Any]]:
    """Yield the changes of a line, with the paths of the heads of this config."""
    for key, value in advice.changes.items():
        if not key.startswith("BOX_HEAD"):
            yield key, value
            continue
        for path, _ in box_heads(context):
            yield key.replace("BOX_HEAD", path), value


def _why_nothing(context: DoctorContext, facts: frozenset[str]) -> str:
    if context.class_stats is None or context.model is None:
        return "The data or the model could not be looked at: see the findings."
    if _is_of_maps(context):
        return (
            "Nothing was measured for maps of classes. Losses of pixels, by class, are "
            "in configs/mask_losses."
        )
    if "rare_classes" not in facts:
        groups = context.class_stats.describe_groups()
        ratio = imbalance_ratio(context.class_stats.instance_count)
        return (
            f"No class is rare beside others (imbalance ratio {ratio:.3g}; {groups}), "
            "so that nothing that was measured for long tails applies."
        )
    return (
        "There are rare classes, and no change was measured to help in a head of this "
        "kind, or the config has one already. What needs no training: "
        "`tools/calibrate.py`."
    )


def _is_of_maps(context: DoctorContext) -> bool:
    """Tell whether the training has maps of classes, and no boxes."""
    stats = context.class_stats
    return stats is not None and objects_of(stats)[1] == "pixel"


def _measuring(context: DoctorContext) -> dict[str, Any]:
    """Return what hands the counts over and reports groups."""
    config, found = context.config, dict[str, Any]()
    imports = list((config.get("custom_imports") or {}).get("imports") or ())
    if isinstance(imports, list) and "imb_det" not in imports:
        found["custom_imports"] = dict(
            imports=[*imports, "imb_det"], allow_failed_imports=False
        )
    if not any(type(hook).__name__ == "ImbalanceHook" for hook in context.hooks):
        hooks = [dict(hook) for hook in config.get("custom_hooks") or ()]
        found["custom_hooks"] = [*hooks, dict(type="imb_det.ImbalanceHook")]
    for split in ("val", "test"):
        judge = config.get(f"{split}_evaluator")
        metrics = context.metrics.get(split, context.metrics.get("val", ()))
        is_one = isinstance(judge, dict) and len(metrics) == 1
        if not is_one or isinstance(metrics[0], GroupMetric):
            continue
        own = _OWN_METRICS.get(type(metrics[0]).__name__)
        if own is not None:
            found[f"{split}_evaluator.type"] = own
    return found
