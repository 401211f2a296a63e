"""Segments of panoptic data: stuff beside things, and the pixels of both."""

from __future__ import annotations

import json
import logging
from functools import cached_property
from typing import Any

import numpy as np
from mmengine.fileio import get

from .class_maps import objects_of, read_map
from .dataset_access import iter_data_infos, leaf_datasets

__all__ = [
    "Segments",
    "first_record",
    "has_areas",
    "is_panoptic",
    "thing_classes",
    "thing_labels",
]

_logger = logging.getLogger(__name__)


def is_panoptic(info: dict[str, Any]) -> bool:
    """Tell whether a record has segments of things and stuff."""
    return "segments_info" in info and "instances" in info


def first_record(leaf: Any) -> dict[str, Any]:
    """Return the first record of a data set that may have segments or maps.

    Nothing, and no record is read, where neither its names nor its folders tell of any.

    Args:
        leaf: Built data set, no wrapper.
    """
    folders = getattr(leaf, "data_prefix", None) or {}
    may_have = any(str(key).startswith("seg") for key in folders)
    metainfo = getattr(leaf, "metainfo", None) or {}
    may_have |= bool(metainfo.get("stuff_classes"))
    if not may_have or not hasattr(leaf, "__len__") or not len(leaf):
        return {}
    record: dict[str, Any] = leaf.get_data_info(0)
    return record


def has_areas(leaf: Any, info: dict[str, Any]) -> bool:
    """Tell whether pixels need no map: the records or the annotation file have them.

    Args:
        leaf: Built panoptic data set, no wrapper.
        info: Its first record.
    """
    segments = info["segments_info"]
    if segments and all("area" in segment for segment in segments):
        return True
    try:
        path, backend_args = leaf.ann_file, getattr(leaf, "backend_args", None)
        return b'"area"' in get(path, backend_args)
    except (OSError, ValueError, TypeError, AttributeError):
        return False


def thing_labels(leaf: Any) -> frozenset[int]:
    """Return the labels of things in a panoptic set.

    By ``thing_classes`` and ``stuff_classes`` of its ``metainfo``; where these do not
    name all classes, by the segments that are marked as things.

    Args:
        leaf: Built data set, no wrapper.
    """
    classes = leaf.metainfo["classes"]
    things = set(leaf.metainfo.get("thing_classes") or ())
    stuff = set(leaf.metainfo.get("stuff_classes") or ())
    if set(classes) <= things | stuff:
        return frozenset(i for i, name in enumerate(classes) if name in things)
    return frozenset(
        segment["category"]
        for info in iter_data_infos(leaf)
        for segment in info.get("segments_info", ())
        if segment.get("is_thing")
    )


def thing_classes(dataset: Any) -> tuple[str, ...]:
    """Return the names of things, in the order of the classes; none without stuff.

    Args:
        dataset: Built mmengine data set, wrapped in any way.
    """
    leaves = [
        leaf for leaf in leaf_datasets(dataset) if is_panoptic(first_record(leaf))
    ]
    labels = frozenset[int]().union(*map(thing_labels, leaves))
    if not leaves or len(labels) == len(classes := leaves[0].metainfo["classes"]):
        return ()
    return tuple(classes[label] for label in sorted(labels))


class Segments:
    """Makes objects to count of the stuff in panoptic records.

    A segment of stuff is one object, like a box of a thing. Crowds of things do not
    count. The pixels are those of ``area`` in ``segments_info``, in the records or, as
    mmdet's data sets leave it out of these, in the annotation file; without it they
    are counted in the map.

    Args:
        leaf: Built panoptic data set, no wrapper.
    """

    def __init__(self, leaf: Any) -> None:
        self.leaf = leaf
        self.things = thing_labels(leaf)
        self._has_told = False

    def counted(self, info: dict[str, Any]) -> dict[str, Any]:
        """Return a record with its stuff among the objects, and the pixels of each."""
        # A crowd of things is no thing in the records, and no stuff either.
        own = [
            segment
            for segment in info["segments_info"]
            if segment.get("is_thing") or segment["category"] not in self.things
        ]
        stuff = [s["category"] for s in own if s["category"] not in self.things]
        objects = [*info["instances"], *objects_of(stuff)]
        areas = self._areas(info, own)
        if areas is None:
            return {**info, "instances": objects, "pixels": None}
        pixels: dict[int, int] = {}
        for segment in own:
            label = segment["category"]
            pixels[label] = pixels.get(label, 0) + int(areas[segment["id"]])
        return {**info, "instances": objects, "pixels": pixels}

    def _areas(self, info: dict[str, Any], segments: list[Any]) -> dict | None:
        """Return the pixels of segments by their id; None where nothing tells them."""
        if all("area" in segment for segment in segments):
            return {segment["id"]: segment["area"] for segment in segments}
        known = self._of_file.get(info.get("img_id"), {})
        if all(segment["id"] in known for segment in segments):
            return known
        path = info.get("seg_map_path")
        backend_args = getattr(self.leaf, "backend_args", None)
        try:
            if not path:
                raise FileNotFoundError("it names no `seg_map_path`")
            counts = _ids_of(path, backend_args)
        except OSError as error:
            if not self._has_told:
                self._has_told = True
                _logger.warning(
                    "the pixels of classes are not counted: image %r has neither "
                    "`area` in `segments_info` nor a map (%s)",
                    info.get("img_id"),
                    error,
                )
            return None
        return {segment["id"]: counts.get(segment["id"], 0) for segment in segments}

    @cached_property
    def _of_file(self) -> dict[Any, dict[int, int]]:
        """Areas by image and segment in the annotation file; none where it has none."""
        path = getattr(self.leaf, "ann_file", None)
        try:
            content = json.loads(get(path, getattr(self.leaf, "backend_args", None)))
            return {
                entry["image_id"]: {s["id"]: s["area"] for s in entry["segments_info"]}
                for entry in content["annotations"]
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}


def _ids_of(path: str, backend_args: Any) -> dict[int, int]:
    """Count the pixels of each segment in a panoptic map, R + 256 G + 65536 B."""
    colours = read_map(path, backend_args).astype(np.int64)
    if colours.ndim == 3:
        colours = colours[..., :3] @ np.array([1, 256, 65536])
    found, counts = np.unique(colours, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))
