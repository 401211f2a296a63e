"""The table of labels, against loops over plain lists."""

import math
import tracemalloc
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.dataset import BaseDataset

from imb_det.statistics import LabelTable
from tests.labelled_sets import LabelledDataset, label_sets

CHUNK = "imb_det.statistics.label_table._CHUNK"
any_sets = label_sets(with_box=False)


def table_of(images, num_classes):
    return LabelTable.from_labels([f"class_{c}" for c in range(num_classes)], images)


def lists_of(table):
    return [part.tolist() for part in np.split(table.labels, table.offsets[1:-1])]


def weights_for(images, data):
    number = st.floats(0, 100, allow_subnormal=False)
    return np.array(
        data.draw(st.lists(number, min_size=len(images), max_size=len(images)))
    )


@given(any_sets)
def test_labels_stay_with_their_images(content):
    images, num_classes = content
    table = table_of(images, num_classes)
    assert len(table) == len(images)
    assert lists_of(table) == images
    assert table.image.tolist() == [i for i, image in enumerate(images) for _ in image]
    pairs = [(i, c) for i, image in enumerate(images) for c in sorted(set(image))]
    assert list(zip(*(part.tolist() for part in table.pairs), strict=True)) == pairs


@given(any_sets, st.data())
def test_counts(content, data):
    images, num_classes = content
    table = table_of(images, num_classes)
    weights = weights_for(images, data)
    for given_weights in (None, weights):
        factor = [1] * len(images) if given_weights is None else weights.tolist()
        rows = list(zip(images, factor, strict=True))
        holding = [sum(w for x, w in rows if c in x) for c in range(num_classes)]
        boxes = [sum(w * x.count(c) for x, w in rows) for c in range(num_classes)]
        np.testing.assert_allclose(table.images_with(given_weights), holding)
        np.testing.assert_allclose(table.instances_of(given_weights), boxes)
    assert table.images_with().dtype == table.instances_of().dtype == np.int64


@given(any_sets, st.data())
def test_largest_value_of_an_image(content, data):
    images, num_classes = content
    values = data.draw(
        st.lists(st.floats(-9, 9), min_size=num_classes, max_size=num_classes)
    )
    found = table_of(images, num_classes).largest(np.array(values), empty=0.5)
    assert found.tolist() == [
        max((values[c] for c in image), default=0.5) for image in images
    ]


@given(any_sets)
def test_cooccurrence(content):
    images, num_classes = content
    found = table_of(images, num_classes).cooccurrence()
    assert found.dtype == np.int64
    classes = range(num_classes)
    assert found.toarray().tolist() == [
        [sum(a in image and b in image for image in images) for b in classes]
        for a in classes
    ]


@given(any_sets, st.data())
def test_take_and_joined(content, data):
    images, num_classes = content
    table = table_of(images, num_classes)
    chosen = data.draw(st.lists(st.integers(0, len(images) - 1), max_size=12))
    taken = table.take(np.array(chosen, np.int64))
    assert len(taken) == len(chosen)
    assert taken.classes == table.classes
    assert lists_of(taken)[: len(chosen)] == [images[i] for i in chosen]
    joined = LabelTable.joined([table, taken, table])
    expected = [*images, *(images[i] for i in chosen), *images]
    assert lists_of(joined) == expected
    assert joined.offsets.dtype == np.int64


signed_labels = st.lists(st.lists(st.integers(-3, 2), max_size=4), max_size=9)


@given(signed_labels, st.integers(1, 4))
def test_data_set_is_read_in_pieces_of_any_size(images, images_at_a_time):
    with mock.patch(CHUNK, images_at_a_time):
        table = LabelTable.from_dataset(LabelledDataset(images, 3))
    # A negative label is an ignored box.
    kept = [[label for label in image if label >= 0] for image in images]
    assert len(table) == len(images)
    assert lists_of(table)[: len(images)] == kept
    assert (table.labels.dtype, table.offsets.dtype) == (np.int32, np.int64)


def test_lists_are_collected_in_pieces():
    images = [[0, 1], [], [2], [1, 1, 1]]
    with mock.patch(CHUNK, 0):
        assert lists_of(table_of(images, 3)) == images


class Records(BaseDataset):
    """Gives the records that it is given."""

    def __init__(self, records, **kwargs):
        self.records = records
        super().__init__(metainfo=dict(classes=("a", "b")), **kwargs)

    def load_data_list(self):
        return self.records


def box(label, *corners, **more):
    return dict(bbox=list(corners), bbox_label=label, **more)


@pytest.mark.parametrize("serialize_data", [True, False])
def test_only_positive_examples_count(serialize_data):
    records = [
        dict(
            instances=[
                box(1, 0, 0, 5, 5, ignore_flag=1),
                box(0, 0, 0, 5, 5, ignore_flag=0),
                box(1, 3, 3, 3, 9),
                box(1, 9, 3, 3, 9),
                box(1, 3, 3, 9, 3),
            ]
        ),
        dict(instances=[]),
        dict(
            instances=[
                box(1, math.nan, 0, 5, 5),
                box(1, 0, 0, math.inf, 5),
                box(1, -math.inf, 0, math.inf, 5),
                box(1, -3, -3, 0.5, 0.5),  # without a flag, and over the border
                box(9, 0, 0, 0, 0),  # no class, but no box either
            ]
        ),
    ]
    table = LabelTable.from_dataset(Records(records, serialize_data=serialize_data))
    assert table.classes == ("a", "b")
    assert lists_of(table) == [[0], [], [1]]


@pytest.mark.parametrize("label", [2, -1])
def test_a_label_that_is_no_class_is_named(label):
    message = rf"none of the 2 classes; the first is {label}, in image 2 \("
    with pytest.raises(ValueError, match=message):
        table_of([[0], [], [1, label, 7], [5]], 2)
    records = [dict(instances=[box(c, 0, 0, 5, 5)]) for c in (0, 1, label)]
    with mock.patch(CHUNK, 2), pytest.raises(ValueError, match=message):
        LabelTable.from_dataset(Records(records))


def test_no_image_at_all():
    table = table_of([], 2)
    assert len(table) == 0
    assert table.cooccurrence().toarray().tolist() == [[0, 0], [0, 0]]
    assert table.images_with().tolist() == table.instances_of().tolist() == [0, 0]
    assert table.largest(np.zeros(2), empty=1.0).tolist() == []


def test_more_images_times_classes_than_32_bits_hold():
    last = 2**31 - 1
    labels = np.array([last, 5, 5, 0], np.int32)
    table = LabelTable(range(last + 1), labels, np.array([0, 3, 4]))
    assert [part.tolist() for part in table.pairs] == [[0, 0, 1], [5, last, 0]]


def test_many_classes_need_little_memory():
    number = 20_000
    rng = np.random.default_rng(0)
    table = table_of(rng.integers(0, number, (2000, 10)).tolist(), number)
    tracemalloc.start()
    try:
        together = table.cooccurrence()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6  # the whole matrix has 3.2e9
    np.testing.assert_array_equal(together.diagonal(), table.images_with())
    assert together.sum() == pytest.approx(2000 * 100, rel=0.01)
