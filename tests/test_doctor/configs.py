"""Configs of small detectors on drawn images, written as files."""

import json

from tests.tiny_sets import write_image

#: Images of each class, one box in each: rare, common and frequent.
TAIL = {"bee": 2, "wasp": 12, "fly": 120}

TEMPLATE = """
_base_ = {base!r}
root = {root!r}
meta = dict(classes={classes!r})
model = dict(
    backbone=dict(init_cfg=None),
    roi_head=dict(bbox_head=dict(num_classes={number}, fc_out_channels=8)),
)
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=root, metainfo=meta, ann_file="train.json", data_prefix=dict(img="")
    ),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=root, metainfo=meta, ann_file="val.json", data_prefix=dict(img="")
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=root + "val.json")
test_evaluator = val_evaluator
auto_scale_lr = dict(base_batch_size=2)
"""


def write_coco(folder, counts, name="train.json", images=None):
    """Write a COCO file with one box an image, of an image that all of them share.

    Args:
        folder: Where to.
        counts: Images of each class, by name.
        name: Of the file. Default: that of the training.
        images: File names of images, taken in turn. Default: one that is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if images is None:
        images = [write_image(folder / "image.png", (64, 48)).name]
    content = dict(images=[], annotations=[], categories=[])
    for label, (kind, number) in enumerate(counts.items(), 1):
        content["categories"].append(dict(id=label, name=kind))
        for _ in range(number):
            at = len(content["images"]) + 1
            file = images[at % len(images)]
            image = dict(id=at, file_name=file, width=64, height=48)
            content["images"].append(image)
            box = dict(bbox=[5, 5, 20, 20], area=400, iscrowd=0)
            content["annotations"].append(
                dict(id=at, image_id=at, category_id=label, **box)
            )
    (folder / name).write_text(json.dumps(content))


def write_config(folder, counts=None, more="", base=None):
    """Write a plain config of mmdet, and its data; return its path.

    Args:
        folder: Where to.
        counts: Images of each class, by name. Default: a long tail.
        more: Lines after the others. Default: none.
        base: Its base. Default: Faster R-CNN of mmdet.
    """
    counts = TAIL if counts is None else counts
    write_coco(folder, counts)
    write_coco(folder, dict.fromkeys(counts, 1), "val.json", ["image.png"])
    path = folder / "config.py"
    text = TEMPLATE.format(
        base=base or "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py",
        root=f"{folder}/",
        classes=tuple(counts),
        number=len(counts),
    )
    path.write_text(text + more)
    return path
