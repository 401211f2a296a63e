"""What every registered sampler must hold."""

import json
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from mmengine.registry import DATA_SAMPLERS, init_default_scope
from torch.utils.data import ConcatDataset, Subset

from tests.contracts.sampler_cases import (
    ARGUMENTS,
    BAD,
    CASES,
    REFUSED,
    label_of,
    registered_samplers,
)
from tests.labelled_sets import LONG_TAIL, LabelledDataset, label_sets, long_tail

each_case = pytest.mark.parametrize("case", ARGUMENTS, ids=label_of)


def build(case, dataset, **kwargs):
    name, arguments = case
    init_default_scope("mmdet")
    config = dict(type=f"imb_det.{name}", **arguments)
    return DATA_SAMPLERS.build(config, default_args=dict(dataset=dataset, **kwargs))


def inform(sampler):
    """Do what ClassDifficultyHook does, where the sampler wants it."""
    if hasattr(sampler, "set_class_difficulty_weights"):
        num_classes = len(sampler.table.classes)
        sampler.set_class_difficulty_weights(np.linspace(0.2, 2, num_classes))


def ranks_of(sampler, world_size):
    """The indices of each rank in one epoch."""
    lists = []
    for rank in range(world_size):
        sampler.rank, sampler.world_size = rank, world_size
        lists.append(list(sampler))
        assert len(sampler) == len(lists[-1])
    sampler.rank, sampler.world_size = 0, 1
    return lists


def test_every_sampler_has_cases():
    assert set(CASES) == set(BAD) == set(registered_samplers())


@each_case
@settings(max_examples=30)
@given(content=label_sets())
def test_epochs_are_equally_long_and_ranks_share_them(case, content):
    sets, num_classes = content
    sampler = build(case, LabelledDataset(sets, num_classes), seed=3)
    length = len(sampler)
    for epoch in range(4):
        inform(sampler)
        sampler.set_epoch(epoch)
        order = list(sampler)
        assert len(order) == length == len(sampler)
        assert set(order) <= set(range(len(sets)))
        assert order == list(sampler)
        for world_size in (2, 3):
            ranks = ranks_of(sampler, world_size)
            assert len({len(rank) for rank in ranks}) == 1
            joined = [index for row in zip(*ranks, strict=True) for index in row]
            assert joined[:length] == order
            # What is added comes from the beginning, so that no rank has less to do.
            added = len(joined) - length
            assert 0 <= added < world_size
            assert joined[length:] == (order * world_size)[:added]


@each_case
@settings(max_examples=25)
@given(content=label_sets(max_images=12))
def test_copies_are_as_near_as_whole_numbers_can_be(case, content):
    sets, num_classes = content
    sampler = build(case, LabelledDataset(sets, num_classes), seed=0)
    expected = sampler.expected_copies(0)
    assert np.isfinite(expected).all()
    assert (expected >= 0).all()
    counts = np.bincount(sampler.order(0), minlength=len(sets))
    assert expected.sum() == pytest.approx(sampler.length)
    assert (np.abs(counts - expected) < 1 + 1e-9).all()


@each_case
def test_mean_copies_over_epochs_are_the_expected_ones(case):
    sampler = build(case, long_tail(), seed=1)
    inform(sampler)
    epochs = 600
    total = np.zeros(len(LONG_TAIL))
    expected = np.zeros(len(LONG_TAIL))
    for epoch in range(epochs):
        # A progressive sampler has reached its last weights after a few epochs.
        total += np.bincount(sampler.order(epoch + 10), minlength=len(total))
        expected += sampler.expected_copies(epoch + 10)
    mean, wanted = total / epochs, expected / epochs
    # One draw differs from its mean by less than 1, with a variance of at most 1/4.
    assert np.abs(mean - wanted).max() < 5 * 0.5 / np.sqrt(epochs)
    assert mean.sum() == pytest.approx(sampler.length)


@each_case
def test_order_follows_from_seed_and_epoch(case):
    first, second = (build(case, long_tail(), seed=5) for _ in range(2))
    other = build(case, long_tail(), seed=6)
    orders = set()
    for epoch in (0, 1, 7):
        for sampler in (first, second, other):
            inform(sampler)
            sampler.set_epoch(epoch)
        assert list(first) == list(second) == list(pickle.loads(pickle.dumps(first)))
        assert list(first) != list(other)
        orders.add(tuple(first))
    assert len(orders) == 3


@each_case
def test_it_takes_the_arguments_of_the_default_sampler(case):
    sampler = build(case, long_tail(), seed=None, shuffle=False, round_up=False)
    order = list(sampler)
    assert order == sorted(order)
    assert isinstance(sampler.seed, int)
    ranks = ranks_of(sampler, 2)
    assert sum(map(len, ranks)) == len(order)


