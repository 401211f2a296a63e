"""What is found in data sets that people use: nothing that is not true."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from mmdet.datasets import VOCDataset
from mmengine.config import Config

from imb_det.checks import ALL_CHECKS, run_checks
from imb_det.digits import DigitsOptions, make_longtail_digits
from imb_det.doctor.building import build_context
from imb_det.doctor.data_checks import DATA_CHECKS
from tests import toys
from tests.planted_sets import WITHOUT_MODEL, bad

ROOT = Path(__file__).parents[2]
PIPELINE = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=(1333, 800), keep_ratio=True),
    dict(type="PackDetInputs"),
]


def kinds(name):
    """Name the data sets of both libraries; that of this one waits for the week."""
    weekly = pytest.param(f"imb_det.{name}", marks=pytest.mark.weekly)
    return [f"mmdet.{name}", weekly]


def data(name):
    path = ROOT / "data" / name
    if not path.is_dir():
        pytest.skip(f"data/{name} is not here")
    return path


def loader(**dataset):
    return dict(
        batch_size=1,
        num_workers=0,
        sampler=dict(type="DefaultSampler", shuffle=False),
        dataset=dict(pipeline=PIPELINE, serialize_data=False, **dataset),
    )


def found_in(num_classes, train, val, metric):
    """Examine a RetinaNet of the usual anchors."""
    model = toys.retinanet_config(num_classes)
    model.neck.update(num_outs=5, add_extra_convs="on_output")
    model.bbox_head.anchor_generator.update(
        octave_base_scale=4, scales_per_octave=3, strides=[8, 16, 32, 64, 128]
    )
    config = dict(
        default_scope="mmdet",
        train_dataloader=loader(**train),
        val_dataloader=loader(test_mode=True, **val),
        val_evaluator=metric,
        val_cfg=dict(type="ValLoop"),
    )
    context, found = build_context(Config(config))
    context = replace(context, model=toys.build_model(model))
    found += run_checks(context, (*ALL_CHECKS, *DATA_CHECKS))
    return [f for f in found if f.code != WITHOUT_MODEL]


def coco(kind, ann_file, images, classes=None):
    meta = {} if classes is None else dict(metainfo=dict(classes=classes))
    prefix = dict(img=str(images))
    return dict(type=kind, ann_file=str(ann_file), data_prefix=prefix, **meta)


@pytest.mark.parametrize("kind", kinds("CocoDataset"))
def test_tiny_coco(kind):
    root = data("tiny_coco")
    files = {s: root / f"annotations/instances_{s}2017.json" for s in ("train", "val")}
    parts = [coco(kind, files[s], root / f"{s}2017") for s in files]
    metric = dict(type="CocoMetric", ann_file=str(files["val"]), metric="bbox")
    found = found_in(80, *parts, metric)
    # Fifty images of each split: ten classes of the validation are not in the training.
    assert set(bad(found)) == {"no_training_box"}, "\n".join(map(str, found))
    assert {"never_alone", "ignored_objects"} <= {f.code for f in found}


@pytest.mark.parametrize("kind", kinds("CocoDataset"))
def test_boards_lt(kind):
    root = data("boards_lt")
    config = Config.fromfile(ROOT / "configs/_base_/datasets/boards_lt.py")
    classes = config.metainfo.classes
    parts = [
        coco(kind, root / f"{s}.json", root / s, classes) for s in ("train", "val")
    ]
    metric = dict(type="CocoMetric", ann_file=str(root / "val.json"), metric="bbox")
    found = found_in(32, *parts, metric)
    assert not bad(found), "\n".join(map(str, found))
    assert {"class_balance", "measured_precision"} <= {f.code for f in found}


@pytest.mark.parametrize("kind", kinds("VOCDataset"))
def test_voc100(kind, tmp_path):
    root = data("voc100")
    names = sorted(path.stem for path in (root / "Annotations").iterdir())
    parts = []
    for split, own in (("train", names), ("val", names[::3])):
        own = own if split == "val" else [n for n in own if n not in names[::3]]
        (tmp_path / f"{split}.txt").write_text("\n".join(own))
        part = dict(
            type=kind,
            data_root=str(root),
            ann_file=str(tmp_path / f"{split}.txt"),
            data_prefix=dict(sub_data_root=""),
            metainfo=dict(classes=VOCDataset.METAINFO["classes"]),
        )
        parts.append(part)
    found = found_in(20, *parts, dict(type="VOCMetric"))
    assert not bad(found), "\n".join(map(str, found))
    assert "ignored_objects" in {f.code for f in found}


def test_bccd(bccd_root):
    parts = [
        dict(
            type="imb_det.VOCDataset",
            data_root=str(bccd_root),
            ann_file=f"ImageSets/Main/{split}.txt",
            data_prefix=dict(sub_data_root=""),
            metainfo=dict(classes=("Platelets", "RBC", "WBC")),
        )
        for split in ("trainval", "test")
    ]
    found = found_in(3, *parts, dict(type="VOCMetric"))
    assert bad(found) == {"no_area": 2}, "\n".join(map(str, found))
    (balance,) = [f for f in found if f.code == "class_balance"]
    assert "imbalance ratio 11.47" in balance.evidence


def write_cut(content, images, path):
    """Write some images of a COCO file, with their objects."""
    ids = {image["id"] for image in images}
    own = [a for a in content["annotations"] if a["image_id"] in ids]
    path.write_text(json.dumps({**content, "images": images, "annotations": own}))
    return Counter(a["category_id"] for a in own)


@pytest.mark.weekly
def test_a_balanced_cut_of_the_digits(tmp_path):
    root = tmp_path / "digits"
    make_longtail_digits(root, DigitsOptions(num_train=40, num_val=400))
    content = json.loads((root / "annotations" / "val.json").read_text())
    images = content["images"]
    classes = tuple(category["name"] for category in content["categories"])
    parts = []
    for split, own in (("train", images[::2]), ("val", images[1::2])):
        counts = write_cut(content, own, tmp_path / f"{split}.json")
        assert len(counts) == len(classes)
        file = tmp_path / f"{split}.json"
        parts.append(coco("CocoDataset", file, root / "JPEGImages", classes))
    metric = dict(type="CocoMetric", ann_file=str(file), metric="bbox")
    found = found_in(len(classes), *parts, metric)
    assert not bad(found), "\n".join(map(str, found))
