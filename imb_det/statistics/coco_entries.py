"""Whether the entries of an annotation file of COCO or LVIS have the form of one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from imb_det.core.text import and_more

from .coco_faults import FaultList

__all__ = ["check_entries"]

_ABSENT = object()
_NUMBERS = {int, float}
_FLAGS = (0, 1, None)


def check_entries(
    content: Mapping[str, Any], faults: FaultList, name_key: str | None = None
) -> None:
    """Note every entry that is malformed.

    Whatever can be read passes, also where nothing can be learned from it: boxes with
    a corner that is not known, of no area, of an image that is not listed. Ids such as
    11.0, as table libraries write them, become whole numbers.

    Args:
        content: ``images``, ``categories`` and perhaps ``annotations``, lists.
        faults: Gets what is found.
        name_key: Key that each image needs for the name of its file. Default: None,
            names are not needed.
    """
    parts = {
        part: content.get(part, ()) for part in ("images", "categories", "annotations")
    }
    sound = {part: _mappings(part, entries, faults) for part, entries in parts.items()}
    for part in sound.values():
        part.make_whole("id", "image_id", "category_id")
    kinds = {name: _check_ids(part, faults) for name, part in sound.items()}
    _check_images(sound["images"], faults, name_key)
    _check_names(sound["categories"], faults)
    _check_annotations(sound["annotations"], kinds, faults)


class _Part:
    """Entries of one part that are mappings, each with its place in the file."""

    def __init__(
        self, name: str, entries: Sequence[dict[str, Any]], places: Sequence[int]
    ) -> None:
        self.name, self.entries, self.places = name, entries, places

    def check(
        self,
        key: str,
        types: set[type],
        is_valid: Callable[[Any], bool] | None,
        wanted: str,
        code: str,
        faults: FaultList,
        needed: bool = True,
    ) -> list[Any]:
        """Note the entries that lack a key, or whose value is of another kind.

        Args:
            key: Of the entries.
            types: All values that are exactly of these types are valid.
            is_valid: Asked where there are others; those of ``types`` alone if None.
            wanted: What is valid, in words.
            code: Of the findings.
            faults: Gets what is found.
            needed: Whether each entry must have the key. Default: True.

        Returns:
            The values; those that are absent are a sentinel.
        """
        values = [entry.get(key, _ABSENT) for entry in self.entries]
        valid_types = types if needed else {*types, object}
        if set(map(type, values)) <= valid_types and is_valid is None:
            return values
        for index, value in enumerate(values):
            if value is _ABSENT:
                if needed:
                    self.note("entry_key", index, f"lacks the key `{key}`", faults)
            elif type(value) not in types or (is_valid and not is_valid(value)):
                text = f"`{key}` must be {wanted}, got {value!r:.80}"
                self.note(code, index, text, faults)
        return values

    def make_whole(self, *keys: str) -> None:
        """Replace numbers such as 11.0 by whole ones, in the entries."""
        for key in keys:
            if float not in set(map(type, (e.get(key) for e in self.entries))):
                continue
            for entry in self.entries:
                value = entry.get(key)
                if type(value) is float and value.is_integer():
                    entry[key] = int(value)

    def note(self, code: str, index: int, text: str, faults: FaultList) -> None:
        place, entry = self.places[index], self.entries[index]
        faults.add_entry(code, self.name, place, entry, text)


def _mappings(name: str, entries: Sequence[Any], faults: FaultList) -> _Part:
    if set(map(type, entries)) <= {dict}:
        return _Part(name, entries, range(len(entries)))
    places = []
    for index, entry in enumerate(entries):
        if isinstance(entry, Mapping):
            places.append(index)
        else:
            text = f"must be a mapping, got {entry!r:.80}"
            faults.add_entry("entry", name, index, entry, text)
    return _Part(name, [entries[index] for index in places], places)


_KIND_NAMES = {int: "a whole number", str: "text"}


def _check_ids(part: _Part, faults: FaultList) -> type | None:
    """Check ids; returns the type that they, or most of them, have."""
    ids = part.check(
        "id", {int, str}, None, "a whole number or text", "entry_id", faults
    )
    kinds = Counter(kind for kind in map(type, ids) if kind in _KIND_NAMES)
    if not kinds:
        return None
    kind = kinds.most_common(1)[0][0]
    if len(kinds) > 1:
        for index, value in enumerate(ids):
            if type(value) in _KIND_NAMES and type(value) is not kind:
                text = (
                    f"`id` must be {_KIND_NAMES[kind]}, as that of most, got {value!r}"
                )
                part.note("entry_id", index, text, faults)
    sound = [value for value in ids if type(value) in _KIND_NAMES]
    if len(set(sound)) < len(sound):
        _note_shared(part, ids, "id", "shared_id", faults)
    return kind


def _note_shared(
    part: _Part, values: Sequence[Any], key: str, code: str, faults: FaultList
) -> None:
    """Note values that several entries have, once each."""
    places: dict[Any, list[int]] = {}
    for index, value in enumerate(values):
        if type(value) in _KIND_NAMES:
            places.setdefault(value, []).append(index)
    other = "name" if key == "id" else "id"
    if part.name != "categories":
        other = "image_id" if part.name == "annotations" else "file_name"
    for value, own in places.items():
        if len(own) > 1:
            named = [part.entries[index].get(other) for index in own]
            at = [part.places[index] for index in own]
            text = (
                f"`{key}` {value!r} is also that of {part.name}{and_more(at[1:])} "
                f"({other}: {and_more(named)})"
            )
            part.note(code, own[0], text, faults)


def _check_images(images: _Part, faults: FaultList, name_key: str | None) -> None:
    for key in ("width", "height"):
        images.check(
            key,
            {int, float, type(None)},
            lambda side: side is None or 0 <= side < math.inf,
            "a number of pixels",
            "image_size",
            faults,
            needed=False,
        )
    for key in ("file_name", "coco_url"):
        is_needed = key == name_key
        types: set[type] = {str}
        if key == "coco_url" and not is_needed:
            types.add(type(None))  # as tools write that know of no address
        images.check(key, types, None, "text", "file_name", faults, is_needed)


def _check_names(categories: _Part, faults: FaultList) -> None:
    code = "category_name"
    names = categories.check("name", {str}, None, "text", code, faults)
    _note_shared(categories, names, "name", code, faults)


def _check_annotations(
    annotations: _Part, kinds: Mapping[str, type | None], faults: FaultList
) -> None:
    for part, key in (("images", "image_id"), ("categories", "category_id")):
        kind = kinds[part]
        types = {int, str} if kind is None else {kind}
        wanted = "a whole number or text" if kind is None else _KIND_NAMES[kind]
        text = f"{wanted}, as the ids of {part} are"
        annotations.check(key, types, None, text, "entry_id", faults)
    _check_boxes(annotations, faults)
    annotations.check("area", _NUMBERS, None, "a number", "area", faults)
    for key in ("iscrowd", "ignore"):
        _check_flags(annotations, key, faults)


def _check_boxes(annotations: _Part, faults: FaultList) -> None:
    boxes = [entry.get("bbox", _ABSENT) for entry in annotations.entries]
    is_quick = set(map(type, boxes)) <= {list} and set(map(len, boxes)) <= {4}
    if is_quick and set(map(type, chain.from_iterable(boxes))) <= _NUMBERS:
        return
    wanted = "four numbers (x, y, w, h)"
    annotations.check("bbox", {list}, _is_box, wanted, "bbox", faults)


def _is_box(bbox: Sequence[Any]) -> bool:
    # `null` stands for a number that is not known.
    return len(bbox) == 4 and {type(v) for v in bbox} <= {int, float, type(None)}


def _check_flags(annotations: _Part, key: str, faults: FaultList) -> None:
    values = [entry.get(key) for entry in annotations.entries]
    types = {int, bool, float, type(None)}
    if set(map(type, values)) <= types and set(values) <= set(_FLAGS):
        return
    annotations.check(
        key, types, lambda flag: flag in _FLAGS, "0 or 1", "flag", faults, needed=False
    )
