"""A receipt says how other images of a picture are chosen, and what comes of it."""

import re

import numpy as np
import pytest
from mmcv.transforms import BaseTransform
from mmengine.registry import init_default_scope

from imb_det.registry import TRANSFORMS
from imb_det.samplers import ClassAwareSampler, RepeatFactorSampler
from imb_det.statistics import GroupLimits
from tests.labelled_sets import LabelledDataset
from tests.mixed_sets import SIZE, built, one_colour, wrapped

#: Class 1 is rare: on 3 of 40 images, of other numbers of boxes than the rest.
LABELS = [[0, 0]] * 20 + [[0, 0, 0, 0]] * 8 + [[0, 1]] * 2 + [[1]] + [[]] * 9
LIMITS = GroupLimits((3, 10))
PICTURES = 250
SCALE = dict(img_scale=(SIZE, SIZE))
#: Transforms that cut nothing off.
STEPS = {
    "Mosaic": SCALE | dict(center_ratio_range=(1.0, 1.0)),
    "MixUp": SCALE | dict(ratio_range=(1.0, 1.0)),
    "CopyPaste": dict(paste_by_box=True, bbox_occluded_thr=100, max_num_pasted=4),
    "CachedMosaic": SCALE | dict(center_ratio_range=(1.0, 1.0)),
    "CachedMixUp": SCALE | dict(ratio_range=(1.0, 1.0)),
}


@TRANSFORMS.register_module()
class Stranger(BaseTransform):
    """Takes other images in its own way."""

    def get_indexes(self, dataset):
        return 0

    def transform(self, results):
        return results


def step(kind, **options):
    return dict(STEPS.get(kind.rpartition(".")[2], {}), type=kind, **options)


def leaf(labels=LABELS, *steps):
    init_default_scope("mmdet")
    return LabelledDataset(labels, 2, pipeline=[one_colour, *steps])


def mixed(*steps, inside=None, **kwargs):
    dataset = leaf() if inside is None else inside
    return wrapped("MultiImageMixDataset", dataset, pipeline=list(steps), **kwargs)


def sampler_on(config, repeat_thr=0.9):
    init_default_scope("mmdet")
    dataset = built(config) if isinstance(config, dict) else config
    options = dict(repeat_thr=repeat_thr, power=1.5, num_samples=PICTURES, seed=0)
    sampler = RepeatFactorSampler(dataset, **options)
    sampler.set_class_stats(sampler.class_stats.with_limits(LIMITS))
    return sampler


def told_by(config, **kwargs):
    warnings = sampler_on(config, **kwargs).receipt().warnings
    return [w for w in warnings if "evenly" in w or "get_indexes" in w]


def counted_share(sampler):
    """Share of boxes of class 1 in the pictures of an epoch, and its deviation."""
    np.random.seed(0)  # noqa: NPY002
    rows = [sampler.dataset[i]["gt_bboxes_labels"] for i in sampler]
    boxes, rare = np.array([(len(labels), labels.sum()) for labels in rows]).T
    share = rare.sum() / boxes.sum()
    spread = np.std(rare - share * boxes) / boxes.mean()
    return share, spread / np.sqrt(len(rows))


MIXED = {
    "mosaic": (mixed(step("Mosaic")), "of 4 images", "draws 1"),
    "half of the mosaics": (mixed(step("Mosaic", prob=0.5)), "of 2.5 images", "1"),
    "mix-up": (mixed(step("MixUp")), "of 2 images", "1"),
    "copy-paste": (mixed(step("CopyPaste")), "images", "1"),
    "both": (mixed(step("Mosaic"), step("MixUp")), "of 5 images", "draws 1"),
    "ours and theirs": (
        mixed(step("imb_det.Mosaic"), step("MixUp")),
        "of 5 images",
        "draws 4",
    ),
    "shown before": (
        mixed(step("MixUp"), step("CachedMosaic")),
        "of 8 images",
        "draws 4",
    ),
    "repeated": (
        wrapped("RepeatDataset", mixed(step("Mosaic")), times=2),
        "of 4 images",
        "draws 1",
    ),
    "a part": (
        wrapped("ConcatDataset", [mixed(step("Mosaic")), leaf([[0], [1], [0, 1]])]),
        "images",
        "draws 1",
    ),
    "one in another": (
        mixed(step("imb_det.MixUp"), inside=mixed(step("Mosaic"))),
        "of 8 images",
        "draws 2",
    ),
}


def quick(ways, *names):
    """Those that every run has; the others are of the same kinds."""
    return [
        name if name in names else pytest.param(name, marks=pytest.mark.weekly)
        for name in ways
    ]


