"""What the parts of a training against imbalance do, told after its first iteration."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from torch import Tensor, nn

from imb_det.core.listener import SelfDescribing
from imb_det.core.shown_text import shown
from imb_det.losses import CrossEntropyLoss, ImbalanceLoss, ToldInstances
from imb_det.losses.effect import LossEffect, effect_of
from imb_det.samplers.receipt import SamplingReceipt
from imb_det.samplers.wrapper_receipt import wrapper_receipt
from imb_det.statistics import ClassStats
from imb_det.statistics.class_vector import ClassVector
from imb_det.statistics.running_stats import RunningStats

from .called_losses import untrained_parts

__all__ = ["InEffect"]

_HEAD = ("part", "where", "told", "does")
#: Logits of a step that are kept; of more, those of the first calls.
_MOST_LOGITS = 20_000_000
_LARGE = f"not compared (a call has more than {_MOST_LOGITS:,} logits)"


class InEffect:
    """Tells each part, where it sits, what it was told, and what it changes.

    Losses are compared with plain cross entropy on the logits of the first iteration,
    on rank 0. A part that is set and changes nothing is a warning; one that goes by
    stages or by statistics of the training may begin without any effect.

    Args:
        model: That is trained.
        places: Where its modules are, by ``id``, for messages.
        stats: Counts of the training set; None where they are not known.
        receipts: What samplers do, by their type. Default: none.
        others: Modules, transforms and hooks, those that describe themselves among
            them (:class:`~imb_det.core.listener.SelfDescribing`). Default: none.
        dataset: Of the training, in its wrappers. Default: None.
    """

    def __init__(
        self,
        model: nn.Module,
        places: Mapping[int, str],
        stats: ClassStats | None,
        receipts: Mapping[str, SamplingReceipt | None] | None = None,
        others: Iterable[Any] = (),
        dataset: Any = None,
    ) -> None:
        self._places, self._stats = places, stats
        found = (receipts or {}).items()
        self._receipts = {kind: receipt for kind, receipt in found if receipt}
        self._others, self._dataset = list(others), dataset
        untrained = untrained_parts(model)
        self._of_instances = [
            module
            for module in model.modules()
            if isinstance(module, ToldInstances) and id(module) not in untrained
        ]
        self._calls: dict[ImbalanceLoss, list[tuple[tuple, dict]]] = {}
        self._called: set[ImbalanceLoss] = set()
        self._left, self._handles = _MOST_LOGITS, []
        self._is_over = not is_main_process()
        if stats is None or self._is_over:
            return
        passed_over = untrained | {
            id(part)
            for module in model.modules()
            if isinstance(module, ImbalanceLoss)
            for part in module.modules()
            if part is not module
        }
        for module in model.modules():
            if isinstance(module, ImbalanceLoss) and id(module) not in passed_over:
                self._calls[module] = []
                hook = module.register_forward_pre_hook(self._keep, with_kwargs=True)
                self._handles.append(hook)

    def _keep(self, loss: Any, arguments: tuple, named: dict[str, Any]) -> None:
        """Keep what a loss is called with, without its graph."""
        if not (loss.training and torch.is_grad_enabled() and arguments):
            return
        if named.get("reduction_override"):
            return
        self._called.add(loss)
        if arguments[0].numel() > self._left:
            return
        self._left -= arguments[0].numel()
        kept = tuple(map(_without_graph, arguments))
        self._calls[loss].append(
            (kept, {k: _without_graph(v) for k, v in named.items()})
        )

    def iteration_is_over(self) -> None:
        """Log the table, once."""
        if self._is_over:
            return
        self._is_over = True
        for handle in self._handles:
            handle.remove()
        self._handles = []
        rows = [*self._of_losses(), *self._of_samplers(), *self._of_others()]
        self._calls.clear()
        self._called.clear()
        if not rows:
            return
        widths = [max(len(row[i]) for row in (_HEAD, *rows)) for i in range(3)]
        widths.append(0)
        lines = [
            "  " + "  ".join(map(str.ljust, row, widths)) for row in (_HEAD, *rows)
        ]
        print_log("\n".join(["ImbalanceHook: in effect", *lines]), logger="current")

    def _of_losses(self) -> list[tuple[str, str, str, str]]:
        rows = []
        groups = {} if self._stats is None else self._stats.groups()
        rare = torch.as_tensor(groups.get("rare", ()), dtype=torch.long)
        for loss, calls in self._calls.items():
            vectors = [p for p in loss.modules() if isinstance(p, ClassVector)]
            told = [text for v in vectors if (text := self._numbers(v))]
            effect, does = _effect(loss, calls, rare)
            if not calls:
                does = _LARGE if loss in self._called else "was not called"
            is_plain = type(loss) is CrossEntropyLoss and not told
            if is_plain and (effect is None or not effect.changes):
                continue
            kind, place = type(loss).__name__, self._places.get(id(loss), "")
            if effect is not None and not effect.changes and not _begins_later(loss):
                print_log(
                    f"{place} ({kind}) has the gradient of plain cross entropy: it "
                    f"changes nothing{' with ' * bool(told) + ', '.join(told)}",
                    logger="current",
                    level=logging.WARNING,
                )
            rows.append((kind, place.strip("`"), "; ".join(told), does))
        return [*rows, *self._of_masks()]

    def _of_masks(self) -> list[tuple[str, str, str, str]]:
        """Return what losses of masks were told of the classes."""
        rows = []
        for loss in self._of_instances:
            place = self._places.get(id(loss), "").strip("`")
            if told := self._numbers(loss.class_weight):
                rows.append((type(loss).__name__, place, told, "weighs instances"))
        return rows

    def _numbers(self, vector: ClassVector) -> str:
        """Return the numbers of the rarest and of the most frequent class."""
        value, name = vector.value, vector.name
        stage = f" in stage {vector.stage!r}" if vector.stage else ""
        is_set = vector.spec is not None or vector.told
        if value is None or not value.numel() or not is_set:
            return f"{name} none{stage}" if stage else ""
        if value.dim() == 0:
            return f"{name} {value.item():.3g}{stage}"
        if self._stats is None:
            return f"{name} of {len(value)}{stage}"
        counts = self._stats.image_count
        seen = counts.nonzero()[0]
        if len(value) < len(counts) or not len(seen):
            return f"{name} of {len(value)}{stage}"
        ends = (seen[counts[seen].argmin()], seen[counts[seen].argmax()])
        parts = [
            f"{value[int(e)].item():.3g} ({shown(self._stats.classes[e], 24)})"
            for e in ends
        ]
        return f"{name} {' to '.join(parts)}{stage}"

    def _of_samplers(self) -> list[tuple[str, str, str, str]]:
        rows = []
        for kind, receipt in self._receipts.items():
            told, _, does = receipt.line().partition("; ")
            told = told.partition(": ")[2] or told
            rows.append((kind, "train_dataloader.sampler", told, does))
        return [*rows, *self._of_wrappers()]

    def _of_wrappers(self) -> list[tuple[str, str, str, str]]:
        """Return what a wrapper of the data set does, if it repeats images."""
        if self._dataset is None or self._stats is None:
            return []
        receipt = wrapper_receipt(self._dataset, self._stats)
        if receipt is None:
            return []
        kind, place = receipt.rule.partition(": ")[0], "train_dataloader.dataset"
        told, _, does = receipt.line().partition("; ")
        if receipt.length_after == receipt.length_before:
            does = "repeats no image"
            print_log(
                f"{place} ({kind}) {does}: it changes nothing",
                "current",
                logging.WARNING,
            )
        return [(kind, place, told.partition(": ")[2], does)]

    def _of_others(self) -> list[tuple[str, str, str, str]]:
        rows = []
        for part in self._others:
            if isinstance(part, SelfDescribing):
                told, does = part.in_effect()
                place = self._places.get(id(part), "").strip("`")
                if told or does:
                    rows.append((type(part).__name__, place, told, does))
        return rows


def _effect(
    loss: ImbalanceLoss, calls: list[tuple[tuple, dict]], rare: Tensor
) -> tuple[LossEffect | None, str]:
    """Return what a loss changes, and how it is told."""
    try:
        effect = effect_of(loss, calls, rare)
    except Exception as error:  # of a loss that needs more than its arguments
        return None, f"not compared ({type(error).__name__})"
    return effect, _text(effect)


def _without_graph(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, (tuple, list)):
        return type(value)(map(_without_graph, value))
    return value


def _begins_later(loss: nn.Module) -> bool:
    """Tell whether a loss may begin as a plain one, and not stay so."""
    return any(
        isinstance(part, RunningStats)
        or (isinstance(part, ClassVector) and bool(part.stage_names or part.told_by))
        for part in loss.modules()
    )


def _text(effect: LossEffect | None) -> str:
    if effect is None:
        return "no row with a gradient in the first iteration"
    if not effect.changes:
        return "nothing yet"
    before, after = effect.background
    parts = [f"background {before:.1%} to {after:.1%} of the gradient"]
    if effect.rare is not None:
        before, after = effect.rare
        parts.insert(0, f"rare classes {before:.1%} to {after:.1%} of that of classes")
    return ", ".join(parts)
