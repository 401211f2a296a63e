"""Options of a config that are not in effect: nobody reads them, or nothing fits."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS

from imb_det.core.finding import Finding, Severity
from imb_det.core.text import and_more
from imb_det.doctor.context import DoctorContext

from .heads import mapping_at
from .read_names import names_read_by

__all__ = ["check_custom_keys", "check_files", "check_test_cfg"]

#: Parts of the `test_cfg` of a detector with proposals.
_PARTS = ("rpn", "rcnn")
_CODE = "unread_option"
#: From where on a key is a slip of a name.
_ALIKE = 0.8


def check_custom_keys(context: DoctorContext) -> Iterator[Finding]:
    """Find ``paramwise_cfg.custom_keys`` that are in the name of no parameter.

    Args:
        context: With a model and a config.
    """
    wrapper = mapping_at(context.config, "optim_wrapper")
    keys = mapping_at(wrapper, "paramwise_cfg", "custom_keys")
    if context.model is None or not keys:
        return
    kind = wrapper.get("constructor", DefaultOptimWrapperConstructor)
    kind = OPTIM_WRAPPER_CONSTRUCTORS.get(kind) if isinstance(kind, str) else kind
    if kind is not DefaultOptimWrapperConstructor:
        return  # others have rules of their own
    names = [name for name, _ in context.model.named_parameters()]
    starts = list(dict.fromkeys(name.partition(".")[0] for name in names))
    parts = {part for name in names for part in name.split(".")}
    for key in keys:
        if any(key in name for name in names):
            continue
        near = difflib.get_close_matches(key.rpartition(".")[2], parts, 1, _ALIKE)
        yield Finding(
            _CODE,
            # Configs for several models have keys that are for some of them.
            Severity.WARNING if near else Severity.INFO,
            "an option fits no parameter of the model",
            f"`optim_wrapper.paramwise_cfg.custom_keys[{key!r}]`",
            f"{keys[key]} is for nobody; names begin with {and_more(starts)}",
            f"Write `{near[0]}`" if near else "Take it out, or write a part of a name",
        )


def check_test_cfg(context: DoctorContext) -> Iterator[Finding]:
    """Find keys of ``model.test_cfg`` that nobody reads.

    A detector with proposals reads ``rpn`` and ``rcnn``, and what is beside them is
    lost. Of other heads, what the code of no part of the model mentions is.

    Args:
        context: With a model and a config.
    """
    model = context.model
    given = mapping_at(context.config, "model", "test_cfg")
    if model is None:
        return
    known = names_read_by(dict.fromkeys(type(part) for part in model.modules()))
    has_parts: bool = hasattr(model, "roi_head") and hasattr(model, "rpn_head")
    own = names_read_by([type(model)])
    for key in given:
        place = "model.test_cfg"
        if has_parts and key not in _PARTS:
            if key not in own:
                yield _unread(
                    place,
                    key,
                    given[key],
                    f"Move it to `{place}.rcnn` or `{place}.rpn`",
                )
        elif not has_parts and key not in known:
            yield _unread(place, key, given[key], _instead(key, known))
    for part in _PARTS if has_parts else ():
        inner: Any = given.get(part)
        for key, value in inner.items() if isinstance(inner, Mapping) else ():
            if key not in known:
                remedy = _instead(key, known)
                yield _unread(f"model.test_cfg.{part}", key, value, remedy)


def check_files(context: DoctorContext) -> Iterator[Finding]:
    """Find checkpoints that a config names and that are not there.

    Args:
        context: With a config.
    """
    config = context.config
    wanted = {"load_from": config.get("load_from")}
    resume = config.get("resume")
    if isinstance(resume, str):
        wanted["resume"] = resume
    wanted.update(_checkpoints(config.get("model"), "model"))
    for place, path in wanted.items():
        if not isinstance(path, str) or not path or ":" in path:
            continue  # of a network, or a library
        if not Path(path).is_file():
            what = "is a folder" if Path(path).is_dir() else "there is no such file"
            yield Finding(
                "missing_checkpoint",
                Severity.ERROR,
                "a checkpoint that the training starts from is not there",
                f"`{place}`",
                f"{path!r}: {what}, seen from {Path.cwd()}",
                f"Write the path of a file into `{place}`, or None",
            )


def _checkpoints(node: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield what parts of a model are to be loaded from."""
    if isinstance(node, Mapping):
        start = node.get("init_cfg")
        for one in start if isinstance(start, Sequence) else [start]:
            if isinstance(one, Mapping) and one.get("type") == "Pretrained":
                yield f"{place}.init_cfg.checkpoint", str(one.get("checkpoint") or "")
        for key, value in node.items():
            yield from _checkpoints(value, f"{place}.{key}")
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _checkpoints(value, f"{place}[{index}]")


def _unread(place: str, key: str, value: Any, remedy: str) -> Finding:
    return Finding(
        _CODE,
        Severity.WARNING,
        "an option that nobody reads",
        f"`{place}.{key}`",
        f"{key}={value!r}",
        remedy,
    )


def _instead(key: str, known: frozenset[str]) -> str:
    """Name an option that is read and nearly spelt so."""
    usual = ("score_thr", "max_per_img", "nms_pre", "nms", "min_bbox_size", "conf_thr")
    near = difflib.get_close_matches(key, [u for u in usual if u in known], 1, 0.5)
    return f"Write `{near[0]}`" if near else "Take it out"
