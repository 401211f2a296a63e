import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.evaluation import VOCMetric as MMDetVOCMetric
from mmdet.evaluation.functional import eval_map
from mmengine.registry import init_default_scope

from imb_det.core import CheckContext
from imb_det.evaluation import VOCMetric
from imb_det.evaluation.functional.voc_eval import evaluate_voc
from imb_det.registry import DATASETS, METRICS
from imb_det.statistics import ClassStats
from tests import mixed_sets  # noqa: F401 -- registers a transform
from tests.coco_scenes import CLASSES, random_images
from tests.tiny_sets import write_voc


def samples_of(images, dtype=torch.float32):
    """Make data samples as VOC's test pipeline does; crowds stand for difficult."""
    samples = []
    for image_id, (objects, detections) in enumerate(images):

        def corners(entries):
            boxes = torch.tensor([e[1] for e in entries], dtype=dtype).reshape(-1, 4)
            boxes[:, 2:] += boxes[:, :2]
            return boxes

        def labels(entries):
            return torch.tensor([e[0] for e in entries], dtype=torch.long)

        easy = [o for o in objects if not o[2]]
        hard = [o for o in objects if o[2]]
        samples.append(
            dict(
                img_id=f"{image_id:06d}",
                ori_shape=(48, 64),
                gt_instances=dict(bboxes=corners(easy), labels=labels(easy)),
                ignored_instances=dict(bboxes=corners(hard), labels=labels(hard)),
                pred_instances=dict(
                    bboxes=corners(detections),
                    labels=labels(detections),
                    scores=torch.tensor([d[2] for d in detections], dtype=dtype),
                ),
            )
        )
    return samples


def without_ties(images, seed=0):
    """Give every detection a score of its own: mmdet orders equal ones at random."""
    number = sum(len(detections) for _, detections in images)
    scores = iter(np.random.default_rng(seed).permutation(number) / max(number, 1))
    return [(o, [(c, b, float(next(scores))) for c, b, _ in d]) for o, d in images]


def run_metric(metric, samples, classes=CLASSES):
    metric.dataset_meta = dict(classes=classes)
    metric.process({}, samples)
    return metric.evaluate(size=len(samples))


def mmdet_inputs(samples, num_classes=3):
    truths, found = [], []
    for sample in samples:
        gt, ignored = sample["gt_instances"], sample["ignored_instances"]
        truths.append(
            dict(
                bboxes=gt["bboxes"].numpy(),
                labels=gt["labels"].numpy(),
                bboxes_ignore=ignored["bboxes"].numpy(),
                labels_ignore=ignored["labels"].numpy(),
            )
        )
        pred = {k: v.numpy() for k, v in sample["pred_instances"].items()}
        both = np.hstack([pred["bboxes"], pred["scores"][:, None]])
        found.append([both[pred["labels"] == c] for c in range(num_classes)])
    return truths, found


@pytest.mark.parametrize("eval_mode", ["11points", "area"])
@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_equals_mmdet(seed, legacy, eval_mode):
    samples = samples_of(without_ties(random_images(seed, num_images=30)))
    truths, found = mmdet_inputs(samples)
    mean, by_class = eval_map(
        found,
        truths,
        iou_thr=0.5,
        dataset=CLASSES,
        logger="silent",
        use_legacy_coordinate=legacy,
        eval_mode=eval_mode,
        nproc=1,
    )
    predictions = [
        dict(img_id=s["img_id"], **{k: v.numpy() for k, v in p.items()})
        for s in samples
        for p in [s["pred_instances"]]
    ]
    ours = evaluate_voc(
        CLASSES,
        truths,
        predictions,
        eval_mode=eval_mode,
        use_legacy_coordinate=legacy,
    )
    # mmdet's precision is of single precision.
    assert ours.summary["mAP"] == pytest.approx(mean, abs=1e-6)
    for label, theirs in enumerate(by_class):
        assert ours.ap[label] == pytest.approx(float(theirs["ap"]), abs=1e-6)
        assert ours.recall[label] == pytest.approx(theirs["recall"].max(), abs=1e-6)
        assert ours.object_count[label] == theirs["num_gts"]
        assert ours.detection_count[label] == theirs["num_dets"]


def slow_voc(images, label, threshold, eval_mode):
    """AP of one class in plain loops, written from the rules; None without object."""

    def overlap(a, b):
        w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]) + 1
        h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]) + 1
        shared = max(w, 0) * max(h, 0)
        areas = [(box[2] + 1) * (box[3] + 1) for box in (a, b)]
        return shared / (sum(areas) - shared)

    judged, total = [], 0
    for objects, detections in images:
        own = [o for o in objects if o[0] == label]
        # Difficult boxes stand behind the others, and the first of equals wins.
        own.sort(key=lambda o: o[2])
        total += sum(not o[2] for o in own)
        taken = set()
        ranked = sorted((d for d in detections if d[0] == label), key=lambda d: -d[2])
        for _, box, score in ranked:
            overlaps = [overlap(box, o[1]) for o in own]
            best = int(np.argmax(overlaps)) if own else None
            if best is None or overlaps[best] < threshold:
                judged.append((score, 0))
            elif not own[best][2]:
                judged.append((score, int(best not in taken)))
                taken.add(best)
    if not total:
        return None
    judged.sort(key=lambda pair: -pair[0])
    points, right = [], 0
    for rank, (_, is_right) in enumerate(judged, 1):
        right += is_right
        points.append((right / total, right / rank))
    if eval_mode == "11points":
        levels = np.arange(0, 1.001, 0.1)
        best = [max((p for r, p in points if r >= x), default=0) for x in levels]
        return sum(best) / 11
    area, last = 0.0, 0.0
    for recall, _ in points:
        area += (recall - last) * max(p for r, p in points if r >= recall)
        last = recall
    return area


