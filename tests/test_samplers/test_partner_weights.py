"""Weights of samplers get to the transforms that mix several images."""

import numpy as np
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope

from imb_det.samplers import CDBSampler, ClassAwareSampler, RepeatFactorSampler
from tests import labelled_sets  # noqa: F401, registers its data set

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