@pytest.mark.parametrize("way", quick(MIXED, "mosaic", "copy-paste", "a part"))
def test_the_share_that_it_tells_is_the_one_that_comes(way):
    config, images, of_sampler = MIXED[way]
    sampler = sampler_on(config)
    (warning,) = told_by(config)
    assert images in warning
    assert of_sampler in warning
    promised, told, without = map(float, re.findall(r"0\.\d{3}", warning))
    found, deviation = counted_share(sampler)
    assert 6 * deviation < promised - told
    assert found == pytest.approx(told, abs=3 * deviation)
    assert without < told < promised


SHOWN = {
    "cached mosaic": leaf(LABELS, step("CachedMosaic")),
    "cached mix-up": leaf(LABELS, step("CachedMixUp", prob=0.5)),
    "rtmdet": leaf(LABELS, step("CachedMosaic"), step("CachedMixUp")),
    "first in, first out": leaf(
        LABELS, step("CachedMosaic", max_cached_images=8, random_pop=False)
    ),
    "in a wrapper": mixed(step("CachedMosaic")),
    "ours": mixed(step("imb_det.Mosaic"), step("imb_det.MixUp")),
    "none": leaf(),
}


@pytest.mark.parametrize("way", quick(SHOWN, "rtmdet", "in a wrapper"))
def test_partners_by_weights_or_from_what_was_shown_need_no_warning(way):
    sampler = sampler_on(SHOWN[way])
    assert not told_by(SHOWN[way])
    receipt = sampler.receipt()
    promised = receipt.instances_after[1] / receipt.instances_after.sum()
    before = receipt.instances_before[1] / receipt.instances_before.sum()
    found, deviation = counted_share(sampler)
    # An image that is kept comes into several pictures: they are not independent.
    assert 12 * deviation < promised - before
    assert found == pytest.approx(promised, abs=6 * deviation)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (leaf(), ""),
        (SHOWN["rtmdet"], "CachedMosaic, CachedMixUp from those that the sampler has"),
        (SHOWN["ours"], "imb_det.Mosaic, imb_det.MixUp by the weights of the sampler"),
        (mixed(step("imb_det.RareCopyPaste")), "imb_det.RareCopyPaste for objects of"),
        (mixed(step("CopyPaste")), "CopyPaste evenly from the data set"),
    ],
)
def test_how_partners_are_chosen_is_a_line(config, words):
    receipt = sampler_on(config).receipt()
    assert receipt.partners.startswith(words)
    assert ("other images of a picture: " in receipt.text()) == bool(words)
    assert receipt.to_dict()["partners"] == receipt.partners


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [("Mosaic", "Mosaic"), ("MixUp", "MixUp"), ("CopyPaste", "RareCopyPaste")],
)
def test_the_warning_names_what_draws_by_weights(kind, remedy):
    (warning,) = told_by(mixed(step(kind)))
    assert f"imb_det.{remedy} draws by its weights" in warning


def test_what_is_switched_off_mixes_nothing():
    assert not told_by(mixed(step("Mosaic"), skip_type_keys=["Mosaic"]))
    assert not told_by(mixed(step("Mosaic", prob=0.0)))
    dataset = built(mixed(step("Mosaic"), step("MixUp")))
    sampler = sampler_on(dataset)
    assert "of 5 images" in sampler.receipt().warnings[-1]
    dataset.update_skip_type_keys(["Mosaic"])  # as YOLOXModeSwitchHook does
    assert "of 2 images" in sampler.receipt().warnings[-1]


def test_transforms_that_nobody_knows_are_named():
    (warning,) = told_by(mixed(dict(type="imb_det.Stranger")))
    assert warning.startswith("Stranger chooses") or "imb_det" not in warning[:7]
    assert "set_partners(table, weights)" in warning


def test_a_sampler_that_changes_nothing_is_not_spoilt():
    assert not told_by(mixed(step("Mosaic")), repeat_thr=1e-6)


def test_classes_of_one_group_are_told_by_what_is_raised():
    sampler = sampler_on(mixed(step("Mosaic")))
    sampler.set_class_stats(sampler.class_stats.with_limits(GroupLimits((0, 1))))
    assert list(sampler.receipt().groups) == ["frequent"]
    (warning,) = [w for w in sampler.receipt().warnings if "evenly" in w]
    (by_group,) = told_by(mixed(step("Mosaic")))
    assert warning == by_group.replace("of rare classes", "of raised classes")


@pytest.mark.weekly
def test_weights_without_a_meaning_as_copies():
    dataset = built(mixed(step("Mosaic")))
    sampler = ClassAwareSampler(dataset, num_samples=PICTURES, seed=0)
    sampler.set_class_stats(sampler.class_stats.with_limits(LIMITS))
    (warning,) = [w for w in sampler.receipt().warnings if "evenly" in w]
    told = float(re.findall(r"0\.\d{3}", warning)[1])
    found, deviation = counted_share(sampler)
    assert found == pytest.approx(told, abs=3 * deviation)