box = st.sampled_from(
    [(0.0, 0.0, 10.0, 10.0), (2.0, 0.0, 10.0, 10.0), (0.0, 0.0, 9.0, 30.0)]
)
image = st.tuples(
    st.lists(st.tuples(st.integers(0, 2), box, st.booleans()), max_size=4),
    st.lists(
        st.tuples(st.integers(0, 2), box, st.sampled_from([0.1, 0.5, 0.7, 0.9])),
        max_size=6,
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(image, min_size=1, max_size=4), st.sampled_from(["11points", "area"]))
def test_equals_the_slow_reference(images, eval_mode):
    metric = VOCMetric(eval_mode=eval_mode, iou_thrs=[0.5, 0.75])
    figures = run_metric(metric, samples_of(images))
    means = []
    for threshold in (0.5, 0.75):
        values = [slow_voc(images, c, threshold, eval_mode) for c in range(3)]
        known = [value for value in values if value is not None]
        means.append(sum(known) / len(known) if known else 0.0)
        key = f"pascal_voc/AP{round(threshold * 100)}"
        assert figures[key] == pytest.approx(means[-1], abs=1e-9)
    assert figures["pascal_voc/mAP"] == pytest.approx(np.mean(means), abs=1e-9)


@pytest.mark.parametrize("eval_mode", ["11points", "area"])
def test_equal_scores_keep_their_order(eval_mode):
    rng = np.random.default_rng(3)
    objects = [(0, (12.0 * i, 0.0, 9.0, 9.0), False) for i in range(30)]
    images = []
    for _ in range(2):
        places = rng.integers(60, size=600)
        scores = rng.integers(1, 4, size=600) / 4
        found = [
            (0, (12.0 * p, 0.0, 9.0, 9.0), float(s))
            for p, s in zip(places, scores, strict=True)
        ]
        images.append((objects, found))
    figures = run_metric(VOCMetric(eval_mode=eval_mode), samples_of(images))
    expected = slow_voc(images, 0, 0.5, eval_mode)
    assert figures["pascal_voc/mAP"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "config",
    [
        dict(),
        dict(eval_mode="area"),
        dict(iou_thrs=[0.5, 0.75]),
    ],
)
def test_keys_and_figures_are_those_of_mmdet(config):
    samples = samples_of(without_ties(random_images(5)))
    theirs = run_metric(MMDetVOCMetric(**config), samples)
    ours = run_metric(VOCMetric(**config), samples)
    assert list(ours) == list(theirs)
    for key, value in theirs.items():
        assert ours[key] == pytest.approx(value, abs=5.001e-4), key


def test_recall_of_proposals():
    objects = [(0, (0.0, 0.0, 9.0, 9.0), False), (1, (20.0, 0.0, 9.0, 9.0), False)]
    found = [(0, (40.0, 0.0, 9.0, 9.0), 0.9), (0, (20.0, 0.0, 9.0, 9.0), 0.8)]
    found += [(0, (0.0, 0.0, 9.0, 5.0), 0.7)]  # overlap 10 x 6 of 10 x 10
    metric = VOCMetric(metric="recall", iou_thrs=[0.5, 0.7], proposal_nums=(1, 2, 9))
    assert run_metric(metric, samples_of([(objects, found), ([], [])])) == {
        "pascal_voc/recall@1@0.5": 0,
        "pascal_voc/recall@1@0.7": 0,
        "pascal_voc/recall@2@0.5": 0.5,
        "pascal_voc/recall@2@0.7": 0.5,
        "pascal_voc/recall@9@0.5": 1,
        "pascal_voc/recall@9@0.7": 0.5,
        "pascal_voc/AR@1": 0,
        "pascal_voc/AR@2": 0.5,
        "pascal_voc/AR@9": 0.75,
    }


def test_groups_and_tables(tmp_path):
    images = random_images(7, num_images=30)
    stats = ClassStats(CLASSES, [3, 40, 500], [3, 40, 500], 600)
    metric = METRICS.build(
        dict(
            type="imb_det.VOCMetric",
            eval_mode="area",
            class_stats=stats,
            table_dir=tmp_path,
        )
    )
    figures = run_metric(metric, samples_of(images))
    for letter, label in zip("rcf", range(3), strict=True):
        expected = slow_voc(images, label, 0.5, "area")
        assert figures[f"pascal_voc/AP{letter}"] == pytest.approx(expected, abs=1e-9)
    assert (tmp_path / "pascal_voc_bbox_classes.csv").is_file()


def test_scale_ranges_count_boxes_of_the_size():
    objects = [(0, (0.0, 0.0, 7.0, 7.0), False), (0, (20.0, 0.0, 31.0, 31.0), False)]
    images = [(objects, [(0, (0.0, 0.0, 7.0, 7.0), 0.9)])]
    metric = VOCMetric(eval_mode="area", scale_ranges=[(0, 16), (16, 96)])
    figures = run_metric(metric, samples_of(images))
    assert figures["pascal_voc/AP50"] == pytest.approx(0.5)
    assert figures["pascal_voc/AP50_0_16"] == pytest.approx(1)
    assert figures["pascal_voc/AP50_16_96"] == 0


def test_ground_truth_of_the_data_set_will_do():
    images = random_images(9)
    samples = samples_of(images)
    expected = run_metric(VOCMetric(), samples)
    for sample, (objects, _) in zip(samples, images, strict=True):
        del sample["gt_instances"], sample["ignored_instances"]
        sample["instances"] = [
            dict(bbox=[x, y, x + w, y + h], bbox_label=c, ignore_flag=int(hard))
            for c, (x, y, w, h), hard in objects
        ]
    assert run_metric(VOCMetric(), samples) == expected
    del samples[2]["instances"]
    with pytest.raises(ValueError, match="image '000002' has no ground truth"):
        run_metric(VOCMetric(), samples)


def test_bad_predictions_name_the_image():
    samples = samples_of(random_images(9))
    samples[4]["pred_instances"]["scores"] = torch.full_like(
        samples[4]["pred_instances"]["scores"], torch.nan
    )
    with pytest.raises(ValueError, match=r"image '000004': `scores` of detection 0"):
        run_metric(VOCMetric(), samples)


@pytest.mark.parametrize(
    "lacking", [["ori_shape"], ["img_id"], ["img_id", "ori_shape"]]
)
def test_needs_no_more_than_mmdets(lacking):
    """A pipeline may pack neither size nor id: `meta_keys` of `PackDetInputs`."""
    samples = samples_of(without_ties(random_images(5)))
    whole = run_metric(VOCMetric(), samples)
    for number, sample in enumerate(samples):
        sample["img_path"] = f"{number:03d}.jpg"
        for key in lacking:
            del sample[key]
    theirs = run_metric(MMDetVOCMetric(), samples)
    ours = run_metric(VOCMetric(), samples)
    assert ours == whole
    for key, value in theirs.items():
        assert ours[key] == pytest.approx(value, abs=5.001e-4), key


def test_images_without_any_name_keep_their_order():
    samples = samples_of(random_images(5))
    expected = run_metric(VOCMetric(), samples)
    for sample in samples:
        del sample["img_id"]
    assert run_metric(VOCMetric(), samples) == expected


LOAD = dict(type="LoadAnnotations", with_bbox=True)
PACK = dict(type="PackDetInputs")


@pytest.mark.parametrize(
    ("steps", "is_found"),
    [
        ([LOAD, PACK], False),
        ([PACK], True),
        ([dict(type="LoadEmptyAnnotations"), PACK], True),
        ([dict(LOAD, with_bbox=False), PACK], True),
        ([dict(LOAD, with_label=False), PACK], True),
        ([dict(type="PackDetInputs", meta_keys=("img_id", "instances"))], False),
        (
            [dict(type="imb_det.WithProcess"), PACK],
            False,
        ),  # of one's own: may load them
        ([], False),
    ],
)
def test_a_pipeline_without_ground_truth_is_found_at_the_start(
    tmp_path, steps, is_found
):
    init_default_scope("mmdet")
    objects = [[("cat", (1, 1, 9, 9))]]
    dataset = DATASETS.build(
        dict(
            write_voc(tmp_path, objects),
            type="imb_det.VOCDataset",
            metainfo=dict(classes=CLASSES),
            pipeline=[dict(type="LoadImageFromFile"), *steps],
            test_mode=True,
        )
    )
    metric = VOCMetric()
    context = CheckContext(
        datasets=dict(val=dataset, test=dataset), metrics=dict(val=[metric], test=[])
    )
    found = list(metric.findings(context))
    assert [f.code for f in found] == ["no_ground_truth"] * is_found
    for finding in found:
        assert finding.where == f"`val_dataloader`, {tmp_path}/list.txt"
        assert "dict(type='LoadAnnotations', with_bbox=True)" in finding.remedy
    if not is_found or steps[0] is not PACK:
        return
    sample = dataset[0]["data_samples"].to_dict()
    sample["pred_instances"] = samples_of([([], [])])[0]["pred_instances"]
    with pytest.raises(ValueError, match=r"image 'a' has no ground truth.*LoadAnnotat"):
        metric.process({}, [sample])
