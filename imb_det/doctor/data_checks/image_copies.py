"""Images that are there twice, within a split or in training and evaluation."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterator, Mapping, Sequence

from mmdet.datasets import CocoDataset, XMLDataset

from imb_det.core.finding import Finding, Severity
from imb_det.core.text import and_more
from imb_det.datasets.annotated_images import annotated_images
from imb_det.doctor.context import DoctorContext
from imb_det.statistics.dataset_access import leaf_datasets
from imb_det.statistics.shown_labels import hides_labels

from .class_tables import EVALUATED
from .copy_groups import CopyGroups
from .file_digests import same_files
from .near_copies import near_copies

__all__ = ["check_image_copies"]

_SPLIT_ANEW = (
    "Take these images out of one of the two sets: figures of images that were trained "
    "on say nothing of others"
)
_BYTES = "byte for byte"


def check_image_copies(context: DoctorContext) -> Iterator[Finding]:
    """Find files that are listed twice, files of the same bytes, and near copies.

    Bytes are compared where images are looked at, and near copies looked for where
    ``hash_distance`` is set as well.

    Args:
        context: With data sets.
    """
    paths: dict[str, list[str]] = {}
    for split, dataset in context.datasets.items():
        parts = [(_lists_once(leaf), _paths(leaf)) for leaf in leaf_datasets(dataset)]
        yield from _listed_twice(context, split, parts)
        paths[split] = [path for _, own in parts for path in own]
    yield from _same_paths(context, paths)
    if not context.look_at_images:
        return
    everyone = list(dict.fromkeys(path for own in paths.values() for path in own))
    sets = {split: set(own) for split, own in paths.items()}
    same = CopyGroups(same_files(everyone))
    yield from _told(context, sets, same, _BYTES)
    if (distance := context.hash_distance) is None:
        return
    # Of files with the same bytes, one is enough: the first, of the training if any.
    first = {path: group[0] for group in same.groups for path in group[1:]}
    try:
        near = near_copies([p for p in everyone if p not in first], distance)
    except ImportError as error:
        yield Finding(
            "no_image_hash",
            Severity.ERROR,
            "near copies of images cannot be looked for, as ImageHash is not installed",
            evidence=str(error),
            remedy="pip install ImageHash, or leave the option out",
        )
        return
    how = f"but for {distance} bits of their hash"
    yield from _told(context, sets, near, how, first)


def _lists_once(leaf: object) -> bool:
    """Tell whether a data set is to list each image once.

    Sets of captions and phrases have an image for each of them, and unlabelled images
    may be those of the labelled part.
    """
    return isinstance(leaf, (CocoDataset, XMLDataset)) and not hides_labels(leaf)


def _paths(leaf: object) -> list[str]:
    images = annotated_images(leaf)
    return [osp.abspath(image.path) for image in images if not image.unreachable]


def _listed_twice(
    context: DoctorContext, split: str, parts: Sequence[tuple[bool, list[str]]]
) -> Iterator[Finding]:
    """Find files that a split lists twice, in data sets that are to list them once."""
    seen: set[str] = set()
    twice: dict[str, None] = {}
    for once, paths in parts:
        for path in paths if once else ():
            if path in seen:
                twice[path] = None
            seen.add(path)
    if twice:
        yield Finding(
            "repeated_image",
            Severity.WARNING,
            "image files that a split lists more than once: where each entry has other "
            "objects, what one shows is background in the other",
            context.files(split),
            f"{len(twice):,} of {len(seen):,} files: {and_more(twice)}",
            "Join the entries in the annotations; to show images more often, use "
            "`RepeatDataset` or a sampler",
        )


def _same_paths(
    context: DoctorContext, paths: Mapping[str, Sequence[str]]
) -> Iterator[Finding]:
    """Find files that training and evaluation share."""
    trained = set(paths.get("train", ()))
    for split in EVALUATED:
        judged = list(dict.fromkeys(paths.get(split, ())))
        shared = [path for path in judged if path in trained]
        if not shared:
            continue
        is_all = len(shared) == len(judged)
        yield Finding(
            "evaluated_on_training" if is_all else "leaked_image",
            Severity.WARNING,
            "all images of an evaluation are training images: its figures tell what "
            "was learned by heart"
            if is_all
            else "images of an evaluation are training images",
            f"{context.files(split)} and {context.files('train')}",
            f"{_share(len(shared), len(judged))}: {and_more(shared)}",
            f"Set `ann_file` of `{split}_dataloader.dataset` to another file"
            if is_all
            else _SPLIT_ANEW,
        )


def _told(
    context: DoctorContext,
    sets: Mapping[str, set[str]],
    copies: CopyGroups,
    how: str,
    first: Mapping[str, str] | None = None,
) -> Iterator[Finding]:
    """Tell of copies in training and evaluation, and within each of them.

    Args:
        context: Of the sets.
        sets: Files of each split.
        copies: What has been found.
        how: How alike they are.
        first: The file that stands for another one among the copies. Default: each
            file for itself.
    """
    is_exact = how == _BYTES
    names = {
        split: {(first or {}).get(path, path): path for path in sorted(own)[::-1]}
        for split, own in sets.items()
    }
    trained = names.get("train", {})
    for split, own in names.items():
        if split in EVALUATED and (pairs := copies.between(own, trained)):
            yield Finding(
                "leaked_image" if is_exact else "leaked_near_copy",
                Severity.WARNING,
                f"images of an evaluation are copies of training images, {how}",
                f"{context.files(split)} and {context.files('train')}",
                f"{_share(len(pairs), len(sets[split]))}: "
                f"{_named(pairs, own, trained)}",
                _SPLIT_ANEW,
            )
        if pairs := copies.within(own):
            yield Finding(
                "copied_image" if is_exact else "near_copy",
                Severity.WARNING if is_exact else Severity.INFO,
                f"images of a split that are copies of others, {how}: they count twice",
                context.files(split),
                f"{_share(len(pairs), len(sets[split]))}: {_named(pairs, own, own)}",
                "Keep one of each in the annotations, and near copies in one split",
            )


def _share(number: int, total: int) -> str:
    return f"{number:,} of {total:,} images ({number / total:.1%})"


def _named(
    pairs: Sequence[tuple[str, str]], own: Mapping[str, str], others: Mapping[str, str]
) -> str:
    texts = [f"{own[one]} = {others[other]}" for one, other in pairs]
    return and_more(texts, quoted=False)
