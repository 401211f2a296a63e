"""What a comparison is made of: test set, groups and verdicts, read from files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from imb_det.core.finding import raise_findings
from imb_det.evaluation.functional import Detections, FederatedGroundTruth, GroundTruth
from imb_det.evaluation.functional.coco_eval import CocoRules
from imb_det.evaluation.functional.lvis_eval import LvisRules
from imb_det.evaluation.functional.matches import Matches
from imb_det.evaluation.functional.top1 import named_right
from imb_det.evaluation.result_files import read_predictions
from imb_det.statistics.class_stats import ClassStats
from imb_det.statistics.coco_classes import category_ids, spellings
from imb_det.statistics.coco_content import CocoContent
from imb_det.statistics.coco_kinds import TOLD
from imb_det.statistics.coco_masks import judge_masks
from imb_det.statistics.frequency_groups import GroupLimits

__all__ = ["RULES", "judge_files", "read_groups", "read_test_set"]

#: Rules by their name, with the detections that count where nothing else is said: of a
#: class in an image for COCO, of an image for LVIS.
RULES: dict[str, CocoRules | LvisRules] = {
    "coco": CocoRules(max_dets=(100,)),
    "lvis": LvisRules(max_dets=300),
}


def read_test_set(
    ann_file: str | Path,
    rules: str | None = None,
    classes: Sequence[str] | None = None,
    iou_type: str = "bbox",
) -> tuple[GroundTruth, list[Any]]:
    """Read an annotation file of COCO or LVIS.

    Args:
        ann_file: The file.
        rules: ``coco`` or ``lvis``; by the content of the file if None. Default: None.
        classes: Names of the classes that the detectors know, in the order of the
            file; all of its categories if None. Default: None.
        iou_type: ``bbox`` or ``segm``, for which masks are looked at. Default:
            ``bbox``.

    Returns:
        Ground truth, federated for the rules of LVIS, and the category id of each
        label.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: No annotation file, not one of LVIS for its rules, or classes that
            it does not have; names it.
    """
    if rules not in (None, *RULES):
        raise ValueError(f"`rules` must be one of {list(RULES)}, got {rules!r}")
    path = Path(ann_file)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file '{path}'")
    file = CocoContent.read(path)
    findings = file.findings(file.chosen(classes, TOLD))
    if iou_type == "segm":
        masks = judge_masks(file, classes, "is_judged")
        findings += [*masks.faults, *masks.findings.values()]
    raise_findings(findings, str(path))
    if rules is None:
        rules = "lvis" if file.is_federated else "coco"
    if classes is not None:
        _check_classes(file, classes)
    reader = FederatedGroundTruth.from_lvis if rules == "lvis" else None
    truth = (reader or GroundTruth.from_coco)(file, classes)
    by_place = rules == "lvis"  # as mmdet's data sets of LVIS
    return truth, category_ids(file.content, truth.classes, path, by_place)


def read_groups(
    ground_truth: GroundTruth,
    train: ClassStats | str | Path | None,
    limits: GroupLimits | None = None,
) -> tuple[dict[str, np.ndarray], GroupLimits | None]:
    """Find the frequency groups of the classes.

    Args:
        ground_truth: Whose classes they are.
        train: Counts of the training set, a JSON file of them, or its annotation file;
            None takes the letters of an LVIS file.
        limits: Of the groups; those that come with the counts if None. Default: None.

    Returns:
        Class indices by the name of the group, empty where nothing tells, and the
        limits of counts by which they were found.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Counts for other classes, a file that is neither, or limits without
            counts to which they could apply.
    """
    if train is None:
        if limits is not None:
            raise ValueError(
                "limits of the groups need the training images of the classes "
                "(`train`, on the command line --train-ann)"
            )
        if isinstance(ground_truth, FederatedGroundTruth):
            return ground_truth.groups or {}, None
        return {}, None
    if not isinstance(train, ClassStats):
        train = ClassStats.from_file(train, ground_truth.classes)
    train.check_classes(ground_truth.classes)
    limits = limits or train.group_limits
    return limits.groups(train.image_count), limits


def judge_files(
    ground_truth: GroundTruth,
    category_ids: Sequence[Any],
    files: Sequence[Path],
    iou_type: str = "bbox",
    rules: CocoRules | LvisRules = RULES["coco"],
    allow_pickle: bool = False,
) -> dict[Path, Matches]:
    """Judge the predictions of several files on the same images.

    Those are all images, or the ones that were tested where files of
    ``tools/test.py --out`` hold fewer.

    Args:
        ground_truth: As the rules need it.
        category_ids: The category id of each label, length C.
        files: See :func:`.read_predictions`.
        iou_type: ``bbox`` or ``segm``. Default: ``bbox``.
        rules: By which they are judged. Default: COCO's.
        allow_pickle: See :func:`.read_predictions`.

    Raises:
        FileNotFoundError: A file that is not there.
        ValueError: Predictions that cannot be read or judged, or of other images than
            those of the first file that tells its images; names the file.
    """
    judged: dict[Path, Matches] = {}
    tested: tuple[Path, set[Any]] | None = None
    ground_truth = part = ground_truth.judged_by(iou_type)
    # A result file in JSON does not tell the images in which nothing was found.
    for file in sorted(files, key=lambda file: file.suffix == ".json"):
        predictions = read_predictions(
            file, ground_truth, category_ids, iou_type, allow_pickle
        )
        names = {prediction["img_id"] for prediction in predictions}
        if file.suffix == ".json":
            known = set(part.image_ids)
            predictions = [p for p in predictions if p["img_id"] in known]
        elif tested is None:
            tested, part = (file, names), ground_truth.subset(names)
        elif names != tested[1]:
            other = sorted(names ^ tested[1], key=str)
            raise ValueError(
                f"{file} and {tested[0]} are of different images: {len(other)} are in "
                f"only one of them, the first is {other[0]!r}"
            )
        try:
            found = Detections.from_predictions(part, predictions, iou_type)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
        named = named_right(part, found)
        judged[file] = replace(rules.compared(part, found), named=named)
    if len(part.images) < len(ground_truth.images):
        print_log(
            f"{len(part.images)} of the {len(ground_truth.images)} images of the "
            "annotation file were tested; the figures are for those.",
            logger="current",
        )
    return {file: judged[file] for file in files}


def _check_classes(file: CocoContent, classes: Sequence[str]) -> None:
    names = [category["name"] for category in file.categories]
    wanted = set(classes)
    chosen = [name for name in names if name in wanted]
    if chosen == list(classes) or spellings(classes, names):
        return
    if unknown := [name for name in classes if name not in names]:
        raise ValueError(
            f"{file.source}: `classes`: there is no category {unknown}, only {names}"
        )
    raise ValueError(
        f"{file.source}: `classes` must be in the order of the file, each once: "
        f"{chosen}, got {list(classes)}"
    )
