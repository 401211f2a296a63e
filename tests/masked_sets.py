"""Images with boxes and masks for tests of transforms, on disk and in memory."""

import cv2
import numpy as np
import torch
from mmdet.registry import DATASETS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.registry import init_default_scope
from PIL import Image

import imb_det.transforms  # noqa: F401
from imb_det.registry import TRANSFORMS
from tests.tiny_sets import write_coco


def rectangle(x, y, w, h):
    # mmdet rounds polygons of whole numbers down.
    return np.array([x, y, x + w, y, x + w, y + h, x, y + h], float).tolist()


def ellipse(x, y, w, h, corners=24):
    """The polygon of an ellipse inside a box."""
    angle = 2 * np.pi * np.arange(corners) / corners
    xs, ys = x + w * (1 + np.cos(angle)) / 2, y + h * (1 + np.sin(angle)) / 2
    return np.stack([xs, ys], 1).ravel().round(3).tolist()


def corner_shape(x, y, w, h):
    """An L: a thin upright and a thin foot."""
    v, u = w / 4, h / 4
    points = [(0, 0), (v, 0), (v, h - u), (w, h - u), (w, h), (0, h)]
    return [c for dx, dy in points for c in (x + dx, y + dy)]


def colour_of(label):
    return 130 + 10 * label


def write_scenes(root, scenes, num_classes=2, is_painted=False):
    """Write scenes (size, objects) as PNG files; objects are (label, polygon, extra).

    The size is (width, height); ``extra`` goes into the annotation and may be left out.
    Pixels are noise, painted objects have the colour of their label.
    """
    root.mkdir(parents=True, exist_ok=True)
    annotations = []
    for number, (size, objects) in enumerate(scenes, 1):
        rng = np.random.default_rng(number)
        top = 100 if is_painted else 256
        image = rng.integers(0, top, (size[1], size[0], 3), np.uint8)
        for label, polygon, *extra in objects:
            points = np.reshape(polygon, (-1, 2))
            low, high = points.min(0), points.max(0)
            if is_painted:
                mask = PolygonMasks([[np.array(polygon)]], size[1], size[0])
                image[mask.to_ndarray()[0].astype(bool)] = colour_of(label)
            keys = dict(segmentation=[polygon]) | (extra[0] if extra else {})
            box = [*low.tolist(), *(high - low).tolist()]
            annotations.append((number, label + 1, box, keys))
        Image.fromarray(image).save(root / f"{number}.png")
    images = [
        dict(file_name=f"{number}.png", width=size[0], height=size[1])
        for number, (size, _) in enumerate(scenes, 1)
    ]
    return write_coco(root, images, annotations, class_names(num_classes))


def class_names(number):
    return tuple(f"class_{i}" for i in range(number))


def coco_config(files, num_classes=2, kind="bitmap", **loading):
    """Configure the data set; masks are of a kind: bitmap, polygon or None."""
    load = dict(
        type="LoadAnnotations",
        with_bbox=True,
        with_mask=kind is not None,
        poly2mask=kind == "bitmap",
    )
    return dict(
        type="CocoDataset",
        **files,
        metainfo=dict(classes=class_names(num_classes)),
        serialize_data=False,  # it collects garbage, which takes long
        pipeline=[dict(type="LoadImageFromFile"), load | loading],
    )


def mixed(dataset, *pipeline):
    """Build MultiImageMixDataset around the config of a data set."""
    init_default_scope("mmdet")
    config = dict(type="MultiImageMixDataset", dataset=dataset, pipeline=pipeline)
    return DATASETS.build(config)


def build(**config):
    init_default_scope("mmdet")
    return TRANSFORMS.build(config)


def record(image, boxes, labels, ignored=None, masks=None, kind="bitmap"):
    """What a loading pipeline returns; masks are bool (n, h, w) or polygons."""
    number = len(labels)
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    results = dict(
        img=image,
        img_shape=image.shape[:2],
        gt_bboxes=HorizontalBoxes(torch.from_numpy(boxes)),
        gt_bboxes_labels=np.asarray(labels, np.int64),
        gt_ignore_flags=np.zeros(number, bool) if ignored is None else ignored,
    )
    if masks is not None:
        shape = image.shape[:2]
        results["gt_masks"] = (
            BitmapMasks(np.asarray(masks, np.uint8), *shape)
            if kind == "bitmap"
            else PolygonMasks(masks, *shape)
        )
    return results


def corners(results):
    """The boxes as float64 (n, 4), whatever class holds them."""
    boxes = results["gt_bboxes"]
    boxes = boxes.tensor.numpy() if hasattr(boxes, "tensor") else boxes
    return np.asarray(boxes, float)


def bitmaps(results):
    return results["gt_masks"].to_ndarray().astype(bool)


def box_around(mask):
    """The tight box of one mask."""
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    return np.array([x, y, x + w, y + h], float)


def check_lengths(results):
    number = len(results["gt_bboxes_labels"])
    assert len(results["gt_bboxes"]) == number
    assert len(results["gt_ignore_flags"]) == number
    assert results["gt_ignore_flags"].dtype == bool
    assert results["gt_bboxes_labels"].dtype == np.int64
    height, width = results["img"].shape[:2]
    assert tuple(results["img_shape"]) == (height, width)
    boxes = corners(results)
    assert (boxes >= 0).all()
    assert (boxes <= [width, height, width, height]).all()
    if results.get("gt_masks") is not None:
        assert len(results["gt_masks"]) == number
        assert bitmaps(results).shape == (number, height, width)


def same(first, second):
    """Whether two results hold the same image, boxes, labels, flags and masks."""
    keys = ("img", "gt_bboxes_labels", "gt_ignore_flags")
    is_same = all(np.array_equal(first[key], second[key]) for key in keys)
    is_same &= np.array_equal(corners(first), corners(second))
    if "gt_masks" in first:
        is_same &= type(first["gt_masks"]) is type(second["gt_masks"])
        is_same &= np.array_equal(bitmaps(first), bitmaps(second))
    return is_same
