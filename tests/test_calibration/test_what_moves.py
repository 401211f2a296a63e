"""Verdicts that calibrators are fitted to, and figures of what moves."""

import json

import pytest

from imb_det.calibration.what_moves import check_report, detected, judged
from tests.federated_scenes import federated_predictions, lvis_content, lvis_results

A, B = (0.0, 0.0, 10.0, 10.0), (20.0, 20.0, 10.0, 10.0)
CLASSES = ("class 0", "class 1", "class 2")


@pytest.mark.parametrize(
    ("score_thr", "resamples", "match"),
    [
        (1.0, 10, "`score_thr` must be below 1"),
        (-0.1, 10, "`score_thr` must be in"),
        (30, 10, "`score_thr` must be in"),
        (0.3, 0, "`resamples` must be in"),
    ],
)
def test_numbers_of_a_report(score_thr, resamples, match):
    check_report(0.3, 1)
    with pytest.raises(ValueError, match=match):
        check_report(score_thr, resamples)


def test_classes_that_nobody_has_looked_for_are_no_errors(tmp_path):
    """Class 1 is known not to be there; nothing is known of class 2."""
    found = [(0, A, 0.9), (1, B, 0.8), (2, B, 0.7)]
    images = [([(0, A, False)], found, [1], [])]
    truth, file = tmp_path / "lvis.json", tmp_path / "found.json"
    truth.write_text(json.dumps(lvis_content(images)))
    file.write_text(json.dumps(lvis_results(federated_predictions(images))))
    (matches,) = judged(truth, [file], CLASSES)
    assert matches.score.tolist() == [0.9, 0.8]
    assert matches.verdict[:, 0].tolist() == [1, 0]
    part, (every,) = detected(truth, [file], CLASSES)
    assert sorted(every.score) == [0.7, 0.8, 0.9]
    assert len(part.images) == 1
