import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imb_det.statistics import ClassStats
from tests.labelled_sets import LONG_TAIL, LabelledDataset, label_sets, long_tail
from tests.masked_sets import (
    bitmaps,
    box_around,
    build,
    check_lengths,
    coco_config,
    colour_of,
    corner_shape,
    corners,
    ellipse,
    mixed,
    rectangle,
    same,
    write_scenes,
)
from tests.mixed_sets import check_shares, loader_of, one_colour, wrapped

PASTE = dict(type="imb_det.RareCopyPaste", prob=1.0, repeat_thr=0.5)
RFS = dict(type="imb_det.RepeatFactorSampler", repeat_thr=0.5)
# Class 1 is rare, class 2 rarer.
SCENES = [
    ((40, 30), [(0, rectangle(2, 3, 14, 10))]),
    ((30, 44), [(0, ellipse(3, 20, 20, 20)), (1, corner_shape(1, 1, 20, 12))]),
    (
        (34, 36),
        [(0, rectangle(1, 1, 12, 12), dict(iscrowd=1)), (2, ellipse(18, 9, 14, 16))],
    ),
    ((30, 30), []),
    ((50, 24), [(0, rectangle(30, 2, 16, 16))]),
    ((50, 24), [(1, rectangle(30, 2, 16, 16))]),
]
KINDS = (None, "bitmap", "polygon")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes")
    return write_scenes(root, SCENES, 3, is_painted=True)


def class_chances(stats, threshold, power):
    """The formula, one class after the other; no class has more than 100 images."""
    if threshold == "auto":
        threshold = stats.image_count.max() / stats.num_images
    raised = [
        max(1.0, (threshold * stats.num_images / count) ** power) - 1 if count else 0.0
        for count in stats.image_count.tolist()
    ]
    return np.array(raised) / (sum(raised) or 1)


@given(
    case=label_sets(),
    threshold=st.sampled_from([0.0, 0.1, 0.5, 1.0, "auto"]),
    power=st.sampled_from([0.0, 0.5, 1.0]),
)
@settings(max_examples=40)
def test_images_are_drawn_by_the_chances_of_their_classes(case, threshold, power):
    sets, num_classes = case
    dataset = LabelledDataset(sets, num_classes)
    stats = ClassStats.from_dataset(dataset)
    chances = class_chances(stats, threshold, power)
    config = PASTE | dict(repeat_thr=threshold, power=power, max_objects=1)
    transform = build(**config)
    drawn = [transform.get_indexes(dataset) for _ in range(400)]
    if not chances.any():
        assert drawn == [[]] * 400
        return
    holders = [[c in labels for labels in sets] for c in range(num_classes)]
    share = np.array(holders) / np.maximum(stats.image_count, 1)[:, None]
    check_shares(np.ravel(drawn), chances @ share)


@pytest.mark.parametrize(("prob", "max_objects"), [(0, 3), (0.3, 1), (1, 4)])
def test_number_of_objects(prob, max_objects):
    dataset = long_tail()
    transform = build(**PASTE | dict(prob=prob, max_objects=max_objects))
    sizes = [len(transform.get_indexes(dataset)) for _ in range(2000)]
    chances = np.r_[1 - prob, np.full(max_objects, prob / max_objects)]
    check_shares(sizes, chances)


def pasted_label_chances(sets, chances):
    """First a class, then an image that holds it, then one of its objects."""
    result = np.zeros(len(chances))
    for label in np.flatnonzero(chances):
        holders = [labels for labels in sets if label in labels]
        for labels in holders:
            of_objects = chances[labels] / chances[labels].sum()
            of_objects *= chances[label] / len(holders)
            np.add.at(result, labels, of_objects)
    return result


def test_rarer_classes_are_pasted_more_often():
    leaf = long_tail(pipeline=[one_colour])
    dataset = mixed(leaf, PASTE | dict(max_objects=1, scale_range=(0.5, 0.5)))
    index = LONG_TAIL.index([])
    labels = np.ravel([dataset[index]["gt_bboxes_labels"] for _ in range(800)])
    assert len(labels) == 800
    chances = class_chances(ClassStats.from_dataset(leaf), 0.5, 0.5)
    assert 0 == chances[0] == chances[5] < chances[1] < chances[2] < chances[3]
    check_shares(labels, pasted_label_chances(LONG_TAIL, chances))
    counts = np.bincount(labels, minlength=6)
    assert 0 == counts[0] == counts[5] < counts[1] < counts[3] < counts[4]


@pytest.mark.parametrize(
    "sets", [[[0]] * 4, [[0, 1]] * 3, [[], []], [[-1], [-2, -2]], [[0], [-2]]]
)
def test_nothing_is_pasted_without_a_rare_class(sets, monkeypatch):
    lines = []
    where = "imb_det.transforms.rare_copy_paste.print_log"
    monkeypatch.setattr(where, lambda line, level, **_: lines.append((line, level)))
    leaf = LabelledDataset(sets, 2, pipeline=[one_colour])
    dataset = mixed(leaf, PASTE | dict(repeat_thr="auto"))
    for index in range(2 * len(sets)):
        assert same(dataset[index % len(sets)], leaf[index % len(sets)])
    ((line, level),) = lines
    assert "does nothing: no class is rarer than" in line
    assert level == logging.WARNING


