"""Checkpoints of several detectors, put together as an ensemble, and judged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from imb_det.calibration.image_sets import ann_file_of, dataset_of, test_loader
from imb_det.calibration.passes import predict
from imb_det.calibration.tested_detector import TestedDetector
from imb_det.calibration.written import changed_config, write_changed
from imb_det.checkpoint_files import read_weights, without_training
from imb_det.evaluation.functional import text_table

from .state_dicts import classes_of, short_names

__all__ = ["EnsembleSession"]

#: Figures that tell members and ensemble apart.
_SHOWN = ("AP", "AP50", "APr", "APc", "APf", "top1_r", "top1_c", "top1_f")


class EnsembleSession:
    """Puts checkpoints together, and tests what comes of it.

    Args:
        config: Config of the detector of the first checkpoint.
        files: Of the checkpoints, two or more.
        out: Folder for predictions and results.
        configs: Of the other detectors, one for each checkpoint but the first; None
            where all have the same. Default None.
        **options: ``fuse``, ``weights`` and ``iou_thr`` of :class:`.BackdoorEnsemble`;
            None for its default.

    Raises:
        FileNotFoundError: No such file.
        TypeError, ValueError: Fewer than two checkpoints, of other classes or another
            detector, or an option that does not fit them.
    """

    def __init__(
        self,
        config: Config,
        files: Sequence[str | Path],
        out: Path,
        configs: Sequence[Config] | None = None,
        **options: Any,
    ) -> None:
        self.files = [Path(file) for file in files]
        if len(files) < 2:
            raise ValueError(f"at least two checkpoints are needed, got {len(files)}")
        if configs is not None and len(configs) != len(files) - 1:
            raise ValueError(
                f"`--configs` must be those of all {len(files)} checkpoints but the "
                f"first, got {len(configs)}"
            )
        config = _with_imports_of(config, configs or ())
        self.config, self.out = config, out
        same = len(files) - 1
        self.changes: dict[str, Any] = dict(
            type="imb_det.BackdoorEnsemble",
            member=config.model.type,
            others=same if configs is None else [c.model.to_dict() for c in configs],
            **{name: value for name, value in options.items() if value is not None},
        )
        self.content, self.state = self._read()
        self.val_set = dataset_of(config, "val")
        self.tested = TestedDetector(changed_config(config, self.changes), out)
        self.tested.load(self.state, ", ".join(map(str, self.files)))

    def _read(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what the first checkpoint holds, and the weights of all."""
        state: dict[str, Any] = {}
        first: dict[str, Any] = {}
        known: tuple[str, ...] | None = None
        for place, file in enumerate(self.files):
            content, own = read_weights(file)
            classes = classes_of(content)
            if classes is None:
                print(f"{file} tells no classes: taken as those of the others")
            if place == 0:
                first = without_training(content)
            known = known or classes
            if None not in (classes, known) and classes != known:
                lost = sorted(set(known or ()) ^ set(classes or ()))
                what = f"{lost[0]!r}" if lost else "they are in another order"
                raise ValueError(
                    f"{file} is of other classes than those before it: {what}; members "
                    "of an ensemble must know the same, in the same order"
                )
            state |= {f"members.{place}.{name}": v for name, v in own.items()}
        return first, state

    def report(self) -> str:
        """Test each member and the ensemble on the validation set."""
        loader = test_loader(self.config, self.val_set)
        models = [*self.tested.model.members, self.tested.model]
        names = [*short_names(self.files), f"ensemble of {len(self.files)}"]
        found: list[dict[str, float]] = []
        for model, name in zip(models, names, strict=True):
            file = self.out / f"{len(found)}.npz"
            predict(model, loader, file, name)
            found.append(self.tested.figures(ann_file_of(self.val_set), file))
        head = [name for name in _SHOWN if name in found[0]]
        rows = [
            [name, *(own.get(figure, math.nan) for figure in head)]
            for name, own in zip(names, found, strict=True)
        ]
        return text_table(["detector", *head], rows)

    def write(
        self, source: str | Path, options: Mapping[str, Any] | None = None
    ) -> list[Path]:
        """Write ``ensemble.py`` and ``ensemble.pth``, see :func:`.write_changed`.

        Args:
            source: File of the config.
            options: What it was changed by since it was read. Default None.
        """
        return write_changed(
            self.config,
            source,
            self.changes,
            self.content,
            self.state,
            self.out / "ensemble",
            options,
        )


def _with_imports_of(config: Config, others: Sequence[Config]) -> Config:
    """Return a config that imports what others need as well."""
    names: list[str] = []
    for own in (config, *others):
        given = (own.get("custom_imports") or {}).get("imports") or []
        names += [given] if isinstance(given, str) else given
    made = Config(config.to_dict())
    if names:
        imports = list(dict.fromkeys(names))
        made.custom_imports = dict(imports=imports, allow_failed_imports=False)
    return made
