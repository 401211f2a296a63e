"""Names and ids of categories, in all the files of a config."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from imb_det.core.finding import Finding, Severity
from imb_det.core.text import and_more, plain_name
from imb_det.evaluation.metric_files import content_of
from imb_det.statistics.coco_classes import spellings
from imb_det.statistics.coco_content import CocoContent

__all__ = ["CategoryMap", "compared", "maps_of_metrics", "order_of_lvis"]


class CategoryMap(NamedTuple):
    """The categories of a file.

    Args:
        source: The file, for messages.
        pairs: Ids and names, in the order of the file.
    """

    source: str
    pairs: Sequence[tuple[Any, str]]


def maps_of_metrics(
    metrics: Mapping[str, Sequence[Any]], read: Collection[str]
) -> Iterator[CategoryMap]:
    """Yield the categories of files that metrics have read.

    Args:
        metrics: By split.
        read: Files that are known already.
    """
    for split, own in metrics.items():
        for metric in own:
            content = content_of(metric)
            source = str(getattr(metric, "ann_file", None) or "")
            if not isinstance(content, Mapping) or source in read:
                continue
            entries = content.get("categories")
            pairs = [
                (entry.get("id"), entry.get("name"))
                for entry in (entries if isinstance(entries, list) else ())
                if isinstance(entry, Mapping)
            ]
            sound = [(key, name) for key, name in pairs if isinstance(name, str)]
            where = source or f"`ann_file` of {type(metric).__name__} of {split}"
            yield CategoryMap(where, sound)


def compared(
    maps: Sequence[CategoryMap], classes: Sequence[str] = ()
) -> Iterator[Finding]:
    """Find ids that stand for other names in another file, and names nearly alike.

    Args:
        maps: Of all files; the first is what the others are held against.
        classes: Names of the config. Default: none.
    """
    seen = [maps[0].pairs] if maps else []
    for other in maps[1:]:
        if other.pairs in seen:  # a metric's file is often that of the data set
            continue
        seen.append(other.pairs)
        theirs = dict(other.pairs)
        pairs = [
            f"{key!r} is {name!r} and {theirs[key]!r}"
            for key, name in maps[0].pairs
            if theirs.get(key, name) != name
        ]
        if pairs:
            yield Finding(
                "category_ids_differ",
                Severity.WARNING,
                "one category id stands for other classes in another file: results, "
                "and readers that go by ids, mix them up",
                f"{maps[0].source} and {other.source}",
                and_more(pairs, quoted=False),
                "Give each class one id in all files",
            )
    alike: dict[str, dict[str, str]] = {}
    for name in classes:
        alike.setdefault(plain_name(name), {}).setdefault(name, "the config")
    for source, pairs_ in maps:
        for _, name in pairs_:
            alike.setdefault(plain_name(name), {}).setdefault(name, source)
    for names in alike.values():
        if len(names) > 1:
            yield Finding(
                "names_alike",
                Severity.WARNING,
                "names of classes that differ in blanks, hyphens, capital letters or "
                "accents alone, so that they count as different ones",
                ", ".join(dict.fromkeys(names.values())),
                and_more(names),
                "Write the name alike in `metainfo=dict(classes=...)` and in all files",
            )


def order_of_lvis(file: CocoContent, classes: Sequence[str]) -> Iterator[Finding]:
    """Find names in another order than that of the config, by which LVIS sets go.

    Args:
        file: Of a data set of LVIS, whose labels are places in it.
        classes: Names of the config; some may be spelled otherwise in the file.
    """
    theirs = [category["name"] for category in file.categories]
    if not classes or theirs == list(classes) or spellings(classes, theirs):
        return
    pairs = list(zip(classes, theirs, strict=False))
    # Names that only look alike are told elsewhere.
    moved = [at for at, pair in enumerate(pairs) if len(set(map(plain_name, pair))) > 1]
    if moved:
        ours, other = pairs[moved[0]]
        text = f"label {moved[0]} is {other!r} in the file, but {ours!r} in the config"
    elif len(theirs) != len(classes):
        text = f"{len(theirs)} categories in the file, {len(classes)} in the config"
    else:
        return
    yield Finding(
        "category_order",
        Severity.ERROR,
        "labels and names of classes part company",
        file.source,
        text,
        "Data sets of LVIS number the labels by the order of the file: set "
        "`metainfo=dict(classes=...)` to its names, in its order",
    )
