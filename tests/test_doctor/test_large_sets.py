"""A hundred thousand images are looked at in a few minutes and little memory."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from imb_det.datasets.image_hashes import HASH_BITS, near_pairs
from tests import toys

ROOT = Path(__file__).parents[2]
NUM_CLASSES = 80
IMAGES, BOXES = 100_000, 3  # boxes of each image
CONFIG = """
default_scope = "mmdet"
model = {model}
pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=(1333, 800), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
part = dict(
    type="CocoDataset", data_prefix=dict(img="img/"), metainfo={meta}, pipeline=pipeline
)
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(ann_file={root!r} + "/train.json", **part),
)
val_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(ann_file={root!r} + "/val.json", test_mode=True, **part),
)
val_evaluator = dict(type="CocoMetric", ann_file={root!r} + "/val.json", metric="bbox")
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=1)
val_cfg = dict(type="ValLoop")
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01))
"""


def write_boxes(path, number, start):
    """Write images with boxes whose classes follow Zipf's law."""
    rng = np.random.default_rng(start)
    prior = 1 / np.arange(1, NUM_CLASSES + 1)
    labels = rng.choice(NUM_CLASSES, number * BOXES, p=prior / prior.sum()) + 1
    corners = rng.integers(0, 300, (number * BOXES, 2))
    sides = rng.integers(20, 180, (number * BOXES, 2))
    rows = np.column_stack([corners, sides, labels]).tolist()
    images = [
        dict(id=i, file_name=f"{i}.jpg", width=640, height=480)
        for i in range(start, start + number)
    ]
    annotations = [
        dict(
            id=k + 1,
            image_id=start + k // BOXES,
            category_id=label,
            bbox=[x, y, w, h],
            area=w * h,
            iscrowd=0,
        )
        for k, (x, y, w, h, label) in enumerate(rows)
    ]
    categories = [dict(id=i + 1, name=f"class_{i}") for i in range(NUM_CLASSES)]
    content = dict(images=images, annotations=annotations, categories=categories)
    path.write_text(json.dumps(content))


@pytest.mark.weekly
def test_time_and_memory(tmp_path):
    write_boxes(tmp_path / "train.json", IMAGES, 1)
    write_boxes(tmp_path / "val.json", IMAGES // 20, IMAGES + 1)
    model = toys.retinanet_config(NUM_CLASSES)
    model.bbox_head.anchor_generator.octave_base_scale = 4
    classes = [f"class_{i}" for i in range(NUM_CLASSES)]
    config = tmp_path / "config.py"
    config.write_text(
        CONFIG.format(
            model=model.to_dict(), meta=dict(classes=classes), root=str(tmp_path)
        )
    )
    tool = str(ROOT / "tools" / "doctor.py")
    done = subprocess.run(
        [sys.executable, tool, str(config), "--no-images", "--fail-on", "warning"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    )
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime  # others may share the machine
    megabytes = used.ru_maxrss / 1024
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "300,000 boxes in 100,000 images" in done.stdout
    assert "examining" in done.stderr
    assert seconds <= 120, f"{seconds:.0f} s"
    assert megabytes <= 1000, f"{megabytes:.0f} MB"


@pytest.mark.weekly
def test_near_pairs_of_many_hashes():
    hashes = np.random.default_rng(0).random((IMAGES, HASH_BITS)) < 0.5
    hashes[1:100:2] = hashes[:100:2]
    hashes[1:100:2, :20] ^= True
    start = time.monotonic()
    pairs = near_pairs(hashes, 20)
    assert time.monotonic() - start <= 60
    assert pairs.tolist() == [[i, i + 1] for i in range(0, 100, 2)]
