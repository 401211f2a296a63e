"""A trained detector, calibrated step by step, with figures of what moves."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log

from imb_det.core import and_more
from imb_det.evaluation.functional.matches import Matches

from .calibrators import Calibration
from .classifier_outputs import classifier_outputs
from .expert_weights import expert_losses
from .fitting import METHODS, Evidence
from .image_sets import (
    HOLDOUT,
    TRAIN,
    ann_file_of,
    dataset_of,
    fit_set,
    shared_images,
    test_loader,
)
from .passes import calibrated, logit_moments
from .places import fractal_dimensions
from .tested_detector import TestedDetector
from .training_rows import box_heads, see_training_rows, with_labels
from .what_moves import detected, judged, label_sets_move, what_moves
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
        if config.model.get("type") == "imb_det.CalibratedDetector":
            raise ValueError(
                "the detector of the config has calibrators already; give the config "
                "that it was made from"
            )
        self.config, self.out = config, out
        self.test_set = dataset_of(config, "test")
        self.test_file = ann_file_of(self.test_set)
        self.tested = TestedDetector(config, out)
        self.stats, self.model = self.tested.stats, self.tested.model
        self.fit_set = fit_set(config, on, most)
        self.fit_file = ann_file_of(self.fit_set)
        if not same_split:
            self._check_images(on)
        if on == TRAIN:
            print_log(
                "Fitting on images that the detector was trained on, whose scores are "
                "better than those of others: temperatures and thresholds will be too "
                "confident. Give other images with `--on FILE` or `train-holdout`",
                "current",
                logging.WARNING,
            )
        self.tested.read(checkpoint)
        self.calibrators: list[dict[str, Any]] = []
        self._fitted: list[str] = []

    def _check_images(self, on: str) -> None:
        """Refuse images that are reported afterwards."""
        what = None
        if self.fit_file.resolve() == self.test_file.resolve():
            what = f"'{on}' are the images"
        elif on not in (TRAIN, HOLDOUT) and (
            names := shared_images(self.fit_file, self.test_file)
        ):
            what = f"'{on}' has images of the test, {and_more(names)},"
        if what:
            raise ValueError(
                f"{what} that are reported afterwards: what is fitted "
                "to them looks better there than elsewhere. Give others with `--on`, "
                "or write `--same-split`"
            )

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
        if values and not method.values:
            raise ValueError(
                f"AP does not tell a good {method.option} of {name}: give one with "
                "`--value`, not several with `--values`"
            )
        if values and value is not None:
            raise ValueError("`--value` and `--values` exclude one another")
        if method.of_logits and len(Calibration(self.calibrators).scores):
            raise ValueError(
                f"{name} changes logits, which come before scores: name it before the "
                "methods for scores, that are fitted to what it leaves"
            )
        self._tell_of_ap(name)
        tried: Sequence[float | None] = values or [
            method.default if value is None else value
        ]
        made = [method.fit(self._evidence(one)) for one in tried]
        for one in made:  # before any image is looked at with it
            Calibration([*self.calibrators, one])
        if values:
            scores = [self._ap(one) for one in made]
            for number, score in zip(values, scores, strict=True):
                print(
                    f"{name}, {method.option} {number:g}: AP {score:.4f} where fitted"
                )
            if np.isnan(scores).all():
                raise ValueError("there is no object on the images to fit on, so no AP")
            made = [made[int(np.nanargmax(scores))]]
        self.calibrators.append(made[0])
        self._fitted.append(name)

    def _tell_of_ap(self, name: str) -> None:
        """Say beforehand where AP cannot change, or hardly."""
        if METHODS[name].keeps_ap:
            print(f"{name} cannot change AP: it keeps the ranking in each class")
        elif (
            METHODS[name].of_logits
            and not METHODS[name].ranks
            and not any(o.exclusive for o in classifier_outputs(self.model))
        ):
            print(
                f"{name} keeps the ranking in each class, as the classes of the head "
                "are independent: AP changes by what the limits on the number of "
                "detections and the least score of the config cut off, and where "
                "scores are multiplied by others, such as centerness"
            )

    def _evidence(self, value: float | None) -> Evidence:
        return Evidence(
            self.stats,
            lambda: self._judged(self.calibrators),
            self._scores,
            lambda: fractal_dimensions(self.tested.train),
            self._moments,
            self._experts,
            value,
        )

    def _labelled_loader(self) -> Any:
        dataset = with_labels(self.model, self.fit_set)
        return test_loader(self.config, dataset)

    def _moments(self) -> tuple[list[float], list[float]]:
        if box_heads(self.model):
            loader = self._labelled_loader()
        else:
            loader = test_loader(self.config, self.fit_set)
        with calibrated(self.model, self.calibrators) as model:
            return logit_moments(model, loader)

    def _experts(self) -> list[tuple[Any, Any, Any]]:
        losses = expert_losses("expert_weights", self.model)
        seen: dict[Any, list[tuple[Any, Any]]] = {loss: [] for loss in losses}

        def see(loss: Any, logits: Any, labels: Any) -> None:
            if loss in seen:
                seen[loss].append((logits.cpu(), labels.cpu()))

        with calibrated(self.model, self.calibrators) as model:
            see_training_rows(model, self._labelled_loader(), "experts", see)
        return [
            (loss, *(torch.cat(parts) for parts in zip(*rows, strict=True)))
            for loss, rows in seen.items()
            if rows
        ]

    def _predicted(self, calibrators: Sequence[Any], dataset: Any, name: str) -> Path:
        with calibrated(self.model, calibrators):
            return self.tested.predicted(dataset, name, name.replace("_", " "))

    def _judged(self, calibrators: Sequence[Any]) -> Matches:
        """Judge the detections of the images to fit on."""
        file = self._predicted(calibrators, self.fit_set, "fitted_on")
        return judged(self.fit_file, [file], self.stats.classes)[0]

    def _scores(self) -> tuple[np.ndarray, int]:
        """Return the scores of all detections, and the number of images."""
        file = self._predicted(self.calibrators, self.fit_set, "fitted_on")
        images, (found,) = detected(self.fit_file, [file], self.stats.classes)
        return found.score, len(images.images)

    def _ap(self, calibrator: Any) -> float:
        made = [*self.calibrators, calibrator]
        file = self._predicted(made, self.fit_set, "fitted_on")
        return self.tested.figures(self.fit_file, file)["AP"]

    def write(
        self,
        source: str | Path,
        checkpoint: str | Path,
        options: Mapping[str, Any] | None = None,
    ) -> list[Path]:
        """Write config and checkpoint, see :func:`.write_calibrated`; return both."""
        return write_calibrated(
            self.config,
            source,
            checkpoint,
            self.calibrators,
            self.stats,
            self.out,
            options,
        )

    def report(self, score_thr: float = 0.3, resamples: int = 1000) -> str:
        """Test with and without the calibrators, and return what moves.

        Args:
            score_thr: For F1, recall, precision and the calibration error.
            resamples: Of the images, for the intervals.
        """
        files = [
            self._predicted([], self.test_set, "as_trained"),
            self._predicted(self.calibrators, self.test_set, "calibrated"),
        ]
        names = "as trained", "calibrated"
        text = what_moves(
            self.test_file, files, names, self.stats, self.out, score_thr, resamples
        )
        if "average_k" in self._fitted:
            sets = label_sets_move(self.test_file, files, self.stats, resamples)
            text += f"\n\n{sets}"
        return text
