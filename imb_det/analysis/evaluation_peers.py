"""One evaluation by the rules of LVIS, by this library and by others."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from imb_det.evaluation.functional import FederatedGroundTruth, evaluate_lvis

from .lvis_scenes import LETTERS, xywh

__all__ = ["PEERS", "Figures", "prepare"]

#: Figures by name, and AP of each class, negative or NaN where it has no object.
Figures = tuple[dict[str, float], list[float]]


def prepare(who: str, predictions: list[dict[str, Any]]) -> Any:
    """Write predictions as an evaluation takes them; the arrays go one by one.

    Args:
        who: A key of :data:`PEERS`.
        predictions: Of each image, as ``Detections.from_predictions`` takes them.

    Returns:
        The same for us, an array (and masks) for hotcoco, or a dictionary for each
        detection.
    """
    if who == "ours":
        return predictions
    if who == "hotcoco":
        return _table(predictions)
    results = []
    while predictions:
        found = predictions.pop()
        own = zip(found["labels"].tolist(), found["scores"].tolist(), strict=True)
        key = "segmentation" if "masks" in found else "bbox"
        shapes = found["masks"] if "masks" in found else xywh(found["bboxes"])
        for (label, score), shape in zip(own, shapes, strict=True):
            entry = {"image_id": found["img_id"], "category_id": label + 1}
            results.append({**entry, "score": score, key: shape})
    return results


def _table(predictions: list[dict[str, Any]]) -> tuple[np.ndarray, list | None]:
    rows, masks = [], []
    for found in predictions:
        ids = np.full(len(found["scores"]), found["img_id"])
        rest = (xywh(found["bboxes"]), found["scores"], found["labels"] + 1)
        rows.append(np.column_stack([ids, *rest]))
        masks.extend(found.get("masks", ()))
    return np.concatenate(rows).astype(np.float64), masks or None


def run_ours(content: dict[str, Any], predictions: Any, iou_type: str) -> Figures:
    """Evaluate with this library: all that ``LVISMetric`` reports."""
    truth = FederatedGroundTruth.from_lvis(content)
    results = evaluate_lvis(truth, predictions, iou_type)
    groups = truth.groups or {}
    found = {**results.group_summary(groups), **results.balance_summary(groups)}
    of_groups = {f"AP{key}": found.get(f"AP{key}", -1.0) for key in LETTERS}
    figures = {**results.summary, **of_groups}
    figures.pop("AP_pool", None)  # the others have none
    return figures, results.ap.tolist()


def run_lvis(content: dict[str, Any], results: Any, iou_type: str) -> Figures:
    """Evaluate with the original."""
    from lvis import LVIS, LVISEval, LVISResults

    class Truth(LVIS):
        def _load_json(self, path: Any) -> Any:
            return path

    np.float = float  # type: ignore[attr-defined]  # noqa: NPY001 -- lvis is old
    truth = Truth(content)
    evaluator = LVISEval(truth, LVISResults(truth, results), iou_type)
    evaluator.run()
    precision = evaluator.eval["precision"][:, :, :, 0].mean((0, 1))
    return dict(evaluator.get_results()), precision.tolist()


def run_faster(content: dict[str, Any], results: Any, iou_type: str) -> Figures:
    """Evaluate with faster-coco-eval."""
    from faster_coco_eval import COCO, COCOeval_faster

    truth = COCO(content)
    found = truth.loadRes(results)
    evaluator = COCOeval_faster(
        truth, found, iou_type, lvis_style=True, print_function=lambda *_: None
    )
    evaluator.params.maxDets = [300]
    evaluator.evaluate()
    evaluator.accumulate()
    precision = evaluator.eval["precision"]
    return _of_arrays(content, precision, evaluator.eval["recall"])


def run_hotcoco(content: dict[str, Any], table: Any, iou_type: str) -> Figures:
    """Evaluate with hotcoco."""
    import hotcoco

    truth = hotcoco.COCO(content)
    rows, masks = table
    found = truth.load_res(rows) if masks is None else None
    if found is None:
        found = truth.load_res(rows, segmentation=masks)
        areas = hotcoco.mask.area(masks)
        found.update_anns(ids=np.arange(1, len(areas) + 1), area=areas)
    evaluator = hotcoco.LVISeval(truth, found, iou_type)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.run()
    arrays = evaluator.eval or {}
    return _of_arrays(content, arrays["precision"], arrays["recall"])


def _of_arrays(
    content: Mapping[str, Any], precision: np.ndarray, recall: np.ndarray
) -> Figures:
    """Name the figures of pycocotools' arrays, (T, R, C, A, M) and (T, C, A, M)."""
    precision, recall = precision[..., -1], recall[..., -1]
    letters = np.array([c["frequency"] for c in content["categories"]])

    def mean(values: np.ndarray) -> float:
        values = values[values > -1]
        return float(values.mean()) if values.size else -1.0

    figures = {
        "AP": mean(precision[:, :, :, 0]),
        "AP50": mean(precision[0, :, :, 0]),
        "AP75": mean(precision[5, :, :, 0]),
    }
    for area, size in enumerate("sml", 1):
        figures[f"AP{size}"] = mean(precision[..., area])
    for key in LETTERS:
        figures[f"AP{key}"] = mean(precision[:, :, letters == key, 0])
    for area, size in enumerate(("", *"sml")):
        figures[f"AR{size}@300"] = mean(recall[..., area])
    return figures, precision[:, :, :, 0].mean((0, 1)).tolist()


PEERS: dict[str, Callable[[dict[str, Any], Any, str], Figures]] = {
    "ours": run_ours,
    "hotcoco": run_hotcoco,
    "faster-coco-eval": run_faster,
    "lvis": run_lvis,
}
