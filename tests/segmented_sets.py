"""Tiny panoptic and semantic data sets of 32 x 32 pixels, written to a folder."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
from mmdet.registry import DATASETS
from PIL import Image

from tests.tiny_sets import write_image

CLASSES = ("cat", "dog", "sky", "sand", "snow")
THINGS, STUFF = CLASSES[:2], CLASSES[2:]
METAINFO = dict(classes=CLASSES, thing_classes=THINGS, stuff_classes=STUFF)
SIZE = 32
#: Segments (label, x1, y1, x2, y2, is a crowd) of each image, later ones on top; what
#: is under none of them is void.
SCENES = (
    ((2, 0, 0, 32, 16, 0), (3, 0, 16, 32, 32, 0), (0, 2, 2, 12, 12, 0)),
    ((2, 0, 0, 32, 20, 0), (0, 4, 10, 14, 20, 0), (0, 16, 10, 26, 20, 0)),
    ((3, 0, 8, 32, 32, 0), (1, 2, 10, 10, 20, 0), (0, 12, 10, 20, 20, 1)),
)
#: Of all images: a crowd is nothing to count.
IMAGES = [2, 1, 2, 2, 0]
INSTANCES = [3, 1, 2, 2, 0]
PIXELS = [300, 80, 512 - 100 + 640 - 200, 512 + 768 - 160, 0]
#: Images with a thing.
THING_IMAGES = 3


def painted(scene):
    """Number of the segment of each pixel, counted from 1; 0 for none."""
    segments = np.zeros((SIZE, SIZE), np.int64)
    for number, (_, x1, y1, x2, y2, _) in enumerate(scene, 1):
        segments[y1:y2, x1:x2] = number
    return segments


def labels_of(scene):
    """Label of each pixel; 255 for none."""
    return np.array([255, *(s[0] for s in scene)], np.uint8)[painted(scene)]


def write_panoptic(root, scenes=SCENES, with_area=True):
    """Write images, maps and ``panoptic.json``; return the config of a data set."""
    root = Path(root)
    (root / "maps").mkdir(parents=True)
    images, annotations = [], []
    for row, scene in enumerate(scenes, 1):
        # Ids need all three colours.
        ids = np.array([0, *(100_000 * row + 300 * k for k in range(len(scene)))])
        segments = painted(scene)
        colours = np.stack([ids // 256**k % 256 for k in range(3)], 1)
        name = f"{row:03}"
        write_image(root / f"{name}.jpg", (SIZE, SIZE), row)
        Image.fromarray(colours[segments].astype(np.uint8)).save(
            root / "maps" / f"{name}.png"
        )
        images.append(dict(id=row, file_name=f"{name}.jpg", width=SIZE, height=SIZE))
        infos = [
            dict(
                id=int(ids[number]),
                category_id=10 * (label + 1),
                bbox=[x1, y1, x2 - x1, y2 - y1],
                area=int((segments == number).sum()),
                iscrowd=crowd,
            )
            for number, (label, x1, y1, x2, y2, crowd) in enumerate(scene, 1)
        ]
        annotations.append(
            dict(image_id=row, file_name=f"{name}.png", segments_info=infos)
        )
    categories = [
        dict(id=10 * (label + 1), name=name, isthing=int(name in THINGS))
        for label, name in enumerate(CLASSES)
    ]
    content = dict(images=images, annotations=annotations, categories=categories)
    (root / "panoptic.json").write_text(json.dumps(content))
    return dict(
        type="mmdet.CocoPanopticDataset",
        data_root=str(root),
        ann_file="panoptic.json",
        data_prefix=dict(img="", seg="maps"),
        metainfo=METAINFO,
        pipeline=[],
    )


def write_semantic(root, scenes=SCENES, shift=0):
    """Write images and maps of labels; return the config of a data set.

    Args:
        shift: Added to the labels, as where 0 is background.
    """
    root = Path(root)
    (root / "maps").mkdir(parents=True)
    for row, scene in enumerate(scenes, 1):
        write_image(root / "images" / f"{row:03}.jpg", (SIZE, SIZE), row)
        labels = labels_of(scene)
        if shift:
            labels = np.where(labels == 255, 0, labels + shift).astype(np.uint8)
        Image.fromarray(labels).save(root / "maps" / f"{row:03}.png")
    return dict(
        type="mmdet.ADE20KSegDataset",
        data_root=str(root),
        data_prefix=dict(img_path="images", seg_map_path="maps"),
        metainfo=dict(classes=CLASSES),
        pipeline=[load_maps(reduce_zero_label=bool(shift))],
    )


def load_maps(**options):
    """Step that loads a map alone."""
    flags = dict(with_bbox=False, with_label=False, with_seg=True)
    return dict(type="mmdet.LoadAnnotations", **flags, **options)


def build(config, **changes):
    return DATASETS.build({**config, **changes})


def stub_panopticapi(monkeypatch):
    """Stand in for the package that mmdet loads panoptic maps with."""

    def rgb2id(colours):
        return colours.astype(np.int64) @ np.array([1, 256, 65536])

    utils = ModuleType("panopticapi.utils")
    utils.rgb2id = rgb2id
    package = ModuleType("panopticapi")
    package.utils = utils
    package.evaluation = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "panopticapi", package)
    monkeypatch.setitem(sys.modules, "panopticapi.utils", utils)
