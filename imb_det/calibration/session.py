"""A trained detector, calibrated step by step, with figures of what moves."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import load_checkpoint

from imb_det.analysis.run_comparison import compare_runs
from imb_det.evaluation.functional.matches import Matches
from imb_det.statistics import ClassStats, GroupLimits

from .fitting import METHODS, Evidence
from .image_sets import TRAIN, ann_file_of, fit_set, test_loader
from .passes import calibrated, logit_moments, predict
from .places import fractal_dimensions
from .what_moves import judged, what_moves
from .written import write_calibrated

__all__ = ["CalibrationSession"]


class CalibrationSession:
    """Fits calibrators one after the other, each with those before it in effect.

    Args:
        config: Config of the detector.
        checkpoint: Its weights.
        out: Folder for predictions and results.
        on: Images to fit on, see :func:`.fit_set`.
        most: How many of them at most; None for all. Default None.
        same_split: Whether they may be those that are reported. Default False.

    Raises:
        FileNotFoundError, ValueError: Files that are not there, data without
            annotation files of COCO or LVIS, images that are tested, or a detector
            that has calibrators already.
    """

    def __init__(
        self,
        config: Any,
        checkpoint: str | Path,
        out: Path,
        on: str,
        most: int | None = None,
        same_split: bool = False,
    ) -> None:
        init_default_scope(config.get("default_scope", "mmdet"))
        if config.model.get("type") == "imb_det.CalibratedDetector":
            raise ValueError(
                "the detector of the config has calibrators already; give the config "
                "that it was made from"
            )
        self.config, self.out = config, out
        out.mkdir(parents=True, exist_ok=True)
        self.test_file = ann_file_of(config.test_dataloader.dataset)
        chosen = fit_set(config, on, most)
        self.fit_file = ann_file_of(chosen)
        if self.fit_file.resolve() == self.test_file.resolve() and not same_split:
            raise ValueError(
                f"'{on}' are the images that are reported afterwards: what is fitted "
                "to them looks better there than elsewhere. Give others with `--on`, "
                "or write `--same-split`"
            )
        if on == TRAIN:
            print_log(
                "Fitting on images that the detector was trained on, whose scores are "
                "better than those of others: temperatures and thresholds will be too "
                "confident. Give other images with `--on FILE` or `train-holdout`",
                "current",
                logging.WARNING,
            )
        train = DATASETS.build(config.train_dataloader.dataset)
        stats = ClassStats.from_dataset(train)
        self.stats = stats.with_limits(GroupLimits.from_config(config))
        self.train = train
        self.fit_loader = test_loader(config, chosen)
        model: Any = MODELS.build(config.model)
        load_checkpoint(model, str(checkpoint), map_location="cpu")
        self.model = model.to("cuda" if torch.cuda.is_available() else "cpu")
        self.calibrators: list[dict[str, Any]] = []

    def fit(
        self, name: str, value: float | None = None, values: Sequence[float] = ()
    ) -> None:
        """Fit one more calibrator.

        Args:
            name: One of :data:`.METHODS`.
            value: Of its option; None for the default.
            values: That are tried; the one with the best AP on the images to fit on is
                taken.

        Raises:
            ValueError: No such method or option, or images that do not suffice.
        """
        if name not in METHODS:
            raise ValueError(f"`--method` must be one of {list(METHODS)}, got {name!r}")
        method = METHODS[name]
        if method.option is None and (value is not None or values):
            raise ValueError(f"{name} has no option that `--value` could set")
        if method.keeps_ap:
            print(f"{name} cannot change AP: it keeps the ranking in each class")
        if not values:
            used = method.default if value is None else value
            self.calibrators.append(method.fit(self._evidence(used)))
            return
        made = [method.fit(self._evidence(one)) for one in values]
        scores = [self._ap(one) for one in made]
        for one, score in zip(values, scores, strict=True):
            print(f"{name}, {method.option} {one:g}: AP {score:.4f} where fitted")
        self.calibrators.append(made[int(np.nanargmax(scores))])

    def _evidence(self, value: float | None) -> Evidence:
        return Evidence(
            self.stats,
            lambda: self._judged(self.calibrators),
            lambda: fractal_dimensions(self.train),
            lambda: self._with(self.calibrators, logit_moments),
            value,
        )

    def _with(self, calibrators: Sequence[Any], look: Any) -> Any:
        with calibrated(self.model, calibrators) as model:
            return look(model, self.fit_loader)

    def _judged(self, calibrators: Sequence[Any]) -> Matches:
        """Judge the detections of the images to fit on."""
        file = self.out / "fitted_on.npz"
        with calibrated(self.model, calibrators) as model:
            predict(model, self.fit_loader, file, "images to fit on")
        return judged(self.fit_file, [file], self.stats.classes)[0]

    def _ap(self, calibrator: Any) -> float:
        file = self.out / "fitted_on.npz"
        with calibrated(self.model, [*self.calibrators, calibrator]) as model:
            predict(model, self.fit_loader, file, "images to fit on")
        found = compare_runs(
            self.fit_file,
            {"a": [file], "b": [file]},
            classes=self.stats.classes,
            resamples=1,
        )
        return float(found.results.estimate[0, 0])

    def write(self, source: str | Path, checkpoint: str | Path) -> list[Path]:
        """Write config and checkpoint, see :func:`.write_calibrated`; return both."""
        return write_calibrated(
            self.config, source, checkpoint, self.calibrators, self.stats, self.out
        )

    def report(self, score_thr: float = 0.3, resamples: int = 1000) -> str:
        """Test with and without the calibrators, and return what moves.

        Args:
            score_thr: For F1, recall, precision and the calibration error.
            resamples: Of the images, for the intervals.
        """
        loader = test_loader(self.config, self.config.test_dataloader.dataset)
        files = [self.out / "as_trained.npz", self.out / "calibrated.npz"]
        for file, calibrators in zip(files, ([], self.calibrators), strict=True):
            with calibrated(self.model, calibrators) as model:
                predict(model, loader, file, file.stem.replace("_", " "))
        names = "as trained", "calibrated"
        return what_moves(
            self.test_file, files, names, self.stats, self.out, score_thr, resamples
        )