@each_case
@pytest.mark.parametrize("wrapper", ["repeat", "concat", "subset", "mix", "plain"])
def test_weights_go_through_wrappers(case, wrapper):
    dataset = wrapped(wrapper)
    sampler = build(case, dataset, seed=0)
    assert len(sampler.image) == len(dataset)
    for index in (0, len(dataset) // 2, len(dataset) - 1):
        image = sampler.image[index]
        info = dataset.get_data_info(index)
        labels = [i["bbox_label"] for i in info["instances"] if not i["ignore_flag"]]
        start, end = sampler.table.offsets[image : image + 2]
        assert sampler.table.labels[start:end].tolist() == labels
    assert set(sampler) <= set(range(len(dataset)))


@each_case
def test_subsets_of_torch_are_drawn_from(case):
    parts = [Subset(long_tail(), [78, 61, 0, 0]), long_tail()]
    dataset = ConcatDataset(parts)
    sampler = build(case, dataset, seed=0)
    shown = np.bincount(list(sampler), minlength=len(dataset))
    assert np.abs(shown - sampler.expected_copies(0)).max() < 1 + 1e-9
    names = {f"{index}.jpg" for index in range(len(LONG_TAIL))}
    assert sampler.receipt().most_shown[0] in names


def wrapped(kind):
    init_default_scope("mmdet")
    from mmdet.registry import DATASETS

    plain = dict(
        type="imb_det.LabelledDataset", labels_per_image=LONG_TAIL, num_classes=6
    )
    config = {
        "plain": plain,
        "subset": {**plain, "indices": list(range(50, 80))},
        "repeat": dict(type="RepeatDataset", times=2, dataset=plain),
        "concat": dict(type="ConcatDataset", datasets=[plain, plain]),
        "mix": dict(
            type="MultiImageMixDataset",
            dataset=plain,
            pipeline=[dict(type="imb_det.Mosaic")],
        ),
    }[kind]
    return DATASETS.build(config)


@each_case
def test_receipt_says_what_an_epoch_holds(case, tmp_path):
    sampler = build(case, long_tail(), seed=0)
    receipt = sampler.receipt()
    copies = sampler.expected_copies(0)
    boxes, images = np.zeros(6), np.zeros(6)
    for labels, number in zip(LONG_TAIL, copies, strict=True):
        for c, n in Counter(labels).items():
            boxes[c] += n * number
            images[c] += number
    np.testing.assert_allclose(receipt.instances_after, boxes)
    np.testing.assert_allclose(receipt.images_after, images)
    assert receipt.images_before.tolist() == [74, 16, 4, 2, 1, 0]
    assert receipt.instances_before.tolist() == [74, 20, 4, 2, 1, 0]
    assert receipt.length_before == len(LONG_TAIL)
    assert receipt.length_after == sampler.length == len(sampler)
    assert receipt.most_shown[1] == pytest.approx(copies.max())
    assert receipt.never_shown == (copies == 0).sum()
    receipt.to_json(tmp_path / "a" / "receipt.json")
    content = json.loads((tmp_path / "a" / "receipt.json").read_text())
    assert content["classes"] == [f"class_{i}" for i in range(6)]
    assert content["length_factor"] == receipt.length_factor
    assert type(sampler).__name__ in receipt.text()


@pytest.mark.parametrize("name", CASES)
def test_an_epoch_can_be_as_long_as_the_data_set(name):
    dataset = long_tail()
    needed = CASES[name][0] if name == "StagedSampler" else {}
    sampler = build((name, dict(needed, num_samples="dataset")), dataset)
    assert len(sampler) == sampler.length == len(dataset)
    assert sampler.is_asked_length


@pytest.mark.parametrize("case", REFUSED, ids=label_of)
def test_bad_arguments_are_named(case):
    name, arguments = case
    (key,) = arguments
    with pytest.raises((ValueError, TypeError), match=rf"{name}: `{key}(`|\[.*\]`)"):
        build(case, long_tail(), seed=0)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "arguments",
    [
        dict(shuffle=1),
        dict(round_up="no"),
        dict(num_samples=0),
        dict(num_samples=2.5),
        dict(num_samples="data"),
        dict(seed=-1),
        dict(seed="3"),
    ],
)
def test_bad_common_arguments_are_named(name, arguments):
    (key,) = arguments
    with pytest.raises((ValueError, TypeError), match=f"{name}: `{key}` must be"):
        build((name, CASES[name][0] | arguments), long_tail())
