"""Intersection over union by groups of classes."""

import numpy as np
import pytest
import torch
from mmdet.evaluation import SemSegMetric as MmdetSemSegMetric
from PIL import Image

from imb_det.core import CheckContext
from imb_det.evaluation import SemSegMetric
from imb_det.evaluation.functional.pixel_counts import PixelCounts
from imb_det.statistics import ClassStats
from tests.contracts.metric_cases import CLASSES, STATS, samples
from tests.segmented_sets import build, load_maps, write_semantic

ALL = ["mIoU", "mDice", "mFscore"]


def counted(labels, predicted, num_classes=4):
    """Pixels one at a time: of both, found, there."""
    found = np.zeros((3, num_classes), int)
    for label, other in zip(labels.ravel(), predicted.ravel(), strict=True):
        if label >= num_classes:
            continue
        found[2, label] += 1
        if other < num_classes:
            found[1, other] += 1
        found[0, label] += label == other
    return found


def judged(metric, everything, stats=STATS):
    metric.dataset_meta = dict(classes=CLASSES)
    if stats is not None:
        metric.set_class_stats(stats)
    metric.process({}, everything)
    return metric.evaluate(size=len(everything))


def test_by_hand():
    """One rare class in two pixels, one of which is found, and a false one."""
    labels = np.array([[0, 0, 1, 1, 1, 1, 255]])
    predicted = np.array([[0, 1, 1, 1, 1, 0, 0]])
    sample = dict(
        img_id=1,
        gt_sem_seg=dict(sem_seg=torch.from_numpy(labels)[None]),
        pred_sem_seg=dict(sem_seg=torch.from_numpy(predicted)[None]),
    )
    metric = SemSegMetric()
    metric.dataset_meta = dict(classes=("ant", "bee"))
    metric.set_class_stats(ClassStats(("ant", "bee"), [3, 500], [3, 500], 520))
    metric.process({}, [sample])
    figures = metric.evaluate(size=1)
    assert figures == pytest.approx(
        dict(
            aAcc=400 / 6,
            mIoU=(100 / 3 + 60) / 2,
            mAcc=62.5,
            IoUr=100 / 3,
            IoUf=60,
            IoU_gap=60 - 100 / 3,
            Accr=50,
            Accf=75,
            Acc_gap=25,
        )
    )


@pytest.mark.parametrize("seed", range(5))
def test_counts_agree_with_counting_one_by_one(seed):
    rng = np.random.default_rng(seed)
    labels, predicted = rng.integers(0, 6, (2, 7, 9))
    found = PixelCounts.of_map(predicted, labels, 4, ignore_index=5)
    wanted = counted(labels, predicted)
    for mine, other in zip((found.both, found.found, found.there), wanted, strict=True):
        assert mine.tolist() == other.tolist()
    n, p, t = wanted
    np.testing.assert_allclose(found.iou, n / (t + p - n))
    np.testing.assert_allclose(found.dice, 2 * found.iou / (1 + found.iou))
    np.testing.assert_allclose(found.f_score(), found.dice)
    precision, recall = n / p, n / t
    with np.errstate(invalid="ignore"):
        f_score = 5 * precision * recall / (4 * precision + recall)
    np.testing.assert_allclose(found.f_score(2), np.nan_to_num(f_score))
    # A class may be the one to ignore: its pixels are then not false ones of others.
    without = PixelCounts.of_map(predicted, labels, 4, ignore_index=2)
    ignored = counted(np.where(labels == 2, 9, labels), predicted)
    assert without.there.tolist() == ignored[2].tolist()
    assert without.found.tolist() == ignored[1].tolist()
    # One class everywhere: accuracy and intersection over union are the same.
    alone = PixelCounts.of_map(predicted * 0, labels * 0, 4)
    assert alone.iou[0] == alone.accuracy[0] == 1
    assert np.isnan(alone.iou[1:]).all()


def test_equals_mmdets_figures():
    theirs = MmdetSemSegMetric(iou_metrics=ALL, beta=2)
    theirs.dataset_meta = dict(classes=CLASSES)
    theirs.process({}, samples("noisy"))
    wanted = {key: float(v) for key, v in theirs.evaluate(size=7).items()}
    found = judged(SemSegMetric(iou_metrics=ALL, beta=2), samples("noisy"))
    # mmdet's is the mean over the classes.
    assert wanted.pop("aAcc") == wanted["mAcc"]
    for key, value in wanted.items():
        assert found[key] == pytest.approx(value, abs=5.1e-3), key


def test_maps_of_panoptic_models():
    everything = samples("noisy")
    wanted = judged(SemSegMetric(), everything)
    for sample in everything:
        classes = sample.pop("pred_sem_seg")["sem_seg"].clone()
        # mmdet writes void as the number of classes, and counts instances.
        classes[classes == 255] = len(CLASSES)
        classes[classes < 2] += 3000
        sample["pred_panoptic_seg"] = dict(sem_seg=classes)
    assert judged(SemSegMetric(), everything) == wanted


def test_maps_are_written(tmp_path):
    everything = samples("noisy")
    for row, sample in enumerate(everything):
        sample["img_path"] = f"folder/{row}.jpg"
    figures = judged(SemSegMetric(output_dir=str(tmp_path / "a")), everything)
    assert figures == judged(SemSegMetric(), samples("noisy"))
    metric = SemSegMetric(output_dir=str(tmp_path / "b"), format_only=True)
    assert judged(metric, everything) == {}
    for folder in "ab":
        for row, sample in enumerate(everything):
            written = np.array(Image.open(tmp_path / folder / f"{row}.png"))
            wanted = sample["pred_sem_seg"]["sem_seg"].squeeze().numpy()
            assert (written == wanted).all()
    everything[0]["pred_sem_seg"]["sem_seg"][:] = 300  # more than a byte holds
    judged(metric, everything)
    assert (np.array(Image.open(tmp_path / "b" / "0.png")) == 300).all()


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("gt_sem_seg", "image 3 has no ground truth"),
        ("pred_sem_seg", "image 3: the model predicts no map of classes"),
        (None, r"image 3: the map predicted has the shape \(5, 64\), and the true one"),
    ],
)
def test_missing_and_other_maps_name_the_image(lost, message):
    everything = samples("noisy")
    if lost is None:
        everything[3]["pred_sem_seg"] = dict(sem_seg=torch.zeros(1, 5, 64))
    else:
        del everything[3][lost]
    with pytest.raises(ValueError, match=message):
        judged(SemSegMetric(), everything)


def test_a_pipeline_without_maps_is_found(tmp_path):
    config = write_semantic(tmp_path / "set")
    metric = SemSegMetric()
    for pipeline, number in (([load_maps()], 0), ([dict(type="Resize", scale=8)], 1)):
        dataset = build(config, pipeline=pipeline)
        context = CheckContext(datasets=dict(val=dataset), metrics=dict(val=[metric]))
        assert len(list(metric.findings(context))) == number


def test_without_counts_the_keys_are_mmdets():
    assert set(judged(SemSegMetric(), samples("noisy"), None)) == {
        "aAcc",
        "mIoU",
        "mAcc",
    }
