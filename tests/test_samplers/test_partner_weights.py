"""Weights of samplers get to the transforms that mix several images."""

import pickle

import numpy as np
import pytest
from mmcv.transforms import BaseTransform
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope

from imb_det.registry import TRANSFORMS
from imb_det.samplers import CDBSampler, ClassAwareSampler, RepeatFactorSampler
from imb_det.samplers.partner_weights import set_partner_weights
from imb_det.statistics.label_table import LabelTable
from tests.labelled_sets import LabelledDataset
from tests.mixed_sets import check_shares

FIRST, SECOND = [[0], [0], [0, 1]], [[0], [2], [0], [2]]


def mixed(labels, **kwargs):
    plain = dict(type="imb_det.LabelledDataset", labels_per_image=labels, num_classes=3)
    return dict(
        type="MultiImageMixDataset",
        dataset={**plain, **kwargs},
        pipeline=[dict(type="imb_det.Mosaic")],
    )


def built(*configs):
    init_default_scope("mmdet")
    dataset = DATASETS.build(dict(type="ConcatDataset", datasets=list(configs)))
    return dataset, [part.pipeline[0] for part in dataset.datasets]


def weights_of(transform):
    return np.diff(transform._cumulative.numpy(), prepend=0.0)


def test_each_part_gets_the_weights_of_its_own_images():
    dataset, (first, second) = built(mixed(FIRST), mixed(SECOND))
    weights = RepeatFactorSampler(dataset, 0.9, seed=0).image_weights(0)
    assert np.ptp(weights[3:]) > 0
    np.testing.assert_allclose(weights_of(first), weights[:3])
    np.testing.assert_allclose(weights_of(second), weights[3:])


def test_new_weights_come_with_the_next_epoch():
    dataset, (first, second) = built(mixed(FIRST), mixed(SECOND))
    sampler = CDBSampler(dataset, seed=0)
    sampler.set_class_difficulty_weights(np.array([0.5, 1.0, 1.5]))
    # The epoch that runs goes on as it began.
    np.testing.assert_allclose(weights_of(second), [1, 1, 1, 1])
    sampler.set_epoch(1)
    list(sampler)
    np.testing.assert_allclose(weights_of(first), [0.5, 0.5, 1.0])
    np.testing.assert_allclose(weights_of(second), [0.5, 1.5, 0.5, 1.5])


def test_partners_follow_a_progressive_schedule():
    dataset, (first, _) = built(mixed(FIRST), mixed(SECOND))
    sampler = ClassAwareSampler(dataset, progressive_epochs=2, seed=0)
    assert np.ptp(weights_of(first)) < 1e-12
    sampler.set_epoch(1)
    list(sampler)
    np.testing.assert_allclose(weights_of(first), sampler.image_weights(1)[:3])
    assert np.ptp(weights_of(first)) > 0.1


@TRANSFORMS.register_module()
class Refuses(BaseTransform):
    """Takes no image of an odd number, as a crop would that leaves no box."""

    def transform(self, results):
        return None if results["img_id"] % 2 else results


@pytest.mark.parametrize("wrapper", [None, "RepeatDataset", "ClassBalancedDataset"])
def test_an_image_in_place_of_a_refused_one_is_drawn_by_weights(wrapper):
    init_default_scope("mmdet")
    labels = [[0]] * 12 + [[1], [1], [], []]
    config = dict(type="imb_det.LabelledDataset", labels_per_image=labels)
    config |= dict(num_classes=2, pipeline=[dict(type="imb_det.Refuses")])
    if wrapper == "RepeatDataset":
        config = dict(type=wrapper, dataset=config, times=2)
    if wrapper == "ClassBalancedDataset":
        config = dict(type=wrapper, dataset=config, oversample_thr=1e-3)
    dataset = DATASETS.build(config)
    np.random.seed(0)  # noqa: NPY002
    plain = [dataset[1]["img_id"] for _ in range(400)]
    check_shares(plain, [1, 0] * 8)
    sampler = RepeatFactorSampler(dataset, 0.9, power=1.0, seed=0)
    weights = sampler.image_weights(0)
    assert weights[12] == 7.2
    drawn = [dataset[1]["img_id"] for _ in range(400)]
    check_shares(drawn, weights * ([1, 0] * 8))
    again = pickle.loads(pickle.dumps(dataset))  # as workers may get it
    assert again[1]["img_id"] % 2 == 0


def test_a_part_that_is_never_shown_replaces_images_evenly():
    init_default_scope("mmdet")
    labels = [[0], [], [], []]
    leaf = LabelledDataset(labels, 1, pipeline=[dict(type="imb_det.Refuses")])
    set_partner_weights(leaf, LabelTable.from_dataset(leaf), np.zeros(4))
    assert {leaf[1]["img_id"] for _ in range(50)} == {0, 2}
