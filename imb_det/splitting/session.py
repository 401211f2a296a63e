"""What ``tools/split_dataset.py`` does: read, group, split, write."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imb_det.core.finding import Finding, Severity
from imb_det.core.shown_text import write_text

from .coco_set import CocoSet
from .grouping import joined_groups, name_keys
from .near_duplicates import near_duplicates
from .parts import Parts
from .problem import SplitProblem
from .report import SplitReport
from .stratification import stratify
from .voc_set import VocSet

__all__ = ["SplitOptions", "split_dataset"]


@dataclass(frozen=True)
class SplitOptions:
    """How a set is split.

    Args:
        parts: Names and shares.
        seed: Of all that is left to chance. Default: 0.
        list_name: Of a VOC folder, the list in ``ImageSets/Main``. Default: None, all.
        group_by: Regular expression on names of images. Default: None.
        group_key: Key of the images of a COCO file. Default: None.
        near_bits: Bits of 256 by which near duplicates may differ. Default: None,
            images are not read.
        images: Folder of the images, for ``near_bits``. Default: None.
        overwrite: Whether files may be there already. Default: False.

    Raises:
        ValueError: An option out of range, or without effect.
    """

    parts: Parts
    seed: int = 0
    list_name: str | None = None
    group_by: str | None = None
    group_key: str | None = None
    near_bits: int | None = None
    images: Path | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"the seed must be >= 0, got {self.seed}")
        if self.images is not None and self.near_bits is None:
            raise ValueError(
                f"--images {self.images} has no effect without --near-copies: leave it "
                "out, or say how many bits may differ"
            )


def split_dataset(source: Path, out: Path, options: SplitOptions) -> SplitReport:
    """Split a data set, and write files of the parts and ``split.json``.

    Args:
        source: COCO or LVIS file, or a folder of PASCAL VOC.
        out: Folder of the files.
        options: How.

    Returns:
        What was reached.

    Raises:
        OSError: Something cannot be read or written.
        ValueError: The set is malformed, an option does not fit it, or a file is there.
    """
    if source.is_dir():
        data: CocoSet | VocSet = VocSet(source, options.list_name)
    elif options.list_name is not None:
        raise ValueError(f"--list is for PASCAL VOC folders, and {source} is none")
    else:
        data = CocoSet(source)
    parts = options.parts
    files = _files(parts, out, data.suffix)
    report_file = out / "split.json"
    if report_file in files:
        raise ValueError(f"a part cannot be named 'split': {report_file} is the report")
    taken = [str(path) for path in (*files, report_file) if path.exists()]
    if taken and not options.overwrite:
        raise ValueError(f"{taken[0]} is there already: choose another --out")
    if any(path.resolve() == data.path.resolve() for path in (*files, report_file)):
        raise ValueError(f"{data.path} would be overwritten: choose another --out")
    criteria, notes = _criteria(data, options)
    group_of = joined_groups(data.names, criteria)
    if (number := int(group_of.max()) + 1) < len(parts.names):
        raise ValueError(
            f"{source}: {number} groups of images cannot fill {len(parts.names)} parts"
        )
    problem = SplitProblem(data.table, group_of, parts)
    report = SplitReport(problem, stratify(problem, options.seed), tuple(notes))
    for path, chosen in files.items():
        data.write(path, np.isin(report.part_of_image, chosen))
    text = json.dumps(report.to_dict(), indent=1) + "\n"
    write_text(report_file, text)
    return report


def _files(parts: Parts, out: Path, suffix: str) -> dict[Path, list[int]]:
    """Return the files to write, each with the parts whose images it has."""
    number = range(len(parts.names))
    if not parts.are_folds:
        return {out / f"{parts.names[i]}{suffix}": [i] for i in number}
    files = {}
    for i in number:
        files[out / f"{parts.names[i]}_train{suffix}"] = [j for j in number if j != i]
        files[out / f"{parts.names[i]}_val{suffix}"] = [i]
    return files


def _criteria(
    data: CocoSet | VocSet, options: SplitOptions
) -> tuple[list[Sequence[Hashable | None]], list[Finding]]:
    """Return what groups go by, and what is to be said about it."""
    criteria: list[Sequence[Hashable | None]] = []
    notes = []
    if options.group_by is not None:
        criteria.append(name_keys(data.names, options.group_by))
    if options.group_key is not None:
        criteria.append(data.keys(options.group_key))
    for keys in criteria:
        if alone := sum(key is None for key in keys):
            what = "images without what groups go by, each of them a group of its own"
            notes.append(Finding("no_group", Severity.INFO, what, "", f"{alone}"))
    if options.near_bits is not None:
        paths = data.image_paths(options.images)
        try:
            criteria.append(near_duplicates(paths, options.near_bits))
        except ImportError as error:
            raise ValueError(f"--near-copies: {error}; pip install ImageHash") from None
    if data.without_image:
        what = "annotations of images that the file does not list, in no part"
        evidence = f"{data.without_image}"
        notes.append(Finding("unknown_image", Severity.WARNING, what, "", evidence))
    return criteria, notes
