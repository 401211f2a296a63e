"""Long-tailed digits: a small generated detection data set with a Zipf tail.

Scenes of scikit-learn's handwritten digits on noise; 40 classes (ten digits in four
colours). In training, the images per class fall from 800 to 4; the validation set
is balanced, so that the tail can be measured. The same scenes are written in COCO,
LVIS v1 and PASCAL VOC form, around one copy of the images:

.. code-block:: text

    JPEGImages/{train,val}_000001.jpg    images
    annotations/{train,val}.json         COCO,  data_prefix=dict(img="JPEGImages/")
    annotations/lvis_{train,val}.json    LVIS,  data_prefix=dict(img="")
    Annotations/{train,val}_000001.xml   VOC,   data_prefix=dict(sub_data_root="")
    ImageSets/Main/{train,val}.txt       VOC image lists
    manifest.json                        options, class numbers, digest of all files
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .annotation_writers import (
    IMAGE_FOLDER,
    coco_form,
    frequency_letter,
    lvis_form,
    voc_form,
    write_json,
    write_lines,
)
from .generated_folder import files_digest, fill_folder
from .manifest import NAME, VERSION, file_names, find_longtail_digits, stem_of
from .plan import (
    CLASSES,
    GLYPH_STREAM,
    IMAGE_STREAM,
    SPLITS,
    DigitsOptions,
    generator,
    plan_images,
    planned_image_counts,
)
from .records import ImageRecord, ObjectRecord, encode_mask
from .scenes import Glyphs, draw_scene, load_glyphs

__all__ = ["make_longtail_digits"]

_NEGATIVES_PER_IMAGE = 10


def make_longtail_digits(
    out: str | Path,
    options: DigitsOptions | None = None,
    *,
    force: bool = False,
    progress: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> dict[str, Any]:
    """Make the data set, or leave a finished one alone.

    Args:
        out: Folder of the data set; it appears complete or not at all.
        options: Seed and sizes. Default: ``DigitsOptions()``.
        force: Make it again even if it is there, or was made with other options.
        progress: Wraps the list of images, for a progress bar such as ``tqdm``.

    Returns:
        The content of its ``manifest.json``: options, numbers of every class, and
        one digest over all files. The same options and library versions give the
        same digest.

    Raises:
        FileExistsError: See :func:`find_longtail_digits`.
        ImportError: If scikit-learn is not installed.
        RuntimeError: If another process is making a data set in the same place.
    """
    options = options or DigitsOptions()
    out = Path(out)
    manifest = find_longtail_digits(out, options, force=force)
    if manifest is not None:
        return manifest
    glyphs = dict(
        zip(SPLITS, load_glyphs(generator(options, GLYPH_STREAM)), strict=True)
    )
    with fill_folder(out) as folder:
        for name in (IMAGE_FOLDER, "Annotations", "annotations", "ImageSets/Main"):
            # On some systems "Annotations" and "annotations" are one folder.
            (folder / name).mkdir(parents=True, exist_ok=True)
        records: dict[str, list[ImageRecord]] = {split: [] for split in SPLITS}
        jobs = [
            (split, index, labels)
            for split in SPLITS
            for index, labels in enumerate(plan_images(options, split))
        ]
        for split, index, labels in progress(jobs):
            rng = generator(options, IMAGE_STREAM, SPLITS.index(split), index)
            stem = stem_of(split, index)
            image, record = _make_image(stem, labels, glyphs[split], rng)
            image.save(folder / IMAGE_FOLDER / f"{stem}.jpg", quality=90, subsampling=0)
            xml = voc_form(record, CLASSES)
            (folder / "Annotations" / f"{stem}.xml").write_bytes(xml)
            records[split].append(record)
        manifest = _write_lists(folder, options, records)
    return manifest


def _make_image(
    stem: str, labels: Sequence[int], glyphs: Glyphs, rng: np.random.Generator
) -> tuple[Image.Image, ImageRecord]:
    """Draw one image and describe what it shows."""
    image, drawn = draw_scene(labels, glyphs, rng)
    # Every scene is annotated exhaustively. As in LVIS, only some of the absent
    # classes are listed as verified absent.
    absent = np.setdiff1d(np.arange(len(CLASSES)), labels)
    negatives = np.sort(rng.choice(absent, _NEGATIVES_PER_IMAGE, replace=False))
    objects = tuple(
        ObjectRecord(
            digit.label, digit.bbox, int(digit.mask.sum()), encode_mask(digit.mask)
        )
        for digit in drawn
    )
    record = ImageRecord(
        stem, image.width, image.height, objects, tuple(negatives.tolist())
    )
    return image, record


def _write_lists(
    folder: Path, options: DigitsOptions, records: dict[str, list[ImageRecord]]
) -> dict[str, Any]:
    """Write the annotation files of both splits and the manifest; return the latter."""
    boxes = {}
    for split in SPLITS:
        labels = [obj.label for record in records[split] for obj in record.objects]
        boxes[split] = np.bincount(labels, minlength=len(CLASSES)).tolist()
    images = planned_image_counts(options, "train").tolist()
    for split in SPLITS:
        text = f"Long-tailed digits, {split}, seed {options.seed}"
        coco = coco_form(records[split], CLASSES, text)
        lvis = lvis_form(
            records[split],
            CLASSES,
            text,
            image_count=images,
            instance_count=boxes["train"],
        )
        write_json(folder / f"annotations/{split}.json", coco)
        write_json(folder / f"annotations/lvis_{split}.json", lvis)
        stems = [record.stem for record in records[split]]
        write_lines(folder / f"ImageSets/Main/{split}.txt", stems)
    columns = zip(CLASSES, images, boxes["train"], boxes["val"], strict=True)
    manifest = {
        "name": NAME,
        "version": VERSION,
        "options": asdict(options),
        "sha256": files_digest(folder, file_names(options)),
        "classes": [
            {
                "name": name,
                "frequency": frequency_letter(train_images),
                "train_images": train_images,
                "train_boxes": train_boxes,
                "val_boxes": val_boxes,
            }
            for name, train_images, train_boxes, val_boxes in columns
        ],
    }
    write_json(folder / "manifest.json", manifest)
    return manifest
