"""The manifest of the generated digits: what a finished data set says about itself."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .annotation_writers import IMAGE_FOLDER
from .generated_folder import files_digest
from .plan import SPLITS, DigitsOptions
from .scenes import IMAGE_SIZE

__all__ = [
    "NAME",
    "VERSION",
    "file_names",
    "find_longtail_digits",
    "stem_of",
    "summary_table",
]

NAME = "longtail_digits"
VERSION = 1  # raise it when the same options give other files
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
    manifest = _read(out / "manifest.json")
    if manifest.get("name") != NAME:
        # Never replaced, also not with force: it could be anything of the user's.
        raise FileExistsError(
            f"{out} exists and is not a long-tailed digits data set; name another "
            "folder, or remove it yourself"
        )
    if force:
        return None
    given = {"version": VERSION, "options": asdict(options)}
    found = {key: manifest.get(key) for key in given}
    if found != given:
        raise FileExistsError(
            f"{out} was made with {found}, not with {given}; name another folder, or "
            "use --force (force=True) to replace it"
        )
    try:
        intact = files_digest(out, file_names(options)) == manifest.get("sha256")
    except FileNotFoundError:
        intact = False
    if not intact:
        raise FileExistsError(
            f"{out} has missing or changed files; use --force (force=True) to make "
            "it again"
        )
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


def stem_of(split: str, index: int) -> str:
    """Return the name of an image, without its ending."""
    return f"{split}_{index + 1:06d}"


def file_names(options: DigitsOptions) -> list[str]:
    """List all files of the data set but the manifest, relative to its folder."""
    names = []
    for split in SPLITS:
        stems = [stem_of(split, index) for index in range(options.num_images(split))]
        names += [f"{IMAGE_FOLDER}/{stem}.jpg" for stem in stems]
        names += [f"Annotations/{stem}.xml" for stem in stems]
        names += [f"annotations/{form}{split}.json" for form in ("", "lvis_")]
        names.append(f"ImageSets/Main/{split}.txt")
    return names


def _read(path: Path) -> dict[str, Any]:
    """Read a manifest; anything unreadable counts as no manifest."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
