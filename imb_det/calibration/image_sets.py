"""Images that calibrators are fitted on, as a config names them or a file does."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.config import ConfigDict
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from imb_det.analysis.comparison_inputs import read_test_set
from imb_det.statistics.coco_content import CocoContent
from imb_det.statistics.dataset_access import iter_data_infos

__all__ = [
    "HOLDOUT",
    "TRAIN",
    "ann_file_of",
    "dataset_of",
    "fit_set",
    "shared_images",
    "test_loader",
]

TRAIN, HOLDOUT = "train", "train-holdout"


def _innermost(dataset: Any) -> Any:
    while isinstance(dataset.get("dataset"), dict):
        dataset = dataset["dataset"]
    if "ann_file" not in dataset:
        raise ValueError(
            f"a {dataset.get('type')} has no `ann_file` of its own: images to fit on, "
            "and those of the test, must be a data set with one, in wrappers or not"
        )
    return dataset


def dataset_of(config: Any, split: str) -> Any:
    """Return the config of the data set of a split.

    Args:
        config: Config of the detector.
        split: ``'train'``, ``'val'`` or ``'test'``.

    Raises:
        ValueError: It has none.
    """
    dataset = (config.get(f"{split}_dataloader") or {}).get("dataset")
    if dataset is None:
        raise ValueError(f"the config has no `{split}_dataloader` with a `dataset`")
    return dataset


def ann_file_of(dataset: Any) -> Path:
    """Return the annotation file of the config of a data set.

    Args:
        dataset: Config, with wrappers or without.

    Raises:
        ValueError: It has none of its own, or none in JSON.
    """
    dataset = _innermost(dataset)
    path = Path(dataset["ann_file"])
    if path.suffix.lower() != ".json":
        raise ValueError(
            f"'{path}' of the {dataset['type']} is no annotation file of COCO or LVIS, "
            "by which detections are judged: write one of the same images, and test "
            "with a CocoDataset"
        )
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
    tested = _innermost(dataset_of(config, "test"))
    if on in (TRAIN, HOLDOUT):
        train = _innermost(dataset_of(config, "train"))
        chosen = deepcopy(train)
        indices = chosen.pop("indices", None)
    elif Path(on).is_file():
        read_test_set(on)  # whose errors name the file
        chosen = deepcopy(tested)
        chosen.ann_file = str(Path(on).resolve())
        indices = chosen.pop("indices", None)
    else:
        raise FileNotFoundError(f"`--on`: there is no file '{on}'")
    chosen.pipeline = tested.pipeline
    chosen.test_mode = True
    chosen.pop("filter_cfg", None)
    places = None
    if on in (TRAIN, HOLDOUT):
        places = _places(train, chosen, indices, on == HOLDOUT)
    if most is not None:
        if most < 1:
            raise ValueError(f"`--images` must be at least 1, got {most}")
        if places is None:
            places = list(range(len(DATASETS.build(chosen))))
        step = max(len(places) / most, 1)
        places = [places[int(i * step)] for i in range(min(most, len(places)))]
    if places is not None:
        chosen.indices = places
    return chosen


def _places(train: Any, tested: Any, indices: Any, left_out: bool) -> list[int] | None:
    """Return the places, as in a test, of training images that ``indices`` choose.

    A training set counts its indices after it has dropped images, such as those
    without objects; in a test none are dropped.

    Args:
        train: Config of the training set.
        tested: Config of the same, as a test has it.
        indices: Of the training set.
        left_out: Whether those that it leaves out are meant.
    """
    if indices is None and not left_out:
        return None
    if indices is None:
        raise ValueError(
            "`--on train-holdout`: the training set of the config has no `indices`, so "
            "that all of its images are trained on; hold some out before you train, "
            "such as `indices=list(range(0, 1350))` of 1500, or give other images with "
            "`--on FILE`"
        )
    used = _image_ids(train)
    chosen = set(used)
    if left_out:
        everything = deepcopy(train)
        everything.pop("indices")
        chosen = set(_image_ids(everything)) - chosen
    if not chosen:
        raise ValueError(
            f"`indices` of the training set hold all of its {len(used)} images"
        )
    ids = _image_ids(tested)
    return [place for place, name in enumerate(ids) if name in chosen]


def _image_ids(dataset: Any) -> list[Any]:
    return [info["img_id"] for info in iter_data_infos(DATASETS.build(dataset))]


def shared_images(one: Path, other: Path) -> list[str]:
    """Return the images that are in two annotation files, by their file names."""
    first, second = (
        {str(image["file_name"]) for image in CocoContent.read(file).content["images"]}
        for file in (one, other)
    )
    return sorted(first & second)


def test_loader(config: Any, dataset: Any) -> DataLoader:
    """Build a data loader of a data set, with the settings of the test's.

    Args:
        config: Config of the detector.
        dataset: Config of the data set.
    """
    loader = deepcopy(config.test_dataloader)
    loader.dataset = dataset
    return Runner.build_dataloader(loader)
