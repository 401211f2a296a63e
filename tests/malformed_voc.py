"""A small folder of PASCAL VOC that can be spoiled, and everything that reads it."""

import json
from unittest.mock import patch

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, METRICS, init_default_scope

from imb_det.checks import ALL_CHECKS, run_checks
from imb_det.core import CheckContext
from imb_det.core.finding import raise_findings
from imb_det.evaluation.config_rules import ground_truth_for, make_evaluator
from imb_det.evaluation.offline import training_stats
from imb_det.samplers import RepeatFactorSampler
from imb_det.statistics import ClassStats
from imb_det.statistics.dataset_access import iter_data_infos
from tests.tiny_sets import voc_xml, write_image

CLASSES = ("cat", "dog")
META = dict(classes=CLASSES)
CAT, DOG = ("cat", (1, 1, 11, 11)), ("dog", (5, 5, 20, 20))
DIFFICULT = ("dog", (10, 10, 30, 25), "<difficult>1</difficult>")
#: Two cats, a dog and a difficult dog, on two images of 40 x 30 pixels.
SOUND = {"a": [CAT, DOG], "b": [CAT, DIFFICULT]}
COUNTS = [2, 1]


class Folder:
    """Where the parts of a data set lie."""

    def __init__(self, root):
        self.root = root
        self.list = root / "ImageSets" / "Main" / "trainval.txt"

    def xml(self, name="a"):
        return self.root / "Annotations" / f"{name}.xml"

    def image(self, name="a"):
        return self.root / "JPEGImages" / f"{name}.jpg"

    def write_xml(self, *objects, size=(40, 30), name="a"):
        self.xml(name).parent.mkdir(parents=True, exist_ok=True)
        self.xml(name).write_text(voc_xml(objects, size))


def write(root, spoil):
    """Write a sound folder, then spoil it."""
    folder = Folder(root)
    for seed, (name, objects) in enumerate(SOUND.items()):
        folder.write_xml(*objects, name=name)
        write_image(folder.image(name), seed=seed)
    folder.list.parent.mkdir(parents=True)
    folder.list.write_text("a\nb\n")
    spoil(folder)
    return folder


def readers(root):
    """Return everything that reads a folder, by its name.

    Each returns the number of objects of each class that are no difficult ones.

    Returns:
        Those that tell what they leave out, and the others.
    """
    init_default_scope("mmdet")
    dataset = dict(
        type="imb_det.VOCDataset",
        data_root=str(root),
        ann_file="ImageSets/Main/trainval.txt",
        data_prefix=dict(sub_data_root=""),
        metainfo=META,
        pipeline=[dict(type="LoadAnnotations", with_bbox=True)],
        serialize_data=False,
    )
    config = Config(
        dict(
            default_scope="mmdet",
            train_dataloader=dict(dataset=dataset),
            test_dataloader=dict(dataset=dict(dataset, test_mode=True)),
            test_evaluator=dict(type="imb_det.VOCMetric"),
        )
    )

    def built(part="train"):
        return DATASETS.build(config[f"{part}_dataloader"].dataset)

    def data_set():
        own = built()
        instances = [i for info in iter_data_infos(own) for i in info["instances"]]
        labels = [i["bbox_label"] for i in instances if not i["ignore_flag"]]
        return [labels.count(0), labels.count(1)], own.audit.summary()

    def checks():
        own = built()
        context = CheckContext(datasets=dict(train=own))
        raise_findings(run_checks(context, ALL_CHECKS))
        return ClassStats.from_dataset(own).instance_count.tolist()

    def sampler():
        own = built()
        table = RepeatFactorSampler(own, repeat_thr=0.5, seed=0).table
        return table.instances_of().tolist(), own.audit.summary()

    def file():
        return ClassStats.from_voc(root, classes=CLASSES).instance_count.tolist()

    def tool_for_counts():
        with patch("imb_det.evaluation.offline.print_log") as told:
            stats = training_stats(config)
        if stats is None:  # a training set that is not here is no error for a test
            raise ValueError(told.call_args.args[0])
        return stats.instance_count.tolist()

    def metric():
        own = built("test")
        judge = METRICS.build(dict(type="imb_det.VOCMetric", table_dir=str(root)))
        judge.dataset_meta = own.metainfo
        for index in range(len(own)):
            judge.process({}, [nothing_found(own[index])])
        judge.evaluate(len(own))
        table = json.loads((root / "pascal_voc_bbox_classes.json").read_text())
        rows = {row["class"]: row["boxes"] for row in table["classes"]}
        return [rows[name] for name in CLASSES]

    def tool_for_results():
        own = built("test")
        truth = ground_truth_for(
            make_evaluator(config), own, list(iter_data_infos(own))
        )
        return truth.object_count.tolist()

    telling = [data_set, checks, sampler]
    others = [file, tool_for_counts, metric, tool_for_results]
    return {reader.__name__: naming(reader) for reader in telling}, {
        reader.__name__: naming(reader) for reader in others
    }


def naming(reader):
    """Take errors that the file system names for errors of the reader."""

    def read():
        try:
            return reader()
        except OSError as error:
            raise ValueError(str(error)) from error

    return read


def nothing_found(results):
    """Pack what a pipeline has loaded, with no prediction."""
    ignored = torch.as_tensor(results["gt_ignore_flags"], dtype=torch.bool)
    boxes = results["gt_bboxes"].tensor
    labels = torch.as_tensor(results["gt_bboxes_labels"])
    found = dict(
        bboxes=torch.zeros(0, 4),
        scores=torch.zeros(0),
        labels=torch.zeros(0, dtype=torch.long),
    )
    return dict(
        img_id=results["img_id"],
        gt_instances=dict(bboxes=boxes[~ignored], labels=labels[~ignored]),
        ignored_instances=dict(bboxes=boxes[ignored], labels=labels[ignored]),
        pred_instances=found,
    )
