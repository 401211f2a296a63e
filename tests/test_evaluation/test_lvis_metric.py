import json

import numpy as np
import pytest
import torch
from mmdet.datasets import LVISV1Dataset

from imb_det.evaluation import (
    FederatedGroundTruth,
    GroundTruth,
    LVISMetric,
    evaluate_lvis,
)
from imb_det.registry import METRICS
from imb_det.statistics import ClassStats
from imb_det.statistics.coco_classes import category_ids
from imb_det.statistics.frequency_groups import GroupLimits
from tests.federated_scenes import (
    box_mask,
    federated_predictions,
    lvis_content,
    lvis_figures,
    lvis_results,
    random_federated,
)

NUM_CLASSES = 6
CLASSES = tuple(f"class {label}" for label in range(NUM_CLASSES))


@pytest.fixture
def lvis_package(monkeypatch):
    """Return nothing; make the original work with the NumPy of today."""
    pytest.importorskip("lvis")
    monkeypatch.setattr(np, "float", float, raising=False)


def written(tmp_path, content):
    path = tmp_path / "lvis.json"
    path.write_text(json.dumps(content))
    return str(path)


def samples_of(images):
    samples = []
    for prediction in federated_predictions(images):
        boxes = torch.tensor(prediction["bboxes"], dtype=torch.float32)
        samples.append(
            dict(
                img_id=prediction["img_id"],
                ori_shape=(144, 192),
                pred_instances=dict(
                    bboxes=boxes,
                    scores=torch.tensor(prediction["scores"], dtype=torch.float32),
                    labels=torch.tensor(prediction["labels"]),
                    masks=[box_mask(*box) for box in boxes.int().tolist()],
                ),
            )
        )
    return samples


def run_metric(metric, samples, classes=CLASSES):
    metric.dataset_meta = dict(classes=classes)
    metric.process({}, samples)
    return metric.evaluate(size=len(samples))


@pytest.mark.lvis
def test_keys_and_figures_of_mmdet_and_lvis(tmp_path, lvis_package):
    images = random_federated(3, num_images=20, num_classes=NUM_CLASSES, many=20)
    content = lvis_content(images, "rrccff")
    metric = METRICS.build(
        dict(
            type="imb_det.LVISMetric",
            ann_file=written(tmp_path, content),
            metric=["bbox", "segm"],
            max_dets=10,
        )
    )
    figures = run_metric(metric, samples_of(images))
    for kind, with_masks in (("bbox", False), ("segm", True)):
        results = lvis_results(federated_predictions(images, with_masks))
        theirs, _ = lvis_figures(content, results, kind, 10)
        names = ["AP", "AP50", "AP75", *(f"AP{c}" for c in "smlrcf")]
        for name in names:
            # Scores and boxes of the samples are of single precision, and exact.
            assert figures[f"lvis/{kind}_{name}"] == pytest.approx(
                theirs[name], abs=1e-9
            ), name
        assert list(figures)[:9] == [
            f"lvis/bbox_{n}"
            for n in ["AP", "AP50", "AP75", "APs", "APm", "APl", "AP_pool"]
        ] + ["lvis/bbox_APr", "lvis/bbox_APc"]


def test_options_reach_the_evaluation(tmp_path):
    images = random_federated(5, num_images=8, num_classes=NUM_CLASSES, many=30)
    content = lvis_content(images, "rrccff")
    path = written(tmp_path, content)
    truth = FederatedGroundTruth.from_lvis(content)
    for options in (
        dict(),
        dict(max_dets=5),
        dict(max_dets=None),
        dict(fixed_ap=True),
        dict(iou_thrs=[0.5, 0.75]),
    ):
        figures = run_metric(LVISMetric(path, **options), samples_of(images))
        expected = evaluate_lvis(truth, federated_predictions(images), **options)
        assert figures["lvis/bbox_AP"] == expected.summary["AP"]
        assert figures["lvis/bbox_AP_pool"] == expected.summary["AP_pool"]
    assert LVISMetric(path, max_dets=-1).max_dets is None


def test_recall_may_be_asked_for(tmp_path):
    images = random_federated(5, num_classes=NUM_CLASSES)
    content = lvis_content(images, "rrccff")
    metric = LVISMetric(
        written(tmp_path, content), metric_items=["AR@300", "ARs@300", "APr_50", "ARf"]
    )
    figures = run_metric(metric, samples_of(images))
    assert list(figures) == [
        f"lvis/bbox_{item}" for item in ("AR@300", "ARs@300", "APr_50", "ARf")
    ]


