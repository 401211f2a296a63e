"""Copy-paste of rare classes on images that large-scale jittering has cut."""

import numpy as np
import pytest

from imb_det.samplers import RepeatFactorSampler
from tests.masked_sets import (
    bitmaps,
    box_around,
    check_lengths,
    coco_config,
    corners,
    ellipse,
    mixed,
    rectangle,
    write_scenes,
)

SIDE = 32
FREQUENT = ((40, 30), [(0, rectangle(2, 3, 14, 10)), (0, ellipse(18, 9, 14, 16))])
RARE = ((30, 44), [(1, ellipse(6, 12, 12, 14))])
EMPTY = ((36, 36), [(1, rectangle(2, 2, 6, 6))])
JITTER = [
    dict(
        type="RandomResize",
        scale=(SIDE, SIDE),
        ratio_range=(0.3, 2.0),
        keep_ratio=True,
    ),
    dict(
        type="RandomCrop",
        crop_size=(SIDE, SIDE),
        recompute_bbox=True,
        allow_negative_crop=True,
    ),
    dict(type="FilterAnnotations", min_gt_bbox_wh=(1e-2, 1e-2), by_mask=True),
    dict(type="RandomFlip", prob=0.5),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes")
    return write_scenes(root, [FREQUENT] * 8 + [RARE, EMPTY], is_painted=True)


def pictures(files, prob, as_float):
    leaf = coco_config(files)
    leaf["pipeline"] = [*leaf["pipeline"], *JITTER]
    leaf["pipeline"][0] = {**leaf["pipeline"][0], "to_float32": as_float}
    paste = dict(type="imb_det.RareCopyPaste", prob=prob, repeat_thr=0.9)
    dataset = mixed(leaf, paste)
    sampler = RepeatFactorSampler(dataset, 0.9, num_samples=60, seed=0)
    np.random.seed(0)  # noqa: NPY002
    return [dataset[index] for index in sampler]


@pytest.mark.parametrize("as_float", [False, True])  # as Mask2Former loads images
def test_pasted_objects_fit_the_images_that_are_left(files, as_float):
    shares = []
    for prob in (0.0, 1.0):
        found = pictures(files, prob, as_float)
        for results in found:
            check_lengths(results)
            masks, boxes = bitmaps(results), corners(results)
            assert masks.shape[1:] == results["img"].shape[:2]
            assert max(masks.shape[1:]) <= SIDE
            assert masks.any((1, 2)).all()
            assert results["img"].dtype == (np.float32 if as_float else np.uint8)
            for mask, box in zip(masks, boxes, strict=True):
                np.testing.assert_allclose(box, box_around(mask), atol=2)
        labels = np.concatenate([r["gt_bboxes_labels"] for r in found])
        shares.append(labels.mean())
    assert shares[1] > shares[0] + 0.1
