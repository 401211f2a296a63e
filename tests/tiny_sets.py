"""Tiny VOC and COCO data sets for tests, written from plain Python values."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

BOX = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"


def write_image(path, size=(40, 30), seed=0, **options):
    """Write a noisy image of (width, height); the suffix gives the format."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(
        0, 256, (size[1], size[0], 3), np.uint8
    )
    Image.fromarray(noise).save(path, **options)
    return path


def voc_xml(objects, size=(40, 30)):
    """Return an XML of objects (name, box, *tags); size None leaves it out."""
    parts = [
        f"<object><name>{name}</name>{''.join(tags)}{BOX.format(*box)}</object>"
        for name, box, *tags in objects
    ]
    if size is not None:
        parts.append(f"<size><width>{size[0]}</width><height>{size[1]}</height></size>")
    return f"<annotation>{''.join(parts)}</annotation>"


def write_voc(root, objects_per_image, size=(40, 30)):
    """Write images a, b, ... with their objects; return the arguments of a data set.

    An entry may also be the text of a whole XML file.
    """
    root = Path(root)
    names = [chr(ord("a") + i) for i in range(len(objects_per_image))]
    (root / "Annotations").mkdir(parents=True, exist_ok=True)
    for seed, (name, objects) in enumerate(zip(names, objects_per_image, strict=True)):
        text = objects if isinstance(objects, str) else voc_xml(objects, size)
        (root / "Annotations" / f"{name}.xml").write_text(text)
        write_image(root / "JPEGImages" / f"{name}.jpg", size, seed)
    (root / "list.txt").write_text("".join(f"{name}\n" for name in names))
    return dict(
        data_root=str(root), ann_file="list.txt", data_prefix=dict(sub_data_root="")
    )


def write_coco(root, images, annotations, categories=("cat", "dog")):
    """Write ``ann.json``; ids count from 1 unless an entry brings its own.

    Args:
        images: Dictionaries, or the number of images of 40 x 30 pixels.
        annotations: Tuples (image_id, category_id, bbox, extra keys).
        categories: Names, with ids 1, 2, ...
    """
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    if isinstance(images, int):
        images = [dict(width=40, height=30) for _ in range(images)]
    content = dict(
        images=[
            {"id": i, "file_name": f"{i}.jpg", **image}
            for i, image in enumerate(images, 1)
        ],
        annotations=[
            dict(
                id=i,
                image_id=image_id,
                category_id=category_id,
                bbox=bbox,
                area=bbox[2] * bbox[3],
                iscrowd=0,
            )
            | (extra[0] if extra else {})
            for i, (image_id, category_id, bbox, *extra) in enumerate(annotations, 1)
        ],
        categories=[dict(id=i, name=name) for i, name in enumerate(categories, 1)],
    )
    (root / "ann.json").write_text(json.dumps(content))
    return dict(data_root=str(root), ann_file="ann.json", data_prefix=dict(img=""))


#: Objects by category, other categories that were looked for, and those of which some
#: objects may lack, of each image.
LVIS_IMAGES = (
    ([1], [2], []),
    ([1, 2], [], [1]),
    ([1, 1, 2], [], []),
    ([], [1, 2], []),
    ([1, 2], [], []),
)


def write_lvis(root, lists=("neg_category_ids", "not_exhaustive_category_ids")):
    """Write images of 40 x 30 pixels and ``ann.json`` in the form of LVIS.

    Args:
        root: Folder.
        lists: Keys of the lists that images have.
    """
    boxes = {1: [3, 3, 17, 17], 2: [10, 5, 23, 23]}
    images = [
        dict(width=40, height=30) | dict(zip(lists, others, strict=False))
        for _, *others in LVIS_IMAGES
    ]
    annotations = [
        (image, category, boxes[category])
        for image, (objects, *_) in enumerate(LVIS_IMAGES, 1)
        for category in objects
    ]
    write_coco(root, images, annotations)
    for image in range(1, len(images) + 1):
        write_image(Path(root) / f"{image}.jpg", seed=image)
    return root


def write_odvg(root, config, labels_per_image, names):
    """Write annotations and label map of a set of grounding detectors.

    Args:
        config: Of the data set, which names the files.
    """
    root = Path(root)
    instance = dict(bbox=[2.0, 3.0, 20.0, 25.0])
    lines = [
        json.dumps(
            dict(
                filename=f"{number}.jpg",
                height=30,
                width=40,
                detection=dict(instances=[{**instance, "label": k} for k in labels]),
            )
        )
        for number, labels in enumerate(labels_per_image)
    ]
    label_map = json.dumps(dict(enumerate(names)))
    texts = dict(ann_file="\n".join(lines), label_map_file=label_map)
    for name, text in ((config[key], text) for key, text in texts.items()):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
