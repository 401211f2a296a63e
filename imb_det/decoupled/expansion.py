"""A detector of more classes, from one of fewer or of none in particular."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import DATASETS, MODELS, init_default_scope
from torch import Tensor

from imb_det.calibration.classifier_outputs import (
    class_numbers,
    classifier_outputs,
    extra_outputs,
)
from imb_det.checkpoint_files import read_weights
from imb_det.core import and_more, check_choice
from imb_det.merging.class_rows import take_rows, with_classes
from imb_det.merging.state_dicts import classes_of, other_spellings

from .stage_parts import is_in

__all__ = ["expand"]


def expand(
    config: Any,
    checkpoint: str | Path,
    out: Path,
    fill: str = "mean",
    classes: Sequence[str] | None = None,
    seed: int = 0,
    more: Sequence[str | Path] = (),
) -> list[str]:
    """Write weights for the classes of a config, from a detector that lacks some.

    Rows of classes, of background too, are mapped by name; everything of the same shape
    is taken over.

    Args:
        config: Of the detector to come.
        checkpoint: Of the one that there is.
        out: File to write, for ``load_from``.
        fill: Rows of new classes: the ``'mean'`` of those that are known, which of a
            detector of one class are those of an object, or ``'keep'`` for a new start.
            Default ``'mean'``.
        classes: Names of the classes of the checkpoint. Default None, those that it
            tells.
        seed: Of a new start. Default 0.
        more: Checkpoints whose rows are taken for the classes that the one before does
            not know, and nothing else of theirs. Default none.

    Returns:
        Lines that say what was taken over.

    Raises:
        FileNotFoundError: No such checkpoint.
        ValueError: Classes that are unknown, or nothing that could be taken over, of
            one of the checkpoints.
    """
    check_choice("expand", "fill", fill, ("mean", "keep"))
    init_default_scope(config.get("default_scope", "mmdet"))
    content, source = read_weights(checkpoint)
    known = tuple(classes or classes_of(content) or ())
    if not known:
        raise ValueError(
            f"{checkpoint} does not tell its classes; give them with `--classes`"
        )
    dataset = DATASETS.build(config.train_dataloader.dataset)
    wanted = tuple(dataset.metainfo["classes"])
    torch.manual_seed(seed)
    model: Any = MODELS.build(config.model)
    downloaded = []  # not here: the checkpoint brings it, or else the training does
    for path, part in model.named_modules():
        if "Pretrained" in str(getattr(part, "init_cfg", None) or {}):
            part.init_cfg = None
            downloaded.append(path)
    model.init_weights()
    extra = extra_outputs(model)
    if (numbers := class_numbers(model)) != [len(wanted)]:
        raise ValueError(
            f"the heads of the config have {numbers} classes, its training set "
            f"{len(wanted)}"
        )
    made, kept = with_classes(source, model.state_dict(), known, wanted, extra, fill)
    if len(kept) == len(made):
        raise ValueError(f"{checkpoint} has nothing that the model could take over")
    shared = [name for name in wanted if name in known]
    new = [name for name in wanted if name not in known]
    from_more = []
    for file in more:
        found = _rows_of_more(file, made, wanted, new, extra)
        new = [name for name in new if name not in found]
        from_more.append(f"classes of {file}: {and_more(found)}")
    tensors = len(made)
    for name in kept:
        if is_in(name, downloaded):
            del made[name]
    torch.save(dict(state_dict=made, meta=dict(dataset_meta=dict(classes=wanted))), out)
    lost = [name for name in known if name not in wanted]
    lines = [f"{tensors - len(kept)} of {tensors} tensors are taken over"]
    if kept:
        lines.append(f"not taken over: {and_more(kept, quoted=False)}")
    if (classifiers := _classifiers(model)) and classifiers <= set(kept):
        told = f"{len(known)} classes" if len(known) > 1 else "one class"
        lines.append(f"no row of a class: {checkpoint} has no such layer of {told}")
        return lines + from_more
    rows = "the mean of the others" if fill == "mean" else "a new start"
    lines.append(f"classes known by name: {and_more(shared) if shared else 'none'}")
    lines += from_more
    hint = other_spellings(new, lost)
    lines.append(f"new classes, with {rows}: {and_more(new) if new else 'none'}{hint}")
    if lost and len(known) > 1:
        lines.append(f"classes that are left out: {and_more(lost)}")
    return lines


def _classifiers(model: Any) -> set[str]:
    """Return the weights of the classifiers, none of heads that are not known."""
    try:
        return {f"{output.name}.weight" for output in classifier_outputs(model)}
    except TypeError:
        return set()


def _rows_of_more(
    file: str | Path,
    made: dict[str, Tensor],
    wanted: Sequence[str],
    new: Sequence[str],
    extra: int,
) -> list[str]:
    """Take the rows of classes that are new from one more checkpoint; return them."""
    content, source = read_weights(file)
    classes = classes_of(content)
    if classes is None:
        raise ValueError(f"{file} does not tell its classes")
    found = [name for name in new if name in classes]
    if not found:
        raise ValueError(f"{file} knows no class that those before do not know")
    if not take_rows(made, source, classes, wanted, found, extra):
        raise ValueError(
            f"{file} has no classifier of the form of that of the config, whose rows "
            f"could be taken for {and_more(found)}"
        )
    return found
