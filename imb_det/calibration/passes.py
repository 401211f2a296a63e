"""Passes of a detector over images: what it predicts, and the logits on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from imb_det.evaluation.prediction_dump import PredictionDump

from .calibrators import Calibration
from .classifier_outputs import ClassifierOutput, classifier_outputs
from .training_rows import box_heads, see_training_rows

__all__ = ["calibrated", "logit_moments", "predict"]


@contextmanager
def calibrated(model: nn.Module, calibrators: Sequence[Any]) -> Iterator[nn.Module]:
    """Let a detector predict with calibrators, for a while.

    Args:
        model: Detector of mmdet without any.
        calibrators: Configs or modules; none changes nothing.
    """
    calibration = Calibration(calibrators)
    calibration.attach(model)
    try:
        yield model
    finally:
        calibration.detach(model)


@torch.no_grad()
def predict(model: Any, loader: DataLoader, file: str | Path, what: str) -> None:
    """Write the predictions for all images of a data loader.

    Args:
        model: Detector.
        loader: Of test images.
        file: To write, ``.npz``.
        what: Short name of the pass, for the progress bar.
    """
    dataset: Any = loader.dataset
    dump = PredictionDump(file)
    dump.dataset_meta = dataset.metainfo
    model.eval()
    with tqdm(total=len(dataset), desc=what, unit="img") as bar:
        for batch in loader:
            samples = model.test_step(batch)
            dump.process(batch, [sample.to_dict() for sample in samples])
            bar.update(len(samples))
    dump.evaluate(len(dataset))


@torch.no_grad()
def logit_moments(model: Any, loader: DataLoader) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of the logits of each class.

    Of the boxes that box heads would be trained on, sampled as in training: of all
    proposals, most of which are background, classes would hardly spread. Other heads
    tell of all rows while the detector predicts. Those of several classifiers, such as
    of a cascade, come together.

    Args:
        model: Detector.
        loader: Of training images, as they are tested; with their boxes, see
            :func:`.with_labels`, where there are box heads.

    Returns:
        C numbers each.

    Raises:
        TypeError: Box heads of members, whose training an ensemble does not know.
        ValueError: Fewer than two rows, or a class whose logits are all the same.
    """
    outputs = classifier_outputs(model)
    if not box_heads(model) and any(isinstance(m, BBoxHead) for m in model.modules()):
        raise TypeError(
            f"the box heads of a {type(model).__name__} are those of its members, each "
            "trained on boxes of its own: calibrate the members one by one"
        )
    classes = outputs[0].num_classes
    seen = np.zeros((2, classes)), [0]
    watches = [_Watch(output, *seen) for output in outputs]
    if heads := box_heads(model):
        # By what their losses are told: samplers may classify candidates as well.
        told = {
            head.loss_cls: watch
            for head in heads
            for watch in watches
            if any(part is watch.output.layer for part in head.modules())
        }
        see_training_rows(
            model, loader, "logits", lambda loss, made, _: told[loss].add(made)
        )
    else:
        _predict_alone(model, loader, "logits", watches)
    (total, squares), (count,) = seen
    if count < 2:
        raise ValueError(f"the classifiers of the detector have seen {count} rows")
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    if not (std > 0).all():
        raise ValueError(
            f"the logits of the classes {np.flatnonzero(std <= 0).tolist()} are the "
            "same in all rows"
        )
    return mean.tolist(), std.tolist()


def _predict_alone(
    model: Any, loader: DataLoader, what: str, watches: Sequence[_Watch]
) -> None:
    model.eval()
    dataset: Any = loader.dataset
    handles = [w.output.layer.register_forward_hook(w) for w in watches]
    try:
        with tqdm(total=len(dataset), desc=what, unit="img") as bar:
            for batch in loader:
                bar.update(len(model.test_step(batch)))
    finally:
        for handle in handles:
            handle.remove()


class _Watch:
    """Adds up logits and their squares."""

    def __init__(
        self, output: ClassifierOutput, sums: np.ndarray, count: list[int]
    ) -> None:
        self.output, self.sums, self.count = output, sums, count

    def __call__(self, layer: nn.Module, args: Any, made: Tensor) -> None:
        self.add(made)

    def add(self, made: Tensor) -> None:
        """Add what the layer has made."""
        self.output.apply(made, self._add)

    def _add(self, logits: Tensor, exclusive: bool) -> Tensor:
        rows = logits.flatten(0, -2).double().cpu().numpy()
        self.sums += rows.sum(0), np.square(rows).sum(0)
        self.count[0] += len(rows)
        return logits