def test_subset_of_images(tmp_path):
    images = random_federated(8, num_images=20, num_classes=NUM_CLASSES)
    content = lvis_content(images, "rrccff")
    figures = run_metric(
        LVISMetric(written(tmp_path, content)), samples_of(images)[4:9]
    )
    part = FederatedGroundTruth.from_lvis(content)
    part = part.subset([prediction["img_id"] for prediction in samples_of(images)[4:9]])
    expected = evaluate_lvis(part, federated_predictions(images)[4:9])
    assert figures["lvis/bbox_AP"] == expected.summary["AP"]
    # Had the other images counted as missed, AP would be smaller.
    everything = evaluate_lvis(
        FederatedGroundTruth.from_lvis(content), federated_predictions(images)[4:9]
    )
    assert everything.summary["AP"] < expected.summary["AP"]


def test_proposals_have_no_class(tmp_path):
    # Both objects are found, by proposals of label 0 that nobody looked for there.
    objects = [(2, (0.0, 0.0, 10.0, 10.0), False), (4, (20.0, 0.0, 40.0, 40.0), False)]
    found = [(0, box, 0.5) for _, box, _ in objects]
    images = [(objects, [(0, (1.0, 30.0, 5.0, 5.0), 0.9), *found], [], [])]
    path = written(tmp_path, lvis_content(images, "rrccff"))
    metric = LVISMetric(path, metric="proposal", proposal_nums=(1, 2, 300))
    figures = run_metric(metric, samples_of(images))
    assert figures["lvis/AR@1"] == 0
    assert figures["lvis/AR@2"] == 0.5
    assert figures["lvis/AR@300"] == 1
    assert figures["lvis/ARs@2"] == 1
    assert figures["lvis/ARm@2"] == 0
    assert figures["lvis/ARl@300"] == -1


def test_groups_from_counts_replace_letters(tmp_path):
    images = random_federated(5, num_images=20, num_classes=NUM_CLASSES)
    path = written(tmp_path, lvis_content(images, "rrrrrr"))
    metric = LVISMetric(path)
    by_letters = run_metric(metric, samples_of(images))
    assert "lvis/bbox_APf" not in by_letters
    # Counts that the hook hands over are shown, but the letters of the file stay.
    counts = [3, 3, 40, 40, 500, 500]
    stats = ClassStats(CLASSES, counts, counts, 600)
    metric.set_class_stats(stats)
    assert run_metric(metric, samples_of(images)) == by_letters
    figures = run_metric(LVISMetric(path, class_stats=stats), samples_of(images))
    # Limits that are asked for are those of counts.
    limited = stats.with_limits(GroupLimits((3, 40)))
    metric.set_class_stats(limited)
    assert run_metric(metric, samples_of(images)) == figures
    metric = LVISMetric(path, group_thresholds=(10, 100))
    metric.set_class_stats(stats)
    assert run_metric(metric, samples_of(images)) == figures
    named = lvis_content(images, "rrccff")
    other = tmp_path / "other"
    other.mkdir()
    assert figures == run_metric(LVISMetric(written(other, named)), samples_of(images))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["images"][1].pop("neg_category_ids"),
            r"lvis\.json: images\[1\] \(id 10\): lacks `neg_category_ids`",
        ),
        (
            lambda c: c["images"][0].pop("not_exhaustive_category_ids"),
            r"images\[0\] \(id 3\): lacks `not_exhaustive_category_ids`",
        ),
        (
            lambda c: [image.pop("neg_category_ids") for image in c["images"]],
            r"lvis\.json: no image has `neg_category_ids`: this is no LVIS file",
        ),
        (
            lambda c: c["categories"][2].pop("frequency"),
            r"categories\[2\] \(id 9, 'class 2'\): needs a `frequency`",
        ),
        (lambda c: c["categories"][1].update(frequency="x"), r"'class 1'.*got 'x'"),
    ],
)
def test_files_that_are_not_federated(tmp_path, change, message):
    content = lvis_content(random_federated(5, num_classes=NUM_CLASSES), "rrccff")
    change(content)
    with pytest.raises(ValueError, match=message):
        LVISMetric(written(tmp_path, content))


