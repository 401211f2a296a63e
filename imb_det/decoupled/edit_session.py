"""A trained detector whose classifier is edited, with figures of what moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from imb_det.analysis.box_features import box_dataset
from imb_det.calibration import classifier_outputs
from imb_det.calibration.image_sets import ann_file_of, dataset_of
from imb_det.calibration.tested_detector import TestedDetector
from imb_det.calibration.what_moves import what_moves
from imb_det.checkpoint_files import read_weights, without_training
from imb_det.core import and_more, check_number
from imb_det.merging.class_rows import ClassRows

from .class_means import class_means, place_of
from .classifier_edits import nearest_class_mean, rows_of, tau_norm

__all__ = ["EDITS", "EditSession"]

EDITS = ("tau_norm", "ncm")
_SIGMOID = (
    "the classes of `{}` are independent, and their bias is what keeps scores of "
    "nothing near 0: without it those are near 0.5. Use `--keep-bias`"
)
_DANGER = (
    "tau-normalisation is dangerous in detection: classes change in size against "
    "background, which stays. Look at APf and the precision below, and try a small tau "
    "or `--keep-scale`"
)


class EditSession:
    """Edits the classifiers of a detector, without training.

    Args:
        config: Config of the detector.
        checkpoint: Its weights.
        out: Folder for predictions and results.

    Raises:
        TypeError: A classifier that is no linear layer, or not known.
        ValueError: Data without annotation files, or weights of another detector.
    """

    def __init__(self, config: Any, checkpoint: str | Path, out: Path) -> None:
        self.config, self.checkpoint, self.out = config, checkpoint, out
        self.test_set = dataset_of(config, "test")
        self.test_file = ann_file_of(self.test_set)
        self.tested = TestedDetector(config, out)
        self.tested.read(checkpoint)
        self.stats, self.model = self.tested.stats, self.tested.model
        self.outputs = classifier_outputs(self.model)
        self._files: list[Path] = []

    def predict(self, name: str) -> None:
        """Predict the test images as the detector is now."""
        what = name.replace("_", " ")
        self._files.append(self.tested.predicted(self.test_set, name, what))

    def check(
        self,
        method: str,
        value: float = 1.0,
        keep_bias: bool = False,
        keep_scale: bool = False,
    ) -> list[ClassRows]:
        """Refuse an edit that cannot be made, before any image is looked at.

        Args:
            method: See :meth:`edit`, as all others.
            value: Default 1.
            keep_bias: Default False.
            keep_scale: Default False.

        Returns:
            Which rows of each classifier are those of its classes.

        Raises:
            TypeError, ValueError: See :meth:`edit`.
        """
        if method not in EDITS:
            raise ValueError(f"`--method` must be one of {EDITS}, got {method!r}")
        if method == "ncm" and (keep_bias or keep_scale):
            raise ValueError("`--keep-bias` and `--keep-scale` are of tau_norm alone")
        if method == "tau_norm":
            check_number("tau_norm", "tau", value, 0, 1)
        else:
            check_number("ncm", "scale", value, 0, None, open_ends=True)
            for output in self.outputs:
                place_of(self.model, output.layer)
        return [rows_of(output) for output in self.outputs]

    def edit(
        self,
        method: str,
        value: float = 1.0,
        keep_bias: bool = False,
        keep_scale: bool = False,
    ) -> None:
        """Edit every classifier.

        Args:
            method: ``'tau_norm'`` or ``'ncm'``.
            value: tau, or the factor of how different the classes are. Default 1.
            keep_bias: Of ``tau_norm``. Default False.
            keep_scale: Of ``tau_norm``. Default False.

        Raises:
            TypeError, ValueError: No such method, an option of the other one, or a
                classifier that does not suit it.
        """
        all_rows = self.check(method, value, keep_bias, keep_scale)
        if method == "tau_norm":
            print(_DANGER)
            for output in self.outputs:
                if not (output.exclusive or keep_bias):
                    print(_SIGMOID.format(output.name))
        for output, rows in zip(self.outputs, all_rows, strict=True):
            if method == "tau_norm":
                tau_norm(output.layer, rows, value, keep_bias, keep_scale)
            else:
                nearest_class_mean(output.layer, rows, *self._means(output), value)
            print(f"edited: {output.name}, rows of {output.num_classes} classes")

    def _means(self, output: Any) -> tuple[Any, Any]:
        pipeline = self.config.test_dataloader.dataset.pipeline
        dataset = box_dataset(self.config.train_dataloader, pipeline)
        means, counts = class_means(
            self.model, dataset, output.layer, output.num_classes
        )
        pairs = zip(self.stats.classes, counts.tolist(), strict=True)
        if empty := [name for name, count in pairs if not count]:
            print(f"without a box, and left as they were: {and_more(empty)}")
        return means, counts

    def report(self, score_thr: float = 0.3, resamples: int = 1000) -> str:
        """Return what moves between the two last predictions."""
        return what_moves(
            self.test_file,
            self._files[-2:],
            ("as trained", "edited"),
            self.stats,
            self.out,
            score_thr,
            resamples,
        )

    def write(self) -> Path:
        """Write ``edited.pth``, which stands in for the checkpoint; return its path."""
        kept = without_training(read_weights(self.checkpoint)[0])
        state = {name: v.cpu() for name, v in self.model.state_dict().items()}
        file = self.out / "edited.pth"
        torch.save({**kept, "state_dict": state}, file)
        return file
