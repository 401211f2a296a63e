"""Parity with the originals on photographs: crowds, empty classes, difficult boxes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.evaluation import VOCMetric as MMDetVOCMetric
from mmdet.evaluation.functional import eval_map
from mmengine.registry import DATASETS, init_default_scope
from pycocotools import mask as mask_utils

from imb_det.evaluation import GroundTruth, VOCMetric, evaluate_coco
from tests.coco_scenes import pycocotools_eval
from tests.test_evaluation.test_voc_metric import mmdet_inputs, run_metric

DATA = Path(__file__).parents[2] / "data"


def there(*parts):
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"data/{'/'.join(parts)} is not here")
    return path


def drawn_results(content, seed):
    """Detections near most objects and elsewhere, with masks of their boxes."""
    rng = np.random.default_rng(seed)
    categories = [category["id"] for category in content["categories"]]
    results = []
    for image in content["images"]:
        own = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        boxes = [(a["category_id"], a["bbox"]) for a in own if rng.random() < 0.8]
        boxes += [(int(rng.choice(categories)), a["bbox"]) for a in own]
        for category, (x, y, w, h) in boxes:
            shift, grow = rng.normal(0, 0.06, 2), np.exp(rng.normal(0, 0.06, 2))
            x, y = np.maximum([x + shift[0] * w, y + shift[1] * h], 0)
            w, h = w * grow[0], h * grow[1]
            polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
            rle = mask_utils.frPyObjects([polygon], image["height"], image["width"])[0]
            results.append(
                dict(
                    image_id=image["id"],
                    category_id=category,
                    bbox=[float(v) for v in (x, y, w, h)],
                    segmentation={**rle, "counts": rle["counts"].decode()},
                    score=round(float(rng.random()), 2),
                )
            )
    return results


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@pytest.mark.parametrize("split", ["train2017", "val2017"])
def test_tiny_coco_equals_pycocotools(split, iou_type):
    path = there("tiny_coco", "annotations", f"instances_{split}.json")
    content = json.loads(path.read_text())
    results = drawn_results(content, 0)
    labels = {c["id"]: i for i, c in enumerate(content["categories"])}
    predictions = []
    for image in content["images"]:
        own = [r for r in results if r["image_id"] == image["id"]]
        boxes = np.array([r["bbox"] for r in own], float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        predictions.append(
            dict(
                img_id=image["id"],
                bboxes=boxes,
                scores=np.array([r["score"] for r in own]),
                labels=np.array([labels[r["category_id"]] for r in own], int),
                masks=[r["segmentation"] for r in own],
            )
        )
    truth = GroundTruth.from_coco(path)
    ours = evaluate_coco(truth, predictions, iou_type, max_dets=(1, 10, 100))
    if iou_type == "segm":  # pycocotools would size masks by the boxes
        results = [{k: v for k, v in r.items() if k != "bbox"} for r in results]
    oracle = pycocotools_eval(content, results, iou_type, (1, 10, 100))
    figures = np.nan_to_num(list(ours.summary.values()), nan=-1)
    np.testing.assert_allclose(figures, oracle.stats, rtol=0, atol=1e-9)
    assert 0.05 < ours.summary["mAP"] < 0.9
    assert any(annotation["iscrowd"] for annotation in truth.annotations)
    assert (truth.object_count == 0).any()


def voc_samples(config, detections_of, seed=0):
    """Samples of a VOC data set, with detections from a function of the record."""
    init_default_scope("mmdet")
    dataset = DATASETS.build(dict(test_mode=True, **config))
    samples, difficult = [], 0
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        parts = {False: [], True: []}
        for instance in info["instances"]:
            parts[bool(instance["ignore_flag"])].append(instance)
        difficult += len(parts[True])

        def tensors(instances):
            boxes = torch.tensor([i["bbox"] for i in instances], dtype=torch.float32)
            labels = torch.tensor([i["bbox_label"] for i in instances]).long()
            return dict(bboxes=boxes.reshape(-1, 4), labels=labels)

        boxes, labels = detections_of(info)
        samples.append(
            dict(
                img_id=info["img_id"],
                ori_shape=(info["height"], info["width"]),
                gt_instances=tensors(parts[False]),
                ignored_instances=tensors(parts[True]),
                pred_instances=dict(
                    bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
                    labels=torch.tensor(labels).long(),
                ),
            )
        )
    # Scores of their own: mmdet leaves the order of equal ones to chance.
    total = sum(len(s["pred_instances"]["labels"]) for s in samples)
    order = torch.randperm(total, generator=torch.Generator().manual_seed(seed))
    for sample in samples:
        found = sample["pred_instances"]
        number = len(found["labels"])
        found["scores"], order = (order[:number] + 1) / total, order[number:]
    return dataset.metainfo["classes"], samples, difficult


def assert_as_mmdet(classes, samples):
    for eval_mode in ("11points", "area"):
        options = dict(eval_mode=eval_mode, iou_thrs=[0.5, 0.75])
        theirs = run_metric(MMDetVOCMetric(**options), samples, classes)
        ours = run_metric(VOCMetric(**options), samples, classes)
        assert list(theirs) == list(ours)
        for key in ("pascal_voc/AP50", "pascal_voc/AP75"):
            assert round(ours[key], 3) == theirs[key]
        truths, found = mmdet_inputs(samples, len(classes))
        for threshold in (0.5, 0.75):
            mean, _ = eval_map(
                found,
                truths,
                iou_thr=threshold,
                dataset=classes,
                logger="silent",
                eval_mode=eval_mode,
                use_legacy_coordinate=True,
            )
            # Precision is a float32 there.
            key = f"pascal_voc/AP{threshold * 100:.0f}"
            assert ours[key] == pytest.approx(mean, abs=1e-6)
        assert 0.05 < ours["pascal_voc/mAP"] < 0.95


def test_voc_with_difficult_boxes_equals_mmdet(tmp_path):
    root = there("voc100", "Annotations").parent
    names = sorted(path.stem for path in (root / "Annotations").glob("*.xml"))
    (tmp_path / "list.txt").write_text("\n".join(names))
    (file,) = (root / "detections_coco").glob("*.json")
    content = json.loads(file.read_text())
    classes = tuple((root / "voc.names").read_text().split())
    label = {c["id"]: classes.index(c["name"]) for c in content["categories"]}
    name = {image["id"]: Path(image["file_name"]).stem for image in content["images"]}
    found = {}
    for entry in content["annotations"]:
        x, y, w, h = entry["bbox"]
        own = found.setdefault(name[entry["image_id"]], ([], []))
        own[0].append((x, y, x + w, y + h))
        own[1].append(label[entry["category_id"]])
    config = dict(
        type="VOCDataset",
        ann_file=str(tmp_path / "list.txt"),
        data_root=str(root),
        data_prefix=dict(sub_data_root=""),
        metainfo=dict(classes=classes),
    )
    classes, samples, difficult = voc_samples(
        config, lambda info: found.get(info["img_id"], ([], []))
    )
    assert difficult > 20
    assert_as_mmdet(classes, samples)


def test_bccd_equals_mmdet():
    root = there("bccd", "Annotations").parent
    rng = np.random.default_rng(0)

    def near(info):
        boxes = np.array([i["bbox"] for i in info["instances"]], float).reshape(-1, 4)
        labels = np.array([i["bbox_label"] for i in info["instances"]], int)
        boxes += rng.normal(0, 9, boxes.shape)
        extra = rng.uniform(0, 300, (5, 2))
        boxes = np.vstack([boxes, np.hstack([extra, extra + 80])])
        return boxes.tolist(), [*labels.tolist(), *rng.integers(0, 3, 5).tolist()]

    config = dict(
        type="VOCDataset",
        ann_file="ImageSets/Main/test.txt",
        data_root=str(root),
        data_prefix=dict(sub_data_root=""),
        metainfo=dict(classes=("RBC", "WBC", "Platelets")),
    )
    classes, samples, _ = voc_samples(config, near)
    assert_as_mmdet(classes, samples)
