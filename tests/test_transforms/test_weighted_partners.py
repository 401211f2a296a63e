import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.transforms import BaseTransform
from mmdet.datasets import MultiImageMixDataset
from mmengine.dataset import DefaultSampler

from imb_det.registry import TRANSFORMS
from imb_det.samplers import ClassAwareSampler
from imb_det.samplers.partner_weights import set_partner_weights
from imb_det.statistics.dataset_access import dataset_nodes
from imb_det.statistics.label_table import LabelTable
from imb_det.transforms.weighted_partners import WeightedPartners
from tests.labelled_sets import LabelledDataset
from tests.masked_sets import build
from tests.mixed_sets import (
    MIX_UP,
    MOSAIC,
    built,
    check_shares,
    loader_of,
    one_colour,
    partners_of,
    wrapped,
)

SETS = [[0]] * 5 + [[0, 1]] * 2 + [[2], [-1 - 3], []]
BOTH = pytest.mark.parametrize("transform", [MOSAIC, MIX_UP])


def table_of(sets, num_classes=4):
    return LabelTable.from_dataset(LabelledDataset(sets, num_classes))


def mixed_set(transform, sets=SETS):
    leaf = LabelledDataset(sets, 4, pipeline=[one_colour])
    return mix(leaf, transform, dict(type="imb_det.WithProcess"))


def drawn(loader, transform):
    """All partners of an epoch."""
    results = [results for batch in loader for results in batch]
    return np.ravel([partners_of(r, transform) for r in results]).astype(int)


weight = st.just(0.0) | st.floats(0.05, 1)


@given(weights=st.lists(weight, min_size=1, max_size=20), factor=st.floats(1e-9, 1e9))
@settings(max_examples=50)
def test_draws_follow_the_weights(weights, factor):
    partners = WeightedPartners()
    partners.set_partners(table_of([[0]] * len(weights)), factor * np.array(weights))
    found = partners.draw_partners(1000)
    if any(weights):
        check_shares(found, weights)
    else:
        assert found is None


@pytest.mark.parametrize("point", [0.0, 1 - 2.0**-53])
def test_the_ends_of_the_range_draw_no_image_without_weight(point, monkeypatch):
    partners = WeightedPartners()
    partners.set_partners(table_of([[0]] * 4), np.array([0, 0.1, 0.2, 0]))
    monkeypatch.setattr(
        np.random, "random_sample", lambda number: np.full(number, point)
    )
    assert partners.draw_partners(2) == ([2, 2] if point else [1, 1])


def test_draws_follow_the_global_seed():
    partners = WeightedPartners()
    partners.set_partners(table_of(SETS), np.arange(10.0))
    found = []
    for seed in (1, 1, 2):
        np.random.seed(seed)  # noqa: NPY002
        found.append(partners.draw_partners(20))
    assert found[0] == found[1] != found[2]


def test_new_weights_replace_the_old_ones():
    partners = WeightedPartners()
    assert partners.draw_partners(1) is None
    for weights in ([1, 0, 0], [0, 0, 1], [0, 0, 0, 2]):
        partners.set_partners(table_of([[0]] * len(weights)), np.array(weights))
        assert set(partners.draw_partners(30)) == {np.argmax(weights)}


@BOTH
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("sampler", ["RepeatFactorSampler", "ClassAwareSampler"])
def test_partners_follow_the_sampler(transform, workers, sampler):
    config = dict(type=f"imb_det.{sampler}", num_samples=640)
    if sampler == "RepeatFactorSampler":
        config |= dict(repeat_thr=0.9, power=1.0)
    loader = loader_of(mixed_set(transform), config, workers)
    weights = loader.sampler.image_weights(0)
    assert weights[7] > 3 * weights[0]  # class 2 is rare
    if transform is MIX_UP:
        weights[8:] = 0  # without a box that counts
    check_shares(drawn(loader, transform), weights)


@BOTH
def test_living_workers_see_the_weights_of_a_later_epoch(transform):
    config = dict(type="imb_det.CDBSampler", by="max", num_samples=320)
    loader = loader_of(mixed_set(transform), config, persistent_workers=True)
    processes = []
    for epoch, weights in enumerate([None, [0, 0, 1, 0], [1, 4, 0, 0], [1, 1, 1, 1]]):
        loader.sampler.set_epoch(epoch)
        if weights is not None:
            loader.sampler.set_class_difficulty_weights(torch.tensor(weights))
        results = [results for batch in loader for results in batch]
        wanted = table_of(SETS).largest(np.array(weights or [1] * 4), empty=1.0)
        if transform is MIX_UP:
            wanted[8:] = 0
        check_shares(np.ravel([partners_of(r, transform) for r in results]), wanted)
        processes.append({r["process"] for r in results})
    assert len(processes[0]) == 2
    assert processes == [processes[0]] * 4


