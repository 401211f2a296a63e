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

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .annotation_writers import (
    IMAGE_FOLDER,
    ImageRecord,
    ObjectRecord,
    coco_form,
    encode_mask,
    frequency_letter,
    lvis_form,
    voc_form,
    write_json,
    write_lines,
)
from .generated_folder import files_digest, fill_folder
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
from .scenes import IMAGE_SIZE, Glyphs, draw_scene, load_glyphs

_NAME = "longtail_digits"
_VERSION = 1  # raise it when the same options give other files
_NEGATIVES_PER_IMAGE = 10
_BOX_KEYS = ("train_boxes", "val_boxes")


def find_longtail_digits(
    out: str | Path, options: DigitsOptions, *, force: bool = False
) -> dict[str, Any] | None:
    """Look for a finished data set; all files are read and compared by digest.

    Args:
        out: Folder of the data set.
        options: The options it should have been made with.
        force: Treat a data set that is there as absent.

    Returns:
        The content of its ``manifest.json``, or None if there is nothing yet.

    Raises:
        FileExistsError: If ``out`` holds something else, or (without ``force``) a
            data set made with other options, or one with changed files.
    """
    out = Path(out)
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    manifest = _read_manifest(out / "manifest.json")
    if manifest.get("name") != _NAME:
        # Never replaced, also not with force: it could be anything of the user's.
        raise FileExistsError(
            f"{out} exists and is not a long-tailed digits data set; name another "
            "folder, or remove it yourself"
        )
    if force:
        return None
    given = {"version": _VERSION, "options": asdict(options)}
    found = {key: manifest.get(key) for key in given}
    if found != given:
        raise FileExistsError(
            f"{out} was made with {found}, not with {given}; name another folder, or "
            "use --force (force=True) to replace it"
        )
    try:
        intact = files_digest(out, _file_names(options)) == manifest.get("sha256")
    except FileNotFoundError:
        intact = False
    if not intact:
        raise FileExistsError(
            f"{out} has missing or changed files; use --force (force=True) to make "
            "it again"
        )
    return manifest


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
            stem = _stem(split, index)
            image, record = _make_image(stem, labels, glyphs[split], rng)
            image.save(folder / IMAGE_FOLDER / f"{stem}.jpg", quality=90, subsampling=0)
            xml = voc_form(record, CLASSES)
            (folder / "Annotations" / f"{stem}.xml").write_bytes(xml)
            records[split].append(record)
        manifest = _write_lists(folder, options, records)
    return manifest


def summary_table(manifest: dict[str, Any]) -> str:
    """Lay out images, boxes and classes of each frequency group.

    Args:
        manifest: What :func:`make_longtail_digits` returned.

    Returns:
        A text table of several lines, without a line end.
    """
    lines = [
        f"{'group':<9}{'classes':>8}{'train images a class':>22}{'train boxes':>13}"
        f"{'val boxes':>11}"
    ]
    for letter, group in (("f", "frequent"), ("c", "common"), ("r", "rare")):
        members = [c for c in manifest["classes"] if c["frequency"] == letter]
        counts = [c["train_images"] for c in members] or [0]
        lines.append(
            f"{group:<9}{len(members):>8}{f'{min(counts)} to {max(counts)}':>22}"
            f"{sum(c['train_boxes'] for c in members):>13}"
            f"{sum(c['val_boxes'] for c in members):>11}"
        )
    boxes = [sum(c[key] for c in manifest["classes"]) for key in _BOX_KEYS]
    lines.append(
        f"{'all':<9}{len(manifest['classes']):>8}{'':>22}{boxes[0]:>13}{boxes[1]:>11}"
    )
    options = manifest["options"]
    lines.append(
        f"images: {options['num_train']} train, {options['num_val']} val, "
        f"{IMAGE_SIZE} x {IMAGE_SIZE} pixels"
    )
    return "\n".join(lines)


def _stem(split: str, index: int) -> str:
    return f"{split}_{index + 1:06d}"


def _file_names(options: DigitsOptions) -> list[str]:
    """List all files of the data set but the manifest, relative to its folder."""
    names = []
    for split in SPLITS:
        stems = [_stem(split, index) for index in range(options.num_images(split))]
        names += [f"{IMAGE_FOLDER}/{stem}.jpg" for stem in stems]
        names += [f"Annotations/{stem}.xml" for stem in stems]
        names += [f"annotations/{form}{split}.json" for form in ("", "lvis_")]
        names.append(f"ImageSets/Main/{split}.txt")
    return names


def _read_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest; anything unreadable counts as no manifest."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


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
        "name": _NAME,
        "version": _VERSION,
        "options": asdict(options),
        "sha256": files_digest(folder, _file_names(options)),
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
