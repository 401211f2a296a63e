"""What every registered transform must hold, found by discovery."""

import copy
import pickle

import numpy as np
import pytest

from imb_det.registry import TRANSFORMS
from tests.masked_sets import build, check_lengths, corners, same

from .registered import check_all_have_cases, registered
from .transform_cases import BAD, CASES, EVERY, REFUSED, SCENES

SEEDS = range(12)


def label_of(value):
    return "boxes" if value is None else str(value)


each_case = pytest.mark.parametrize("case", CASES, ids=str)
each_kind = pytest.mark.parametrize(("case", "kind"), EVERY, ids=label_of)


@pytest.fixture(scope="module", autouse=True)
def quick_construction():
    """Mosaic and MixUp of mmdet search all modules for their caller, for a log line."""
    with pytest.MonkeyPatch.context() as patch:
        where = "mmdet.datasets.transforms.transforms.log_img_scale"
        patch.setattr(where, lambda *args, **kwargs: None)
        yield


def seeded(transform, results, seed):
    np.random.seed(seed)  # noqa: NPY002 -- what mmcv's transforms draw from
    return transform(copy.deepcopy(results))


def test_every_transform_has_cases():
    found = registered(TRANSFORMS)
    where = "`CASES` of tests/contracts/transform_cases.py"
    check_all_have_cases("transforms", {case.name for case in CASES}, found, where)
    check_all_have_cases("transforms", BAD, found, where.replace("CASES", "BAD"))


@each_kind
@pytest.mark.parametrize("first", SCENES)
def test_boxes_labels_flags_and_masks_stay_together(case, kind, first):
    transform = case.build()
    names = [first, *(name for name in SCENES if name != first)]
    before = case.images(kind, names)
    changed = 0
    for seed in SEEDS:
        after = seeded(transform, before, seed)
        check_lengths(after)
        boxes = corners(after)
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert np.isfinite(boxes).all()
        assert after["img"].dtype == before["img"].dtype
        assert after["img"].shape[2:] == before["img"].shape[2:]
        assert set(after["gt_bboxes_labels"].tolist()) <= {0, 1, 2}
        assert type(after["gt_bboxes"]) is type(before["gt_bboxes"])
        assert "mix_results" not in after or after["mix_results"] is not None
        changed += not same(before, after)
    assert changed or first == "empty"


@each_kind
def test_the_same_seed_gives_the_same_image(case, kind):
    transform = case.build()
    before = case.images(kind)
    again = pickle.loads(pickle.dumps(transform))
    for seed in SEEDS:
        assert same(seeded(transform, before, seed), seeded(again, before, seed))
    results = [seeded(transform, before, seed) for seed in SEEDS]
    assert not all(same(results[0], other) for other in results[1:])


@each_kind
def test_images_without_objects(case, kind):
    transform = case.build()
    before = case.images(kind, ["empty"])
    for seed in SEEDS:
        after = seeded(transform, before, seed)
        check_lengths(after)
        assert len(after["gt_bboxes"]) == 0


@each_kind
def test_it_leaves_alone_what_it_is_given(case, kind):
    """A data set may keep the arrays of an image, and hand them out again."""
    transform = case.build()
    for seed in SEEDS:
        before = case.images(kind)
        kept = copy.deepcopy(before)
        arrays = dict(before)
        np.random.seed(seed)  # noqa: NPY002
        transform(before)
        assert same(arrays, kept)
        for part, whole in zip(
            arrays.get("mix_results", ()), kept.get("mix_results", ()), strict=True
        ):
            assert set(part) == set(whole)
            assert same(part, whole)


@each_case
def test_repr_names_class_and_arguments(case):
    text = repr(case.build())
    assert text.startswith(f"{case.name}(")
    for value in case.arguments.values():
        # mmdet's MixUp shows `img_scale` by another name.
        assert f"={value!r}" in text


@each_case
def test_unknown_arguments_are_named(case):
    with pytest.raises(TypeError, match="no_argument"):
        case.build(no_argument=1)


@pytest.mark.parametrize(("name", "arguments"), REFUSED, ids=str)
def test_bad_arguments_are_named(name, arguments):
    (key,) = arguments
    with pytest.raises((ValueError, TypeError), match=f"{name}: `{key}` must "):
        build(type=f"imb_det.{name}", **arguments)
