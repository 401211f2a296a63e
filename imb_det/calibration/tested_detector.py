"""A detector of a config on the images of the config, ready to be tested."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.registry import DATASETS, MODELS, init_default_scope
from torch import Tensor

from imb_det.analysis.run_comparison import compare_runs
from imb_det.checkpoint_files import read_weights
from imb_det.core import and_more
from imb_det.statistics import ClassStats, GroupLimits

from .image_sets import ann_file_of, dataset_of, test_loader
from .passes import predict

__all__ = ["TestedDetector"]


class TestedDetector:
    """Detector, training set, and figures.

    Args:
        config: Config of the detector.
        out: Folder for predictions; it is made.

    Raises:
        TypeError, ValueError: A config without training images.

    Attributes:
        model: The detector, on the GPU if there is one.
        train: Its training set.
        stats: Counts of that, with the limits of groups that the config names.
    """

    __test__ = False  # its name is no test's

    def __init__(self, config: Any, out: Path) -> None:
        init_default_scope(config.get("default_scope") or "mmdet")
        self.config, self.out = config, out
        self.train = DATASETS.build(dataset_of(config, "train"))
        stats = ClassStats.from_dataset(self.train)
        self.stats = stats.with_limits(GroupLimits.from_config(config))
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model: Any = MODELS.build(config.model).to(device)
        out.mkdir(parents=True, exist_ok=True)

    def read(self, checkpoint: str | Path) -> None:
        """Load the weights of a checkpoint, see :meth:`load`."""
        self.load(read_weights(checkpoint)[1], str(checkpoint))

    def load(self, state: Mapping[str, Tensor], source: str) -> None:
        """Load weights.

        Args:
            state: Parameters and buffers by name.
            source: Where they are from, for messages.

        Raises:
            ValueError: Not those of this detector; names the first.
        """
        try:
            found = self.model.load_state_dict(state, strict=False)
        except RuntimeError as error:  # other shapes
            lines = [line.strip() for line in str(error).splitlines()]
            text = and_more(lines[1:], 2, quoted=False)
            raise ValueError(f"{source} does not fit the config: {text}") from None
        learnt = {name for name, _ in self.model.named_parameters()}
        unknown = found.unexpected_keys
        wrong = [name for name in found.missing_keys if name in learnt]
        if calibrators := [n for n in unknown if "calibration" in n.split(".")]:
            raise ValueError(
                f"{source} is of a detector with calibrators ({calibrators[0]}), which "
                "the config has not; give the checkpoint that it was made from"
            )
        if wrong:
            raise ValueError(
                f"{source} does not fit the config: it lacks {len(wrong)} parameters, "
                f"{and_more(wrong, quoted=False)}"
            )
        if unknown:
            print_log(
                f"{source}: not used, as the detector of the config has no such part: "
                f"{and_more(unknown, quoted=False)}",
                "current",
                logging.WARNING,
            )

    def predicted(self, dataset: Any, name: str, what: str) -> Path:
        """Predict the images of a data set; return the file.

        Args:
            dataset: Its config.
            name: Of the file.
            what: Short name of the pass, for the progress bar.
        """
        file = self.out / f"{name}.npz"
        predict(self.model, test_loader(self.config, dataset), file, what)
        return file

    def figures(self, ann_file: Path, file: Path) -> dict[str, float]:
        """Return the figures of predictions, AP and others, by their names.

        Args:
            ann_file: Of the images.
            file: From :meth:`predicted`.
        """
        found = compare_runs(
            ann_file,
            {"one": [file], "same": [file]},
            classes=self.stats.classes,
            train=self.stats,
            resamples=1,
        ).results
        return dict(zip(found.figures, found.estimate[0].tolist(), strict=True))

    def figures_on(self, dataset: Any, name: str, what: str) -> dict[str, float]:
        """Predict the images of a data set, and return the figures of that."""
        return self.figures(ann_file_of(dataset), self.predicted(dataset, name, what))
