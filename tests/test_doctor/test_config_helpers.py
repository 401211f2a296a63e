"""What the checks of configs go by: correlations, names in code, changed results."""

import numpy as np
import pytest
import torch
from mmdet.models.dense_heads import RetinaHead
from mmdet.structures.bbox import HorizontalBoxes

from imb_det.doctor.config_checks.heads import rank_correlation
from imb_det.doctor.config_checks.read_names import names_read_by
from imb_det.doctor.config_checks.seen_changes import changed


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ([1, 2, 4], [10, 20, 90], 1.0),
        ([4, 2, 1], [10, 20, 90], -1.0),
        ([1, 1, 1], [10, 20, 90], 0.0),
        # Ranks 1.5, 1.5, 3 and 1, 2, 3: a covariance of 1.5 over sqrt(1.5 * 2).
        ([5, 5, 7], [10, 20, 90], 1.5 / 3**0.5),
    ],
)
def test_rank_correlation(first, second, wanted):
    assert rank_correlation(first, second) == pytest.approx(wanted)


def test_options_that_code_reads_are_known():
    names = names_read_by([RetinaHead])
    assert {"score_thr", "nms_pre", "max_per_img", "nms", "min_bbox_size"} <= names
    assert not {"score_threshold", "max_per_image"} & names


def test_content_that_changes_is_seen():
    boxes = HorizontalBoxes(torch.tensor([[0.0, 0, 5, 5]]))
    before = dict(img=np.zeros((4, 4, 3)), gt_bboxes=boxes, note=1)
    assert not changed(before, dict(before, note=2, flip=False))
    assert changed(before, dict(before, img=np.ones((4, 4, 3))))
    moved = HorizontalBoxes(torch.tensor([[1.0, 0, 5, 5]]))
    assert changed(before, dict(before, gt_bboxes=moved))
    assert changed(before, dict(before, gt_masks=[1]))
