"""A receipt says what mmdet's own mixing transforms make of it."""

import re

import numpy as np
import pytest
from mmdet.registry import DATASETS, TRANSFORMS
from mmengine.registry import init_default_scope

from imb_det.samplers import RepeatFactorSampler
from imb_det.statistics import GroupLimits
from tests import labelled_sets  # noqa: F401, registers its data set

#: Class 1 is rare: 2 of 40 images, which hold 2 of 80 boxes.
LABELS = [[0, 0]] * 38 + [[0, 1]] * 2
LIMITS = GroupLimits((3, 10))


def sampler_with(*types):
    init_default_scope("mmdet")
    plain = dict(type="imb_det.LabelledDataset", labels_per_image=LABELS, num_classes=2)
    dataset = dict(
        type="MultiImageMixDataset",
        dataset=plain,
        pipeline=[dict(type=kind) for kind in types],
    )
    sampler = RepeatFactorSampler(DATASETS.build(dataset), 0.9, seed=0)
    sampler.set_class_stats(sampler.class_stats.with_limits(LIMITS))
    return sampler


def told_by(*types):
    return [w for w in sampler_with(*types).receipt().warnings if "evenly" in w]


@pytest.mark.parametrize(
    ("types", "partners"), [(["Mosaic"], 3), (["MixUp"], 1), (["Mosaic", "MixUp"], 4)]
)
def test_the_share_that_it_tells_is_the_one_that_comes(types, partners):
    (warning,) = told_by(*types)
    promised, told, without = map(float, re.findall(r"0\.\d{3}", warning))
    assert f"of {partners + 1} images" in warning
    assert all(f"imb_det.{kind}" in warning for kind in types)
    sampler = sampler_with(*types)
    generator = np.random.default_rng(0)
    boxes = []
    for epoch in range(60):
        sampler.set_epoch(epoch)
        for index in sampler:
            boxes += LABELS[index]
            for partner in generator.integers(len(LABELS), size=partners):
                boxes += LABELS[partner]
    assert np.mean(boxes) == pytest.approx(told, abs=0.004)
    assert without == pytest.approx(2 / 80, abs=6e-4)
    assert without < told < promised


@pytest.mark.parametrize(
    "types", [["imb_det.Mosaic"], ["imb_det.MixUp"], ["CachedMosaic"], ["CachedMixUp"]]
)
def test_partners_by_weights_or_from_what_was_shown_need_no_warning(types):
    options = dict(type=types[0], img_scale=(32, 32))
    init_default_scope("mmdet")
    assert TRANSFORMS.build(options) is not None
    assert not told_by_options(options)


def told_by_options(options):
    init_default_scope("mmdet")
    plain = dict(type="imb_det.LabelledDataset", labels_per_image=LABELS, num_classes=2)
    if options["type"].startswith("Cached"):
        config = dict(plain, pipeline=[options])
    else:
        config = dict(type="MultiImageMixDataset", dataset=plain, pipeline=[options])
    sampler = RepeatFactorSampler(DATASETS.build(config), 0.9, seed=0)
    return [w for w in sampler.receipt().warnings if "evenly" in w]


def test_partners_count_as_often_as_they_come():
    def told(prob):
        options = dict(type="Mosaic", img_scale=(32, 32), prob=prob)
        return told_by_options(options)

    assert not told(0.0)
    assert "of 2.5 images" in told(0.5)[0]
    assert "of 4 images" in told(1.0)[0]


def test_copy_paste_of_mmdet_is_told_of_too():
    (warning,) = told_by("CopyPaste")
    assert "imb_det.RareCopyPaste" in warning


def test_a_sampler_that_changes_nothing_is_not_spoilt():
    init_default_scope("mmdet")
    plain = dict(type="imb_det.LabelledDataset", labels_per_image=LABELS, num_classes=2)
    dataset = dict(
        type="MultiImageMixDataset", dataset=plain, pipeline=[dict(type="Mosaic")]
    )
    sampler = RepeatFactorSampler(DATASETS.build(dataset), 1e-6, seed=0)
    assert not [w for w in sampler.receipt().warnings if "evenly" in w]
