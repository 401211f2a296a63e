"""Why data sets of mmdet could not be built: what their annotation files hold."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mmdet.evaluation import CocoMetric
from mmengine.fileio import get_local_path
from mmengine.registry import DATASETS, METRICS

from imb_det.core.finding import Finding, FindingsError, Severity
from imb_det.statistics.coco_content import CocoContent

from .annotation_files import findings_of_leaf, is_read_by_mmdet
from .voc_findings import findings_of_voc, is_voc_of_mmdet

__all__ = ["explain_failures", "findings_of_config"]


#: What reading ends with where it meets something malformed.
_FAILURES = (
    AssertionError,
    AttributeError,
    LookupError,
    OverflowError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
    ZeroDivisionError,
)
#: Packages, one of which is at work where a file is read or judged.
_READERS = (
    "imb_det.datasets",
    "imb_det.evaluation",
    "lvis",
    "mmdet.datasets",
    "mmdet.evaluation",
    "mmengine.dataset",
    "pycocotools",
    "torch.utils.data",
)


@contextmanager
def explain_failures(config: Any) -> Iterator[None]:
    """Say what is wrong with annotation files, where reading them fails.

    mmdet's own data sets and metrics read files before any hook can look at them, and
    fail at the first malformed entry with an error that names neither file nor entry.
    Errors of models and losses pass: to read all files once more takes minutes, in
    which other ranks would wait, and the files would be blamed for what is none of
    theirs.

    Args:
        config: Of the runner that is built and started inside.

    Raises:
        FindingsError: In place of an error inside, if an annotation file is malformed.
    """
    try:
        yield
    except FindingsError:
        raise
    except _FAILURES as error:
        if not _is_of_reading(error):
            raise
        try:
            everything = list(findings_of_config(config))
        except Exception:  # of a part that cannot be built: the first error tells more
            everything = []
        found = [f for f in everything if f.severity is Severity.ERROR]
        if not found:
            raise
        title = f"The annotation files of the config ({type(error).__name__}: {error})"
        raise FindingsError(list(dict.fromkeys(found)), title) from error


def _is_of_reading(error: BaseException) -> bool:
    """Tell whether an error comes from what reads or judges files."""
    frames = traceback.walk_tb(error.__traceback__)
    names = {str(frame.f_globals.get("__name__", "")) for frame, _ in frames}
    names.discard(__name__)  # which every error passes through
    return any(f"{name}.".startswith(f"{r}.") for name in names for r in _READERS)


def findings_of_config(config: Any) -> Iterator[Finding]:
    """Read the annotation files of mmdet's data sets and metrics.

    Args:
        config: With loaders and evaluators.
    """
    for split in ("train", "val", "test"):
        for entry in _entries(config.get(f"{split}_dataloader")):
            if is_read_by_mmdet(_class_of(DATASETS, entry)):
                leaf = DATASETS.build({**entry, "lazy_init": True})
                is_training = split == "train"
                yield from findings_of_leaf(leaf, is_training, is_training)
            elif is_voc_of_mmdet(_class_of(DATASETS, entry)):
                leaf = DATASETS.build({**entry, "lazy_init": True})
                yield from findings_of_voc(leaf)
        for entry in _entries(config.get(f"{split}_evaluator")):
            path = entry.get("ann_file")
            is_of_coco = issubclass(_class_of(METRICS, entry), CocoMetric)
            if path and is_of_coco and not entry.get("format_only"):
                yield from _of_file(path, entry.get("backend_args"))


def _entries(config: Any) -> Iterator[Mapping[str, Any]]:
    """Yield everything in a config that is to be built, at any depth."""
    if isinstance(config, Mapping):
        if "type" in config:
            yield config
        config = list(config.values())
    if isinstance(config, (list, tuple)):
        for part in config:
            yield from _entries(part)


def _class_of(registry: Any, entry: Mapping[str, Any]) -> type:
    """Return the class that a config names; `object` where the registry has it not."""
    kind = entry["type"]
    if isinstance(kind, str):
        with registry.switch_scope_and_registry(None) as own:
            kind = own.get(kind)
    return kind if isinstance(kind, type) else object


def _of_file(path: str, backend_args: Any) -> Iterator[Finding]:
    try:
        with get_local_path(path, backend_args=backend_args) as local_path:
            CocoContent.read(local_path, path)
    except FindingsError as error:
        yield from error.findings
