"""Detectors merged from checkpoints, and judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import Runner
from torch import Tensor

from imb_det.analysis.run_comparison import compare_runs
from imb_det.calibration.classifier_outputs import classifier_outputs
from imb_det.calibration.image_sets import ann_file_of, test_loader
from imb_det.calibration.passes import predict
from imb_det.checkpoint_files import read_checkpoint
from imb_det.evaluation.functional import text_table
from imb_det.statistics import ClassStats, GroupLimits

from .positioning import part_of, position
from .recalibration import recount_norms
from .rules import RULES, merge
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

    Raises:
        FileNotFoundError, ValueError: See :meth:`.Parents.read`.
    """

    def __init__(
        self,
        config: Config,
        files: Sequence[str | Path],
        out: Path,
        has_base: bool = False,
    ) -> None:
        init_default_scope(config.get("default_scope", "mmdet"))
        self.config, self.out, self.has_base = config, out, has_base
        out.mkdir(parents=True, exist_ok=True)
        self.model: Any = MODELS.build(config.model)
        outputs = classifier_outputs(self.model)
        extra = max(output.channels - output.num_classes for output in outputs)
        self.parents = Parents.read(files, extra)
        dataset = DATASETS.build(config.train_dataloader.dataset)
        stats = ClassStats.from_dataset(dataset)
        self.stats = stats.with_limits(GroupLimits.from_config(config))

    def merged(
        self, rule: str, value: float = 1.0, parts: Mapping[str, float] | None = None
    ) -> dict[str, Tensor]:
        """Merge by a rule.

        Args:
            rule: One of :data:`.RULES`.
            value: Its number, such as alpha. Default 1.
            parts: Of backbone, neck or head in its place. Default None.

        Raises:
            ValueError: A rule that needs a base, or two checkpoints.
        """
        if rule != "uniform" and not self.has_base:
            raise ValueError(f"`{rule}` needs a base, that all were fine-tuned from")
        if rule == "wise_ft" and len(self.parents.states) != 2:
            raise ValueError("`wise_ft` is of a base and one other checkpoint")
        numbers = dict(parts or {})

        def of_tensor(name: str, tensors: list[Tensor]) -> Tensor:
            base = tensors[0] if self.has_base else None
            rest = tensors[1:] if self.has_base else tensors
            return RULES[rule](base, rest, numbers.get(part_of(name), value))

        return self.parents.merged(of_tensor)

    def positioned(self, steps: int, by_part: bool) -> dict[str, Tensor]:
        """Merge by factors that are learnt, see :func:`.position`, and print them."""
        if not self.has_base:
            raise ValueError("`position` needs a base, that all were fine-tuned from")
        base, *others = self.parents.states
        names = [name for name in base if name not in self.parents.skipped]
        self.model.load_state_dict(base)
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
            parts: See :meth:`merged`.
            images: See :meth:`recount`.
        """
        data = self.config.val_dataloader.dataset
        rows = [
            [str(file), *self.figures(state, data).values()]
            for file, state in zip(self.parents.files, self.parents.states, strict=True)
        ]
        best: tuple[float, dict[str, Tensor]] | None = None
        for value in values:
            state = self.recount(self.merged(rule, value, parts), images)
            found = self.figures(state, data)
            rows.append([f"{rule}, {value:g}", *found.values()])
            if best is None or found["AP"] > best[0]:
                best = found["AP"], state
        assert best is not None
        print(text_table(["detector", *found], rows))
        return best[1]

    def write(self, state: Mapping[str, Tensor], file: Path) -> None:
        """Write a checkpoint with these parameters, and all else of the first one."""
        content = read_checkpoint(self.parents.files[0], "cpu")
        kept = {} if "state_dict" not in content else dict(content)
        for name in ("optimizer", "param_schedulers", "message_hub"):
            kept.pop(name, None)
        torch.save({**kept, "state_dict": dict(state)}, file)

    def greedy(self, images: Any) -> dict[str, Tensor]:
        """Merge those whose average with the better ones is not worse.

        Args:
            images: Config of a data set by whose AP they are chosen.

        Source: Wortsman et al., "Model soups", ICML 2022, greedy soup.
        """
        states = self.parents.states
        single = [self.figures(state, images)["AP"] for state in states]
        order = sorted(range(len(states)), key=lambda i: -single[i])
        chosen, best = [order[0]], single[order[0]]
        for place in order[1:]:
            tried = [*chosen, place]
            found = self.figures(self._average(tried), images)["AP"]
            kept = found >= best
            verdict = "kept" if kept else "left out"
            print(f"{self.parents.files[place]}: AP {found:.4f}, {verdict}")
            if kept:
                chosen, best = tried, found
        return self._average(chosen)

    def _average(self, places: Sequence[int]) -> dict[str, Tensor]:
        weights = [1 / len(places)] * len(places)
        return self.parents.merged(
            lambda _, tensors: merge([tensors[i] for i in places], weights)
        )

    def recount(self, state: dict[str, Tensor], images: int) -> dict[str, Tensor]:
        """Count running statistics of normalisation again; see :func:`recount_norms`.

        Frozen layers, whose statistics the parents share, keep theirs.
        """
        shared = {
            name.rsplit(".", 1)[0]
            for name, own in self.parents.states[0].items()
            if name.endswith("running_mean")
            and all(torch.equal(own, s[name]) for s in self.parents.states[1:])
        }
        self.model.load_state_dict(state)
        loader = self._train_loader()
        count = recount_norms(self.model, loader, images, shared)
        print(f"normalisation counted again in {count} layers")
        return {k: v.clone() for k, v in self.model.state_dict().items()}

    def figures(self, state: Mapping[str, Tensor], images: Any) -> dict[str, float]:
        """Return the figures of a detector.

        Args:
            state: Its parameters and buffers.
            images: Config of a data set with an annotation file.
        """
        self.model.load_state_dict(state)
        file = self.out / "merged.npz"
        predict(self.model, test_loader(self.config, images), file, "test")
        compared = compare_runs(
            ann_file_of(images),
            {"one": [file], "same": [file]},
            classes=self.stats.classes,
            train=self.stats,
            resamples=1,
        )
        found = compared.results
        values = dict(zip(found.figures, found.estimate[0].tolist(), strict=True))
        return {name: values[name] for name in _SHOWN if name in values}

    def _train_loader(self) -> Any:
        return Runner.build_dataloader(self.config.train_dataloader, seed=0)
