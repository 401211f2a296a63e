"""Which image an index of a wrapped data set stands for, and what counts of it."""

import mmdet.datasets
import numpy as np
import pytest
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset
from torch.utils.data import Subset

from imb_det.statistics import ClassStats, LabelTable, leaf_datasets
from imb_det.statistics.dataset_access import (
    dataset_nodes,
    image_of_index,
    info_of_image,
    iter_data_infos,
)
from tests.labelled_sets import LabelledDataset

MixDataset = mmdet.datasets.MultiImageMixDataset


def leaf(first=0, num_images=4, **kwargs):
    """Build a set whose images are told apart by their number of boxes.

    Class 1 is on its first image only, so that balancing repeats that one.
    """
    boxes = range(first + 1, first + num_images + 1)
    labels = [[int(n == first + 1)] + [0] * (n - 1) for n in boxes]
    return LabelledDataset(labels, 2, **kwargs)


def config(first=0, num_images=4, **kwargs):
    """Describe the same set: wrappers of mmengine take no wrappers that are built."""
    sets = leaf(first, num_images)
    arguments = dict(labels_per_image=sets.labels_per_image, num_classes=2)
    return dict(type=LabelledDataset, **arguments, **kwargs)


def wrap(kind, dataset, **kwargs):
    return dict(type=kind, dataset=dataset, **kwargs)


def num_boxes(dataset):
    return [len(dataset[index]["instances"]) for index in range(len(dataset))]


BALANCED = wrap(ClassBalancedDataset, config(), oversample_thr=0.7)
WRAPPED = {
    "none": leaf,
    "indices": lambda: leaf(indices=[3, 1]),
    "concat": lambda: ConcatDataset([leaf(), leaf(10, 3)]),
    "repeat": lambda: RepeatDataset(leaf(), 3),
    "balanced": lambda: ClassBalancedDataset(leaf(), oversample_thr=0.7),
    "mix": lambda: MixDataset(leaf(), pipeline=[]),
    "subset": lambda: Subset(leaf(), [2, 0, 0, -1]),
    "empty subset": lambda: Subset(leaf(), []),
    "subset of balanced": lambda: Subset(
        ClassBalancedDataset(leaf(), oversample_thr=0.7), range(1, 5)
    ),
    "mix of balanced": lambda: MixDataset(BALANCED, pipeline=[]),
    "nested": lambda: Subset(
        MixDataset(
            wrap(
                RepeatDataset,
                dict(
                    type=ConcatDataset,
                    datasets=[BALANCED, config(10, 3, indices=[2, 0])],
                ),
                times=2,
            ),
            pipeline=[],
        ),
        [11, 0, 5, 6, 7],
    ),
    "lazy": lambda: leaf(lazy_init=True),
    "lazy concat": lambda: ConcatDataset(
        [leaf(lazy_init=True), leaf(10, 3, lazy_init=True)], lazy_init=True
    ),
    "lazy balanced": lambda: ClassBalancedDataset(
        leaf(lazy_init=True), oversample_thr=0.7, lazy_init=True
    ),
    "lazy repeat": lambda: RepeatDataset(leaf(lazy_init=True), 2, lazy_init=True),
    "lazy mix of balanced": lambda: MixDataset(
        {**BALANCED, "lazy_init": True}, pipeline=[], lazy_init=True
    ),
}


@pytest.mark.parametrize("build", WRAPPED.values(), ids=WRAPPED)
def test_image_of_each_index(build):
    dataset = build()
    images = image_of_index(dataset)
    assert images.dtype == np.int64
    of_image = np.diff(LabelTable.from_dataset(dataset).offsets)
    assert of_image[images].tolist() == num_boxes(dataset)


@pytest.mark.parametrize("build", WRAPPED.values(), ids=WRAPPED)
def test_record_of_each_image(build):
    dataset = build()
    records = list(iter_data_infos(dataset))
    assert [info_of_image(dataset, i) for i in range(len(records))] == records
    with pytest.raises(IndexError, match=f"no image {len(records)}"):
        info_of_image(dataset, len(records))


