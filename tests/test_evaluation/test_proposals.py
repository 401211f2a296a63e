import numpy as np
import pytest
from hypothesis import given, settings

from imb_det.evaluation.functional import Detections, GroundTruth
from imb_det.evaluation.functional.proposals import proposal_recall
from tests.coco_scenes import (
    CLASSES,
    coco_content,
    predictions_of,
    pycocotools_eval,
    random_images,
    results_json,
)
from tests.test_evaluation.test_coco_eval import images_strategy


def assert_as_pycocotools(images, budgets):
    truth = GroundTruth.from_coco(coco_content(images), CLASSES)
    found = Detections.from_predictions(truth, predictions_of(images))
    recall = np.nan_to_num(proposal_recall(truth, found, budgets), nan=-1)
    oracle = pycocotools_eval(
        coco_content(images), results_json(images), "bbox", budgets, agnostic=True
    )
    np.testing.assert_allclose(recall[0], oracle.stats[6:9], atol=1e-12)
    np.testing.assert_allclose(recall[1:, -1], oracle.stats[9:12], atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(images_strategy)
def test_equals_pycocotools_on_random_sets(images):
    assert_as_pycocotools(images, (1, 2, 100))


@pytest.mark.parametrize("seed", range(3))
def test_equals_pycocotools_on_scenes(seed):
    assert_as_pycocotools(random_images(seed, num_images=30), (1, 3, 10))


def test_masks_are_not_needed_and_budgets_are_checked():
    truth = GroundTruth.from_coco(coco_content([([], [])]), CLASSES)
    found = Detections.from_predictions(truth, [])
    assert np.isnan(proposal_recall(truth, found, (1,))).all()
    for bad in ((), (0, 1)):
        with pytest.raises(ValueError, match="budgets"):
            proposal_recall(truth, found, bad)
