"""Detectors merged from checkpoints, and judged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import Tensor

from imb_det.calibration.classifier_outputs import extra_outputs
from imb_det.calibration.image_sets import dataset_of
from imb_det.calibration.tested_detector import TestedDetector
from imb_det.checkpoint_files import read_weights, without_training
from imb_det.core import ClassStatsListener, check_choice, check_number
from imb_det.core.hand_over import HandOver
from imb_det.evaluation.functional import text_table

from .positioning import PARTS, part_of, position
from .recalibration import recount_norms
from .rules import DEFAULTS, RULES, merge, rule_of
from .state_dicts import Parents

__all__ = ["MergingSession"]

#: Figures that tell parents and merged detectors apart.
_SHOWN = ("AP", "AP50", "APr", "APc", "APf")


class MergingSession:
    """Merges checkpoints, and tests what comes of it.

    Args:
        config: Config of the detector of the first checkpoint.
        files: Of the checkpoints; with a base, it is the first of them.
        out: Folder for predictions and results.
        has_base: Whether the first one is what the others were fine-tuned from.
            Default False.
        keep: Share of each task vector that the rule ``ties`` keeps; None for 0.2.
            Default None.

    Raises:
        FileNotFoundError, TypeError, ValueError: See :meth:`.Parents.read`; a share out
            of range.
    """

    def __init__(
        self,
        config: Config,
        files: Sequence[str | Path],
        out: Path,
        has_base: bool = False,
        keep: float | None = None,
    ) -> None:
        rule_of("ties", keep)  # before anything is read
        self.keep = keep
        self.config, self.out, self.has_base = config, out, has_base
        self.val_set = dataset_of(config, "val")
        self.tested = TestedDetector(config, out)
        self.model = self.tested.model
        self.parents = Parents.read(files, lambda: extra_outputs(self.model))
        self.tested.load(self.parents.states[0], str(self.parents.files[0]))

    def merged(
        self, rule: str, value: float = 1.0, parts: Mapping[str, float] | None = None
    ) -> dict[str, Tensor]:
        """Merge by a rule.

        Args:
            rule: One of :data:`.RULES`.
            value: Its number, such as alpha. Default 1.
            parts: Of backbone, neck or head in its place. Default None.

        Raises:
            ValueError: A rule that needs a base, or two checkpoints; no such part, or
                a number out of range.
        """
        self._check(rule, [value], parts or {})
        numbers = dict(parts or {})
        apply = rule_of(rule, self.keep if rule == "ties" else None)

        def of_tensor(name: str, tensors: list[Tensor]) -> Tensor:
            base = tensors[0] if self.has_base else None
            rest = tensors[1:] if self.has_base else tensors
            return apply(base, rest, numbers.get(part_of(name), value))

        return self.parents.merged(of_tensor)

    def _check(
        self, rule: str, values: Sequence[float], parts: Mapping[str, float]
    ) -> None:
        """Refuse what a rule cannot do, before any image is looked at."""
        check_choice("merging", "rule", rule, tuple(RULES))
        for part in parts:
            check_choice("merging", "parts", part, PARTS)
        self._check_parts(parts)
        if rule == "uniform":
            if parts:
                raise ValueError("`uniform` has no number that a part could have")
            return
        if not self.has_base:
            raise ValueError(f"`{rule}` needs a base, that all were fine-tuned from")
        others = len(self.parents.states) - 1
        if rule == "wise_ft" and others != 1:
            raise ValueError("`wise_ft` is of a base and one other checkpoint")
        nothing = torch.zeros(1)
        for value in [*values, *parts.values()]:
            check_number("merging", rule, value, float("-inf"), None, open_ends=True)
            RULES[rule](nothing, [nothing] * others, value)

    def _check_parts(self, parts: Mapping[str, float]) -> None:
        """Refuse numbers that no tensor is merged by."""
        if idle := sorted(set(parts) - self._parts()):
            raise ValueError(
                f"nothing that is merged is of the {' or the '.join(idle)}"
            )

    def _parts(self) -> set[str]:
        """Return the parts of the detector that have something to merge."""
        merged = self.parents.states[0].keys() - self.parents.skipped.keys()
        return {part_of(name) for name in merged}

    def positioned(self, steps: int, by_part: bool) -> dict[str, Tensor]:
        """Merge by factors that are learnt, see :func:`.position`, and print them."""
        if not self.has_base:
            raise ValueError("`position` needs a base, that all were fine-tuned from")
        base, *others = self.parents.states
        names = [name for name in base if name not in self.parents.skipped]
        self._load(base)
        # Losses go by counts that a base, which knows other data, may not bring.
        hand_over = HandOver(ClassStatsListener, "set_class_stats")
        hand_over(self.model.modules(), self.tested.stats)
        found = position(
            self.model,
            base,
            others,
            chain.from_iterable(repeat(self._train_loader())),
            names=names,
            steps=steps,
            by_part=by_part,
        )
        for part, factors in found.items():
            print(f"factors, {part}: {[round(f, 3) for f in factors]}")

        def of_tensor(name: str, tensors: list[Tensor]) -> Tensor:
            own = found[part_of(name) if by_part else "all"]
            return merge(tensors, [1 - sum(own), *own])

        return self.parents.merged(of_tensor)

    def best_of(
        self,
        rule: str,
        values: Sequence[float],
        parts: Mapping[str, float],
        images: int,
    ) -> dict[str, Tensor]:
        """Merge by a rule with each of its numbers, print figures, return the best.

        Args:
            rule: One of :data:`.RULES`.
            values: Its numbers; the one with the best AP of the validation set wins.
                Nothing stands for that of :data:`.DEFAULTS`.
            parts: See :meth:`merged`.
            images: See :meth:`recount`.
        """
        given, values = values, values or [DEFAULTS[rule]]
        self._check(rule, values, parts)
        all_have_own = self._parts() <= set(parts)
        if given and all_have_own:
            raise ValueError(
                f"{list(given)} have no effect: {', '.join(sorted(self._parts()))} "
                "have numbers of their own"
            )
        rows: list[list[Any]] = []
        names: list[str] = []
        for place, file in enumerate(self.parents.names):
            own = self.of_parent(place)
            names = names or list(own)
            rows.append([file, *(own.get(name, math.nan) for name in names)])
        best, made = -math.inf, dict[str, Tensor]()
        for value in values:
            state = self.recount(self.merged(rule, value, parts), images)
            found = self.figures(state)
            numbers = [] if rule == "uniform" or all_have_own else [f"{value:g}"]
            numbers += [f"{part} {number:g}" for part, number in parts.items()]
            label = ", ".join([rule, *numbers])
            rows.append([label, *(found[name] for name in names)])
            if not made or _rank(found["AP"]) > best:
                best, made = _rank(found["AP"]), state  # others would fill the memory
        print(text_table(["detector", *names], rows))
        return made

    def write(self, state: Mapping[str, Tensor], file: Path) -> None:
        """Write a checkpoint with these parameters, and all else of the first one."""
        content, _ = read_weights(self.parents.files[0])
        torch.save({**without_training(content), "state_dict": dict(state)}, file)

    def greedy(self, images: int) -> dict[str, Tensor]:
        """Merge those whose average with the better ones is not worse.

        They are chosen by AP of the validation set, each average with statistics of
        normalisation of its own.

        Args:
            images: See :meth:`recount`.

        Raises:
            ValueError: A checkpoint that is no whole detector of the config.

        Source: Wortsman et al., "Model soups", ICML 2022, greedy soup.
        """
        files = self.parents.names
        if self.parents.partial:
            file = files[min(self.parents.partial)]
            raise ValueError(f"`greedy` tests each by itself, and {file} lacks tensors")
        single = [self.of_parent(i)["AP"] for i in range(len(files))]
        order = sorted(range(len(single)), key=lambda i: -_rank(single[i]))
        chosen, best = [order[0]], _rank(single[order[0]])
        made = self._average(chosen)
        print(f"{files[order[0]]}: AP {single[order[0]]:.4f}, the best")
        for place in order[1:]:
            tried = [*chosen, place]
            state = self.recount(self._average(tried), images)
            found = self.figures(state)["AP"]
            kept = _rank(found) >= best
            verdict = "kept" if kept else "left out"
            print(f"with {files[place]}: AP {found:.4f}, {verdict}")
            if kept:
                chosen, best, made = tried, found, state
        return made

    def _average(self, places: Sequence[int]) -> dict[str, Tensor]:
        weights = [1 / len(places)] * len(places)
        return self.parents.merged(
            lambda _, tensors: merge([tensors[i] for i in places], weights)
        )

    def recount(self, state: dict[str, Tensor], images: int) -> dict[str, Tensor]:
        """Count running statistics of normalisation again; see :func:`recount_norms`.

        Frozen layers, whose statistics the parents share, keep theirs; so does a state
        that is that of a parent, such as the ends of ``wise_ft``.
        """
        if (place := self.parents.place_of(state)) is not None:
            print(f"as {self.parents.names[place]}, whose normalisation stays")
            return state
        shared = {
            name.rsplit(".", 1)[0]
            for name, own in self.parents.states[0].items()
            if name.endswith("running_mean")
            and name not in self.parents.skipped
            and all(torch.equal(own, s[name]) for s in self.parents.states[1:])
        }
        self._load(state)
        loader = self._train_loader()
        count = recount_norms(self.model, loader, images, shared)
        print(f"normalisation counted again in {count} layers")
        return {k: v.cpu().clone() for k, v in self.model.state_dict().items()}

    def of_parent(self, place: int) -> dict[str, float]:
        """Return the figures of a checkpoint; none of one that lacks tensors."""
        if place in self.parents.partial:
            return {}
        return self.figures(self.parents.states[place])

    def figures(self, state: Mapping[str, Tensor]) -> dict[str, float]:
        """Return the figures of a detector on the validation set.

        Args:
            state: Its parameters and buffers.
        """
        self._load(state)
        values = self.tested.figures_on(self.val_set, "merged", "validation")
        return {name: values[name] for name in _SHOWN if name in values}

    def _load(self, state: Mapping[str, Tensor]) -> None:
        self.tested.load(state, str(self.parents.files[0]))

    def _train_loader(self) -> Any:
        loader = Runner.build_dataloader(self.config.train_dataloader, seed=0)
        if not len(loader):
            raise ValueError("`train_dataloader` has no batch of images")
        return loader


def _rank(ap: float) -> float:
    """Return AP for comparisons; one that is not defined is the least."""
    return -math.inf if math.isnan(ap) else ap