@BOTH
@pytest.mark.parametrize("workers", [0, 2])
def test_partners_are_uniform_without_a_sampler_of_the_library(transform, workers):
    dataset = built(wrapped("RepeatDataset", mixed_set(transform), times=40))
    loader = loader_of(dataset, DefaultSampler(dataset, seed=0), workers)
    number = 10 if transform is MOSAIC else 9  # mmdet takes ignored boxes for boxes
    check_shares(drawn(loader, transform), [1] * number)


@BOTH
def test_partners_are_uniform_where_all_weights_are_zero(transform):
    dataset = built(mixed_set(transform, [[0]] * 6))
    step = dataset.pipeline[0]
    for weights in (np.eye(6)[2], np.zeros(6)):
        step.set_partners(table_of([[0]] * 6), weights)
    found = np.ravel([step.get_indexes(dataset.dataset) for _ in range(500)])
    check_shares(found, [1] * 6)


def test_partners_are_uniform_in_a_part_that_is_never_shown():
    parts = [mixed_set(MOSAIC), mixed_set(MOSAIC, [[]] * 4)]
    dataset = built(wrapped("ConcatDataset", parts))
    sampler = ClassAwareSampler(dataset, seed=0)
    wanted = sampler.image_weights(0)[:10], [1] * 4
    for part, weights in zip(dataset.datasets, wanted, strict=True):
        mosaic = part.pipeline[0]
        found = [mosaic.get_indexes(part.dataset) for _ in range(500)]
        check_shares(np.ravel(found), weights)


@pytest.mark.parametrize("weights", [[0, 0, 3.0, 1.0], [0, 0, 0, 1.0]])
def test_mix_up_takes_images_without_boxes_where_no_other_has_weight(weights):
    mix_up = build(**MIX_UP)
    mix_up.set_partners(table_of([[0], [1], [2], []]), np.array(weights))
    wanted = [0, 0, 3, 0] if weights[2] else [0, 0, 0, 1]
    check_shares(mix_up.draw_partners(100), wanted)


@TRANSFORMS.register_module()
class Taker(BaseTransform):
    """Keeps what it is given."""

    def set_partners(self, table, weights):
        self.labels, self.weights = table.labels.tolist(), weights.tolist()

    def transform(self, results):
        return results


def mix(dataset, *pipeline):
    pipeline = pipeline or (dict(type="imb_det.Taker"),)
    return wrapped("MultiImageMixDataset", dataset, pipeline=pipeline)


# Two data sets without a class in common; each image has a class of its own.
A, B = (
    dict(type="imb_det.LabelledDataset", labels_per_image=sets, num_classes=5)
    for sets in ([[0], [1], [2]], [[3], [4]])
)
WRAPPED = {
    "alone": mix(A),
    "joined": mix(wrapped("ConcatDataset", [B, A])),
    "repeated": wrapped(
        "RepeatDataset", mix(wrapped("RepeatDataset", A, times=2)), times=3
    ),
    "oversampled": mix(wrapped("ClassBalancedDataset", A, oversample_thr=0.9)),
    "each": wrapped("ConcatDataset", [mix(B), mix(A)]),
    "one": wrapped("ConcatDataset", [A, mix(B)]),
    "nested": mix(wrapped("ConcatDataset", [A, mix(B)])),
}


@pytest.mark.parametrize("way", WRAPPED)
def test_weights_find_their_images_in_any_wrappers(way):
    dataset = built(WRAPPED[way])
    table = LabelTable.from_dataset(dataset)
    set_partner_weights(dataset, table, 10.0 + table.labels)
    nodes = [n for n in dataset_nodes(dataset) if isinstance(n, MultiImageMixDataset)]
    assert len(nodes) == (2 if way in ("each", "nested") else 1)
    for node in nodes:
        (taker,) = node.pipeline
        infos = [node.dataset.get_data_info(i) for i in range(len(node.dataset))]
        labels = [info["instances"][0]["bbox_label"] for info in infos]
        assert taker.labels == labels
        assert taker.weights == [10.0 + label for label in labels]


def test_the_pipeline_of_a_data_set_gets_no_weights():
    dataset = built(A | dict(pipeline=[dict(type="imb_det.Taker")]))
    set_partner_weights(dataset, LabelTable.from_dataset(dataset), np.ones(3))
    (taker,) = dataset.pipeline.transforms
    assert not hasattr(taker, "weights")
