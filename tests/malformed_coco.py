"""Small files of COCO and LVIS that can be spoiled, and everything that reads them."""

import json
from types import SimpleNamespace

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, METRICS, init_default_scope

from imb_det.analysis.comparison_inputs import RULES, read_test_set
from imb_det.checks import check_annotation_files, check_metric_needs, run_checks
from imb_det.core import CheckContext
from imb_det.core.finding import raise_findings
from imb_det.datasets.unread_files import explain_failures
from imb_det.evaluation.functional import Detections
from imb_det.evaluation.offline import score_file
from imb_det.samplers import RepeatFactorSampler
from imb_det.statistics import ClassStats

CLASSES = ("cat", "dog")
WIDTH, HEIGHT = 40, 30
META = dict(classes=CLASSES)


def outline(x, y, w, h):
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


def sound_content(kind="coco"):
    """Two cats, two dogs and a crowd of cats on two images; ids are unlike places."""
    boxes = [
        (11, 1, (1, 1, 9, 9)),
        (11, 2, (10, 5, 20, 20)),
        (12, 1, (2, 2, 12, 12)),
        (12, 2, (5, 5, 8, 8)),
        (12, 1, (20, 15, 15, 10)),
    ]
    images = [
        dict(id=i, file_name=f"{i}.jpg", width=WIDTH, height=HEIGHT) for i in (11, 12)
    ]
    annotations = [
        dict(
            id=101 + i,
            image_id=image,
            category_id=category,
            bbox=list(box),
            area=box[2] * box[3],
            iscrowd=0,
            segmentation=outline(*box),
        )
        for i, (image, category, box) in enumerate(boxes)
    ]
    categories = [dict(id=i, name=name) for i, name in enumerate(CLASSES, 1)]
    annotations[4]["iscrowd"] = 1
    if kind == "lvis":
        annotations.pop()
        for image in images:
            image["coco_url"] = f"http://images.cocodataset.org/{image['file_name']}"
            image |= dict(neg_category_ids=[], not_exhaustive_category_ids=[])
        for category in categories:
            category["frequency"] = "r"
    return dict(images=images, annotations=annotations, categories=categories)


def write(path, spoil, kind):
    """Write the file, spoiled; a spoiler may also return the bytes of the file."""
    content = sound_content(kind)
    returned = spoil(content)
    if not isinstance(returned, bytes):
        returned = json.dumps(content).encode()
    path.write_bytes(returned)
    return path


def readers(path, images, kind="coco", with_masks=False):
    """Return everything that reads a file, by its name.

    Args:
        path: The file.
        images: Folder of the images 11.jpg and 12.jpg.
        kind: ``coco`` or ``lvis``.
        with_masks: Whether the pipeline and the metric use masks.

    Returns:
        Those that count what is trained on, and those that count what is judged.
    """
    init_default_scope("mmdet")
    step = dict(type="LoadAnnotations", with_bbox=True, with_mask=with_masks)
    of_mmdet = "CocoDataset" if kind == "coco" else "LVISV1Dataset"
    judge = "CocoMetric" if kind == "coco" else "LVISMetric"
    dataset = dict(
        type=f"mmdet.{of_mmdet}",
        ann_file=str(path),
        data_prefix=dict(img=str(images)),
        metainfo=META,
        pipeline=[step],
        serialize_data=False,
    )
    iou_type = "segm" if with_masks else "bbox"
    evaluator = dict(type=f"imb_det.{judge}", ann_file=str(path), metric=iou_type)
    stem = f"{judge[:4].lower()}_{iou_type}_classes.json"

    def data_set():
        built = DATASETS.build({**dataset, "type": "imb_det.CocoDataset"})
        return counts_of(built), built.audit.summary()

    def sampler():
        built = DATASETS.build({**dataset, "type": "imb_det.CocoDataset"})
        sees = RepeatFactorSampler(built, repeat_thr=0.5).table.instances_of()
        return sees.tolist(), built.audit.summary()

    def counts():
        stats = ClassStats.from_file(path, CLASSES, with_masks=with_masks)
        return stats.instance_count.tolist()

    def data_set_of_mmdet():
        config = Config(dict(train_dataloader=dict(dataset=dataset)))
        with explain_failures(config):
            built = DATASETS.build(dataset)
            context = CheckContext(datasets=dict(train=built))
            raise_findings(run_checks(context, [check_annotation_files]))
        return counts_of(built)

    def metric():
        judges = METRICS.build({**evaluator, "table_dir": str(path.parent)})
        judges.dataset_meta = META
        context = CheckContext(metrics=dict(val=[judges]))
        raise_findings(run_checks(context, [check_metric_needs]))
        ids = [image["id"] for image in judges.file.images]
        judges.process({}, [nothing_found(image_id) for image_id in ids])
        judges.evaluate(2)
        return judged_in(path.parent / stem)

    def tool_for_results():
        work_dir = path.parent / "work"
        results = path.parent / "results.json"
        results.write_text("[]")
        is_ours = dict(dataset, type="imb_det.CocoDataset", test_mode=True)
        config = Config(
            dict(
                default_scope="mmdet",
                test_dataloader=dict(dataset=is_ours if kind == "coco" else dataset),
                test_evaluator=evaluator,
                work_dir=str(work_dir),
            )
        )
        score_file(config, results)
        return judged_in(work_dir / stem)

    def tool_for_runs():
        truth, _ = read_test_set(path, classes=CLASSES, iou_type=iou_type)
        truth = truth.judged_by(iou_type)
        found = Detections.from_predictions(truth, [], iou_type)
        return RULES[kind].evaluate(truth, found).object_count.tolist()

    ours = dict(data_set=data_set, sampler=sampler) if kind == "coco" else {}
    training = ours | dict(counts=counts, data_set_of_mmdet=data_set_of_mmdet)
    judging = dict(metric=metric, eval_results=tool_for_results)
    return SimpleNamespace(
        training=training, judging=judging | dict(compare_runs=tool_for_runs)
    )


def counts_of(dataset):
    return ClassStats.from_dataset(dataset).instance_count.tolist()


def judged_in(table):
    """Objects to find of each class, as the table of a metric has them."""
    rows = {
        row["class"]: row["boxes"] for row in json.loads(table.read_text())["classes"]
    }
    return [rows[name] for name in CLASSES]


def nothing_found(image_id):
    found = dict(
        bboxes=torch.zeros(0, 4),
        scores=torch.zeros(0),
        labels=torch.zeros(0, dtype=torch.long),
        masks=torch.zeros(0, HEIGHT, WIDTH, dtype=torch.bool),
    )
    return dict(img_id=image_id, ori_shape=(HEIGHT, WIDTH), pred_instances=found)