def test_balancing_repeats_the_rare_image():
    assert image_of_index(WRAPPED["balanced"]()).tolist() == [0, 0, 1, 2, 3]


def test_one_set_behind_two_wrappers():
    shared, other = leaf(), leaf(10, 2)
    dataset = ConcatDataset([shared, other, shared])
    assert leaf_datasets(dataset) == [shared, other]
    expected = [0, 1, 2, 3, 4, 5, 0, 1, 2, 3]
    assert image_of_index(dataset).tolist() == expected
    counted = ClassStats.from_dataset(dataset)
    assert counted == ClassStats.from_dataset(ConcatDataset([shared, other]))
    assert counted.num_images == 6


def test_images_of_the_root_count():
    inner = leaf(10, 3)
    root = ConcatDataset([leaf(), inner])
    assert image_of_index(inner).tolist() == [0, 1, 2]
    assert image_of_index(inner, root=root).tolist() == [4, 5, 6]
    assert image_of_index(Subset(inner, [2]), root=root).tolist() == [6]


class Thinned:
    """Leaves out images, and does not say so."""

    def __init__(self, dataset, step):
        self.dataset = dataset
        self.step = step

    def __len__(self):
        return len(self.dataset) // self.step


def test_an_unknown_wrapper_of_another_length_is_named():
    thinned = Thinned(leaf(), 2)
    for dataset in (thinned, Subset(thinned, [0])):
        with pytest.raises(TypeError, match="Thinned has 2 images and wraps 4: it is"):
            image_of_index(dataset)


def test_an_unknown_wrapper_of_the_same_length_is_looked_through():
    assert image_of_index(Thinned(leaf(), 1)).tolist() == [0, 1, 2, 3]


def test_nodes_come_from_the_outside_in():
    first, second = leaf(), leaf()
    inner = ConcatDataset([first, second])
    outer = Subset(inner, [0])
    assert list(dataset_nodes(outer)) == [outer, inner, first, second]


def test_what_is_no_data_set_is_named():
    with pytest.raises(TypeError, match="list is no mmengine data set"):
        leaf_datasets([1, 2])


# What counts of wrapped sets.

LABELS = [[0], [1, 1, 2], [0, 1], [], [2]]


def counted(**kwargs):
    return LabelledDataset(LABELS, 3, **kwargs)


@pytest.mark.parametrize(
    ("build", "kept"),
    [
        (lambda: Subset(counted(), [4, 1]), [1, 4]),
        (lambda: Subset(counted(), [1, 1, 1]), [1]),
        (lambda: Subset(counted(), []), []),
        (lambda: counted(indices=[3, 2]), [2, 3]),
        (lambda: counted(indices=2), [0, 1]),
        (lambda: counted(indices=[0, 4], serialize_data=True), [0, 4]),
        (lambda: Subset(counted(indices=[4, 2, 1]), [0, 2]), [1, 4]),
        (lambda: RepeatDataset(counted(), 5), range(5)),
        (lambda: ClassBalancedDataset(counted(), 0.9), range(5)),
    ],
)
def test_an_image_counts_once_and_only_where_it_is_used(build, kept):
    dataset = build()
    classes = leaf_datasets(dataset)[0].metainfo["classes"]
    expected = ClassStats.from_labels(classes, [LABELS[i] for i in kept])
    assert ClassStats.from_dataset(dataset) == expected


def test_images_of_a_table_count_once():
    table = LabelTable.from_labels("abc", LABELS)
    assert ClassStats.from_table(table) == ClassStats.from_labels("abc", LABELS)
    some = ClassStats.from_table(table, np.array([2, 1, 2, 2]))
    assert some == ClassStats.from_labels("abc", [LABELS[1], LABELS[2]])
