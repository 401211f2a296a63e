"""Small sound data sets in each form, and the configs of trainings on them.

A test spoils the content, the files or the config, and looks which finding names it.
"""

import json
from collections import Counter

import numpy as np
from mmengine.config import Config
from PIL import Image

from imb_det.core.finding import Severity
from imb_det.doctor.examination import examine
from tests.tiny_sets import voc_xml

CLASSES = ("cat", "dog")
SIZE = (40, 30)
#: What sets of LVIS take off the address of an image.
ADDRESS = "http://images.cocodataset.org/"
SETS = {
    "coco": "imb_det.CocoDataset",
    "mmdet_coco": "mmdet.CocoDataset",
    "lvis": "mmdet.LVISV1Dataset",
    "voc": "imb_det.VOCDataset",
    "mmdet_voc": "mmdet.VOCDataset",
}
#: Splits with the number of their images, and where their numbers begin.
SPLITS = {"train": (14, 0), "val": (6, 100)}
#: There is no model in these configs, which is told each time.
WITHOUT_MODEL = "nothing_to_train"


def outline(x, y, w, h):
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


def sound_content(split, form="coco"):
    """Return a COCO or LVIS file: in each image one object of each class."""
    number, start = SPLITS[split]
    images, annotations = [], []
    for image in range(start + 1, start + number + 1):
        name = f"{split}_{image}.png"
        images.append(
            dict(
                id=image,
                file_name=name,
                width=SIZE[0],
                height=SIZE[1],
            )
        )
        for category in range(1, len(CLASSES) + 1):
            bbox = [2 + 5 * category, 3, 12 + image % 5, 14]
            annotations.append(
                dict(
                    id=2 * start + len(annotations) + 1,
                    image_id=image,
                    category_id=category,
                    bbox=bbox,
                    area=bbox[2] * bbox[3],
                    iscrowd=0,
                    segmentation=outline(*bbox),
                )
            )
    categories = [dict(id=i, name=name) for i, name in enumerate(CLASSES, 1)]
    if form == "lvis":
        for category in categories:
            category.update(image_count=number, frequency="c")
        for entry in images:
            entry.update(neg_category_ids=[], not_exhaustive_category_ids=[])
            entry["coco_url"] = f"{ADDRESS}{split}/{entry['file_name']}"
    return dict(images=images, annotations=annotations, categories=categories)


class PlantedSet:
    """Files of a training and a validation, and their config.

    Args:
        root: Folder that gets them.
        form: Key of :data:`SETS`.
    """

    def __init__(self, root, form="coco"):
        self.root, self.form = root, form
        self.files = {split: sound_content(split, form) for split in SPLITS}
        for split, (number, start) in SPLITS.items():
            for image in range(start + 1, start + number + 1):
                self.draw(split, image)
        self.config = Config(
            dict(
                default_scope="mmdet",
                custom_imports=dict(imports=["imb_det"]),
                **{f"{split}_dataloader": self._loader(split) for split in SPLITS},
                val_evaluator=self.judged_by("val"),
                val_cfg=dict(type="ValLoop"),
            )
        )

    @property
    def is_voc(self):
        return self.form.endswith("voc")

    @property
    def images(self):
        return self.root / ("JPEGImages" if self.is_voc else "images")

    def image(self, split="train", number=1):
        """Return the path of an image, counted from 1."""
        suffix = "jpg" if self.is_voc else "png"
        return self.images / split / f"{split}_{SPLITS[split][1] + number}.{suffix}"

    def draw(self, split, image, size=SIZE, **options):
        """Write an image whose noise depends on its number."""
        path = self.image(split, image - SPLITS[split][1])
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(image)
        coarse = rng.integers(0, 256, (5, 5, 3), np.uint8)
        Image.fromarray(coarse).resize(size).save(path, **options)
        return path

    def annotation(self, split="train", place=0):
        return self.files[split]["annotations"][place]

    def _loader(self, split):
        dataset = dict(
            type=SETS[self.form],
            data_root=str(self.root),
            metainfo=dict(classes=CLASSES),
            test_mode=split == "val",
            serialize_data=False,  # which collects garbage, and takes most of the time
            pipeline=[
                dict(type="LoadImageFromFile"),
                dict(type="LoadAnnotations", with_bbox=True),
                dict(type="Resize", scale=SIZE, keep_ratio=True),
                dict(type="PackDetInputs"),
            ],
        )
        if self.is_voc:
            dataset.update(ann_file=f"{split}.txt", data_prefix=dict(sub_data_root=""))
        else:
            prefix = "" if self.form == "lvis" else split + "/"
            prefix = f"images/{prefix}"
            dataset.update(ann_file=f"{split}.json", data_prefix=dict(img=prefix))
        sampler = dict(type="DefaultSampler", shuffle=split == "train")
        return dict(batch_size=1, num_workers=0, sampler=sampler, dataset=dataset)

    def judged_by(self, split):
        """Return the config of a metric that reads the file of a split."""
        path = str(self.root / f"{split}.json")
        return {
            "coco": dict(type="imb_det.CocoMetric", ann_file=path, metric="bbox"),
            "mmdet_coco": dict(type="CocoMetric", ann_file=path, metric="bbox"),
            "lvis": dict(type="LVISMetric", ann_file=path, metric="bbox"),
        }.get(self.form, dict(type="VOCMetric"))

    def dataset(self, split="train"):
        """Return the config of a data set, to change it."""
        return self.config[f"{split}_dataloader"].dataset

    def write(self):
        """Write the annotations as they are now."""
        for split, content in self.files.items():
            if self.is_voc:
                self._write_voc(split, content)
            else:
                (self.root / f"{split}.json").write_text(json.dumps(content))

    def _write_voc(self, split, content):
        names = {c["id"]: c["name"] for c in content["categories"]}
        lines = []
        for image in content["images"]:
            stem = image["file_name"].rpartition(".")[0]
            objects = []
            for annotation in content["annotations"]:
                if annotation["image_id"] == image["id"]:
                    x, y, w, h = annotation["bbox"]
                    # VOC counts from 1.
                    box = (x + 1, y + 1, x + w + 1, y + h + 1)
                    objects.append((names[annotation["category_id"]], box))
            path = self.root / "Annotations" / split / f"{stem}.xml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(voc_xml(objects, (image["width"], image["height"])))
            lines.append(f"{split}/{stem}\n")
        (self.root / f"{split}.txt").write_text("".join(lines))

    def xml(self, split="train", number=1):
        """Return the path of an annotation file of VOC, images counted from 1."""
        stem = f"{split}_{SPLITS[split][1] + number}"
        return self.root / "Annotations" / split / f"{stem}.xml"

    def found(self, **options):
        """Examine the config; return all findings but that there is no model."""
        _, findings = examine(self.config, "planted.py", **options)
        return [finding for finding in findings if finding.code != WITHOUT_MODEL]


def bad(findings):
    """Return how many findings there are of each code, of those that are no INFO."""
    return Counter(f.code for f in findings if f.severity is not Severity.INFO)
