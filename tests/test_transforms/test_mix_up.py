import numpy as np
import pytest

from imb_det.samplers import RepeatFactorSampler
from tests.masked_sets import (
    check_lengths,
    coco_config,
    mixed,
    rectangle,
    same,
    write_scenes,
)

SCENES = [
    ((40, 30), [(0, rectangle(2, 3, 14, 10))]),
    ((25, 60), [(0, rectangle(3, 20, 20, 36)), (1, rectangle(1, 1, 20, 12))]),
    ((30, 30), []),
    ((30, 40), [(1, rectangle(1, 1, 20, 20), dict(iscrowd=1))]),
    ((50, 20), [(0, rectangle(30, 2, 16, 16))]),
]
MIX_UP = dict(type="imb_det.MixUp", img_scale=(40, 40))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_scenes(tmp_path_factory.mktemp("scenes"), SCENES)


@pytest.mark.parametrize("kind", ["bitmap", "polygon"])
@pytest.mark.parametrize("index", [0, 2])
def test_masks_are_refused(files, kind, index):
    dataset = mixed(coco_config(files, kind=kind), MIX_UP)
    with pytest.raises(ValueError, match=r"MixUp mixes boxes, not masks: use .*Mosaic"):
        dataset[index]


@pytest.mark.parametrize("loading", [{}, dict(box_type=None)])
def test_equals_the_mix_up_of_mmdet_without_weights(files, loading):
    pair = []
    for name in ("MixUp", "imb_det.MixUp"):
        np.random.seed(5)  # noqa: NPY002
        config = coco_config(files, kind=None, **loading)
        dataset = mixed(config, MIX_UP | dict(type=name))
        pair.append([dataset[index % 5] for index in range(40)])
    for theirs, ours in zip(*pair, strict=True):
        check_lengths(ours)
        assert same(theirs, ours)
        assert theirs.keys() == ours.keys()


def test_partners_have_boxes_and_follow_the_weights(files):
    dataset = mixed(coco_config(files, kind=None), MIX_UP)
    sampler = RepeatFactorSampler(dataset, repeat_thr=0.9, seed=0)
    weights = sampler.image_weights(0)
    assert (weights >= 1).all()
    assert weights[1] > weights[0]
    weights[[2, 3]] = 0  # no object, and none but an ignored one
    wanted = weights / weights.sum()
    (mix_up,) = dataset.pipeline
    draws = 4000
    drawn = [mix_up.get_indexes(dataset.dataset) for _ in range(draws)]
    counts = np.bincount(drawn, minlength=5)
    assert counts[[2, 3]].tolist() == [0, 0]
    sigma = np.sqrt(draws * wanted * (1 - wanted))
    assert (np.abs(counts - draws * wanted) <= 5 * sigma).all()
    for index in range(5):
        results = dataset[index]
        check_lengths(results)
        assert len(results["gt_bboxes"]) > 0


def test_partners_without_boxes_where_no_image_has_one(tmp_path):
    files = write_scenes(tmp_path, [((20, 20), [])] * 3)
    dataset = mixed(coco_config(files, kind=None), MIX_UP)
    plain = RepeatFactorSampler(dataset, repeat_thr=0.9, seed=0)
    assert len(plain) == 3
    results = dataset[0]
    assert len(results["gt_bboxes"]) == 0
    assert results["img"].shape == (20, 20, 3)
