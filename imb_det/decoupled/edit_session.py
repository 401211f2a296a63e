"""A trained detector whose classifier is edited, with figures of what moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import load_checkpoint

from imb_det.analysis.box_features import box_dataset
from imb_det.calibration import classifier_outputs
from imb_det.calibration.image_sets import ann_file_of, test_loader
from imb_det.calibration.passes import predict
from imb_det.calibration.what_moves import what_moves
from imb_det.checkpoint_files import read_checkpoint
from imb_det.core import and_more
from imb_det.statistics import ClassStats, GroupLimits

from .class_means import class_means
from .classifier_edits import nearest_class_mean, rows_of, tau_norm

__all__ = ["EDITS", "EditSession"]

EDITS = ("tau_norm", "ncm")
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
        ValueError: Data without annotation files.
    """

    def __init__(self, config: Any, checkpoint: str | Path, out: Path) -> None:
        init_default_scope(config.get("default_scope", "mmdet"))
        self.config, self.checkpoint, self.out = config, checkpoint, out
        out.mkdir(parents=True, exist_ok=True)
        self.test_file = ann_file_of(config.test_dataloader.dataset)
        stats = ClassStats.from_dataset(DATASETS.build(config.train_dataloader.dataset))
        self.stats = stats.with_limits(GroupLimits.from_config(config))
        model: Any = MODELS.build(config.model)
        load_checkpoint(model, str(checkpoint), map_location="cpu")
        self.model = model.to("cuda" if torch.cuda.is_available() else "cpu")
        self.outputs = classifier_outputs(self.model)
        self._files: list[Path] = []

    def predict(self, name: str) -> None:
        """Predict the test images as the detector is now."""
        loader = test_loader(self.config, self.config.test_dataloader.dataset)
        self._files.append(self.out / f"{name}.npz")
        predict(self.model, loader, self._files[-1], name.replace("_", " "))

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
        if method not in EDITS:
            raise ValueError(f"`--method` must be one of {EDITS}, got {method!r}")
        if method == "ncm" and (keep_bias or keep_scale):
            raise ValueError("`--keep-bias` and `--keep-scale` are of tau_norm alone")
        all_rows = [rows_of(output) for output in self.outputs]
        if method == "tau_norm":
            print(_DANGER)
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
        content = read_checkpoint(self.checkpoint, "cpu")
        kept = {"meta": content.get("meta", {})} if "state_dict" in content else {}
        if "imb_det" in content:
            kept["imb_det"] = content["imb_det"]
        state = {name: v.cpu() for name, v in self.model.state_dict().items()}
        file = self.out / "edited.pth"
        torch.save({**kept, "state_dict": state}, file)
        return file
