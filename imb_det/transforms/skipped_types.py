"""Transforms that a hook switches off by name, found under their scope as well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mmengine.logging import print_log

from imb_det.statistics.dataset_access import dataset_nodes

__all__ = ["skippers_of", "widen_skipped_types"]


def skippers_of(hooks: Iterable[Any], dataset: Any) -> Iterator[tuple[Any, str]]:
    """Yield what switches transforms off by the text that the config has for them.

    Args:
        hooks: Of a runner, such as ``YOLOXModeSwitchHook``.
        dataset: Of the training, wrapped in any way, such as ``MultiImageMixDataset``.

    Returns:
        The object and the name of its attribute, a sequence of texts.
    """
    everyone = [(hook, "skip_type_keys") for hook in hooks]
    everyone += [(node, "_skip_type_keys") for node in dataset_nodes(dataset)]
    for owner, name in everyone:
        keys = getattr(owner, name, None)
        if isinstance(keys, Sequence) and not isinstance(keys, str):
            yield owner, name


def widen_skipped_types(hooks: Iterable[Any], dataset: Any) -> bool:
    """Let ``'Mosaic'`` among types to skip stand for ``'imb_det.Mosaic'`` too.

    ``MultiImageMixDataset`` compares texts: with the default of
    ``YOLOXModeSwitchHook``, mosaics of this library would go on to the end, and the log
    would say that they do not.

    Args:
        hooks: Of a runner.
        dataset: Of the training, wrapped in any way.

    Returns:
        Whether the data set itself has changed, of which workers may have copies.
    """
    types, has_changed = [], False
    for node in dataset_nodes(dataset):
        known = getattr(node, "pipeline_types", None)
        if isinstance(known, list):
            # Where a config has classes, no text would ever be equal to them.
            named = [getattr(kind, "__name__", kind) for kind in known]
            has_changed |= named != known
            known[:] = named
            types += known
    for owner, name in skippers_of(hooks, dataset):
        keys = list(getattr(owner, name))
        more = [
            kind
            for kind in dict.fromkeys(types)
            if kind not in keys and kind.rpartition(".")[2] in keys
        ]
        if more:
            setattr(owner, name, [*keys, *more])
            has_changed |= name == "_skip_type_keys"
            print_log(
                f"{type(owner).__name__} skips {', '.join(more)} too: its list has "
                f"{', '.join(kind.rpartition('.')[2] for kind in more)}",
                logger="current",
            )
    return has_changed
