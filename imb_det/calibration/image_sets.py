"""Images that calibrators are fitted on, as a config names them or a file does."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.config import ConfigDict
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

__all__ = ["HOLDOUT", "TRAIN", "ann_file_of", "fit_set", "test_loader"]

TRAIN, HOLDOUT = "train", "train-holdout"


def _innermost(dataset: Any) -> Any:
    while isinstance(dataset.get("dataset"), dict):
        dataset = dataset["dataset"]
    if "ann_file" not in dataset:
        raise ValueError(
            f"a {dataset['type']} has no `ann_file` of its own; give the images to fit "
            "on as a file, with `--on FILE`"
        )
    return dataset


def ann_file_of(dataset: Any) -> Path:
    """Return the annotation file of the config of a data set.

    Args:
        dataset: Config, with wrappers or without.

    Raises:
        ValueError: It has none of its own.
    """
    dataset = _innermost(dataset)
    path = Path(dataset["ann_file"])
    root = dataset.get("data_root") or ""
    return path if path.is_absolute() else Path(root) / path


def fit_set(config: Any, on: str, most: int | None = None) -> ConfigDict:
    """Return the config of a data set to fit on, tested as the test set is.

    Args:
        config: Config of the detector.
        on: ``'train'``, the training images; ``'train-holdout'``, those that its
            ``indices`` leave out; or an annotation file of images of the test set's
            folder.
        most: How many images at most, evenly spread; None for all. Default None.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file of the test itself, no ``indices``, or a data set without
            annotation file.
    """
    tested = _innermost(config.test_dataloader.dataset)
    train = config.get("train_dataloader", {}).get("dataset")
    if on in (TRAIN, HOLDOUT):
        if train is None:
            raise ValueError(f"`--on {on}`: the config has no `train_dataloader`")
        chosen = deepcopy(_innermost(train))
        indices = chosen.pop("indices", None)
        if on == HOLDOUT:
            chosen.indices = _left_out(chosen, indices)
        elif indices is not None:
            chosen.indices = indices
    else:
        if not Path(on).is_file():
            raise FileNotFoundError(f"`--on`: there is no file '{on}'")
        chosen = deepcopy(tested)
        chosen.ann_file = str(Path(on).resolve())
        chosen.pop("indices", None)
    chosen.pipeline = tested.pipeline
    chosen.test_mode = True
    chosen.pop("filter_cfg", None)
    if most is not None:
        size = len(DATASETS.build(chosen))
        given = chosen.get("indices") or range(size)
        given = list(given)[:size] if isinstance(given, range) else list(given)
        step = max(len(given) / most, 1)
        chosen.indices = [given[int(i * step)] for i in range(min(most, len(given)))]
    return chosen


def _left_out(dataset: Any, indices: Any) -> list[int]:
    """Return the indices that the training leaves out."""
    if indices is None:
        raise ValueError(
            "`--on train-holdout`: the training set of the config has no `indices`, so "
            "that all of its images are trained on; hold some out before you train, "
            "such as `indices=list(range(0, 1350))` of 1500, or give other images with "
            "`--on FILE`"
        )
    size = len(DATASETS.build(dataset))
    kept = set(range(indices) if isinstance(indices, int) else indices)
    left = [i for i in range(size) if i not in kept]
    if not left:
        raise ValueError(f"`indices` of the training set hold all of its {size} images")
    return left


def test_loader(config: Any, dataset: Any) -> DataLoader:
    """Build a data loader of a data set, with the settings of the test's.

    Args:
        config: Config of the detector.
        dataset: Config of the data set.
    """
    loader = deepcopy(config.test_dataloader)
    loader.dataset = dataset
    return Runner.build_dataloader(loader)