@pytest.mark.parametrize("kind", KINDS)
def test_follows_the_global_seed(files, kind):
    dataset = mixed(coco_config(files, 3, kind), PASTE)
    runs = []
    for seed in (4, 4, 5):
        np.random.seed(seed)  # noqa: NPY002
        runs.append([dataset[index % 6] for index in range(12)])
    assert all(map(same, runs[0], runs[1]))
    assert not all(map(same, runs[0], runs[2]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampler", [RFS, dict(type="DefaultSampler")])
def test_in_a_data_loader_with_workers(files, kind, sampler, monkeypatch):
    if sampler is RFS:  # it has read the classes, nothing reads them again
        where = "imb_det.transforms.rare_copy_paste.label_table"
        monkeypatch.setattr(where, lambda _: pytest.fail("read again"))
    inner = wrapped("RepeatDataset", coco_config(files, 3, kind), times=10)
    dataset = wrapped("MultiImageMixDataset", inner, pipeline=[PASTE])
    loader = loader_of(dataset, sampler, persistent_workers=True)
    seen = np.zeros(3, int)
    for _ in range(2):
        for results in (results for batch in loader for results in batch):
            check_lengths(results)
            seen += np.bincount(results["gt_bboxes_labels"], minlength=3)
            if kind is not None:
                check_pixels(results)
    assert seen[1] + seen[2] > 1.5 * 2 * len(loader.sampler)


def check_pixels(results):
    """Masks lie on the colour of their class; a crowd region may have no mask."""
    for label, box, mask in zip(
        results["gt_bboxes_labels"], corners(results), bitmaps(results), strict=True
    ):
        if mask.any():
            np.testing.assert_allclose(box_around(mask), box, atol=1)
            colour = np.abs(results["img"][mask].astype(int) - colour_of(label)).max(1)
            assert (colour == 0).mean() > 0.6
    painted = (results["img"] == results["img"][..., :1]).all(-1)
    painted &= results["img"][..., 0] >= colour_of(0)
    assert (painted & ~bitmaps(results).any(0)).sum() <= 0.05 * painted.sum()


MOSAIC = dict(type="imb_det.Mosaic", img_scale=(48, 48))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [(PASTE, MOSAIC), (MOSAIC, PASTE), (PASTE, PASTE)])
def test_beside_other_transforms(files, kind, steps):
    packing = build(type="PackDetInputs", meta_keys=())
    dataset = mixed(coco_config(files, 3, kind), *steps)
    rare = 0
    for index in range(30):
        results = dataset[index % 6]
        check_lengths(results)
        if kind is not None:
            for mask, box in zip(bitmaps(results), corners(results), strict=True):
                tight = box_around(mask) if mask.any() else box
                assert (tight[:2] >= box[:2] - 2).all()
                assert (tight[2:] <= box[2:] + 2).all()
        instances = packing(results)["data_samples"].gt_instances
        assert kind is None or len(instances.masks) == len(instances.labels)
        rare += int((instances.labels > 0).sum())
    assert rare > 30


@pytest.mark.parametrize(
    ("argument", "error", "message"),
    [
        (dict(prob=1.5), ValueError, r"`prob` must be in \[0, 1\], got 1.5"),
        (dict(prob="0.5"), TypeError, r"`prob` must be a number, got '0.5'"),
        (dict(max_hidden=-0.1), ValueError, r"`max_hidden` must be in \[0, 1\]"),
        (dict(flip_prob=float("nan")), ValueError, r"`flip_prob` .* got nan"),
        (dict(max_objects=0), ValueError, r"`max_objects` .* number >= 1, got 0"),
        (dict(max_objects=True), ValueError, r"`max_objects` .* got True"),
        (dict(max_tries=2.0), ValueError, r"`max_tries` must be a whole .* got 2.0"),
        (dict(repeat_thr="rare"), ValueError, r"`repeat_thr` .* 'auto', got 'rare'"),
        (dict(repeat_thr=-1), ValueError, r"`repeat_thr` .* in \[0, 1\], got -1"),
        (dict(repeat_thr=1.1), ValueError, r"`repeat_thr` .* in \[0, 1\], got 1.1"),
        (dict(power=None), TypeError, r"`power` must be a number, got None"),
        (dict(scale_range=1.0), TypeError, r"`scale_range` .* two numbers, got 1.0"),
        (dict(scale_range=(1, 2, 3)), TypeError, r"`scale_range` .* got \(1, 2, 3\)"),
        (
            dict(scale_range=(2, 1)),
            ValueError,
            r"`scale_range` must ascend, got \(2, 1",
        ),
        (dict(scale_range=(0, 1)), ValueError, r"`scale_range` must be in \(0, inf\)"),
        (dict(scale_range=(1, float("inf"))), ValueError, r"`scale_range` .* got inf"),
    ],
)
def test_bad_arguments(argument, error, message):
    with pytest.raises(error, match=f"RareCopyPaste: {message}"):
        build(**PASTE | argument)