def test_no_frequency_needs_counts(tmp_path):
    images = random_federated(5, num_classes=NUM_CLASSES)
    content = lvis_content(images, "rrccff")
    for category in content["categories"]:
        del category["frequency"]
    path = written(tmp_path, content)
    with pytest.raises(ValueError, match=r"'class 0'.*no `frequency`.*class_stats"):
        run_metric(LVISMetric(path), samples_of(images))
    counts = [3, 3, 40, 40, 500, 500]
    metric = LVISMetric(path)
    metric.dataset_meta = dict(classes=CLASSES)
    with pytest.raises(ValueError, match="no `frequency`"):
        metric.process({}, samples_of(images)[:1])  # not after the last image
    metric.set_class_stats(ClassStats(CLASSES, counts, counts, 600))
    assert "lvis/bbox_APr" in run_metric(metric, samples_of(images))


@pytest.mark.parametrize("arguments", [dict(metric="proposal"), dict(format_only=True)])
def test_without_groups_no_frequency_is_needed(tmp_path, arguments):
    images = random_federated(5, num_classes=NUM_CLASSES)
    content = lvis_content(images, "rrccff")
    for category in content["categories"]:
        del category["frequency"]
    prefix = str(tmp_path / "out")
    metric = LVISMetric(written(tmp_path, content), outfile_prefix=prefix, **arguments)
    run_metric(metric, samples_of(images))


def test_letters_tell_which_groups_can_be_watched(tmp_path):
    content = lvis_content(random_federated(5, num_classes=NUM_CLASSES), "rrcccc")
    metric = LVISMetric(written(tmp_path, content))
    metric.check_watched(["lvis/bbox_APf"])  # of what classes is not known yet
    metric.dataset_meta = dict(classes=CLASSES)
    metric.check_watched(["lvis/bbox_APr", "lvis/bbox_AP", "coco/bbox_APf"])
    metric.check_watched(["lvis/segm_APf"])  # another metric's
    with pytest.raises(ValueError, match=r"lvis/bbox_APf.*2 rare, 4 common"):
        metric.check_watched(["lvis/bbox_APf"])
    with pytest.raises(ValueError, match=r"lvis/bbox_AP_gap.*2 rare, 4 common"):
        metric.check_watched(["lvis/bbox_AP_gap"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(), "needs `ann_file`"),
        (dict(ann_file="x", max_dets=0), "max_dets"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        LVISMetric(**arguments)


def test_unknown_items(tmp_path):
    content = lvis_content(random_federated(5, num_classes=NUM_CLASSES), "rrccff")
    with pytest.raises(ValueError, match="mAP"):
        LVISMetric(written(tmp_path, content), metric_items=["mAP"])


@pytest.mark.parametrize("change", ["swapped", "larger"])
def test_masks_of_another_size_than_in_the_file(tmp_path, change):
    images = random_federated(5, num_classes=NUM_CLASSES)
    content = lvis_content(images, "rrccff")
    size = (144, 192) if change == "swapped" else (288, 384)
    content["images"][2].update(width=size[0], height=size[1])
    metric = LVISMetric(written(tmp_path, content), metric="segm")
    with pytest.raises(ValueError, match=r"image 17 is .* but \(144, 192\)"):
        run_metric(metric, samples_of(images))


def test_the_names_of_mmdet_and_of_the_file(tmp_path):
    """LVIS misspells one of its classes; mmdet's list does not."""
    classes = LVISV1Dataset.METAINFO["classes"]
    assert "speaker_(stereo_equipment)" in classes
    spelled = [name.replace("stereo", "stero") for name in classes]
    categories = [
        dict(id=i, name=name, frequency="rcf"[i % 3])
        for i, name in enumerate(spelled, 1)
    ]
    label = classes.index("speaker_(stereo_equipment)")
    box = (1.0, 1.0, 9.0, 9.0)
    scene = [([(label, box, False)], [(label, box, 0.5)], [], [])]
    content = lvis_content(scene, "f" * len(classes))
    content["categories"] = categories
    for annotation in content["annotations"]:
        annotation["category_id"] = label + 1
    path = written(tmp_path, content)
    with pytest.warns(UserWarning, match=r"stero_equipment"):
        figures = run_metric(LVISMetric(path), samples_of(scene), classes)
    assert figures["lvis/bbox_AP"] == pytest.approx(1)
    with pytest.warns(UserWarning, match=r"stero_equipment"):
        stats = ClassStats.from_file(path, classes)
    assert stats.instance_count[label] == 1
    ClassStats.from_file(path).check_classes(classes)
    # Data sets that go by the names would leave the class out: no leniency there.
    for strict in (GroundTruth.from_coco, category_ids):
        with pytest.raises(ValueError, match="no category"):
            strict(content, classes)
    # A set of other classes is no misspelling.
    with pytest.raises(ValueError, match="no category"):
        LVISMetric(path).dataset_meta = dict(classes=[f"x{i}" for i in classes])
