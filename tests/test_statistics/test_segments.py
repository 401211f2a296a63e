"""Counts of stuff and of pixels."""

import json
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from mmdet.registry import DATA_SAMPLERS, DATASETS, TRANSFORMS
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset
from PIL import Image
from torch.utils.data import Subset

from imb_det.checks import ALL_CHECKS, run_checks
from imb_det.core import CheckContext
from imb_det.evaluation import SemSegMetric
from imb_det.statistics import ClassStats, LabelTable, label_cache, label_table
from imb_det.statistics.class_slices import by_pixel, of_stuff, of_things
from imb_det.statistics.description import describe
from tests.segmented_sets import (
    CLASSES,
    IMAGES,
    INSTANCES,
    METAINFO,
    PIXELS,
    SCENES,
    THING_IMAGES,
    THINGS,
    build,
    load_maps,
    painted,
    write_panoptic,
    write_semantic,
)


def counts_of(stats):
    return (
        stats.image_count.tolist(),
        stats.instance_count.tolist(),
        stats.pixel_count.tolist(),
    )


def by_hand(scenes, images):
    """Counts of some images, one pixel at a time."""
    found = np.zeros((3, len(CLASSES)), int)
    for image in sorted(set(images)):
        scene = scenes[image]
        kept = [(number, s) for number, s in enumerate(scene, 1) if not s[5]]
        for label in {s[0] for _, s in kept}:
            found[0, label] += 1
        for number, segment in kept:
            found[1, segment[0]] += 1
            found[2, segment[0]] += (painted(scene) == number).sum()
    return tuple(found.tolist())


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    # mmengine collects garbage after it serialises: most of the time here.
    monkeypatch.setattr("mmengine.dataset.base_dataset.gc.collect", lambda: 0)


@pytest.fixture(scope="module")
def panoptic(tmp_path_factory):
    return write_panoptic(tmp_path_factory.mktemp("panoptic") / "set")


@pytest.fixture(scope="module")
def semantic(tmp_path_factory):
    return write_semantic(tmp_path_factory.mktemp("semantic") / "set")


def test_panoptic_sets_count_stuff_and_pixels(panoptic):
    stats = ClassStats.from_dataset(build(panoptic))
    assert counts_of(stats) == (IMAGES, INSTANCES, PIXELS)
    assert counts_of(stats) == by_hand(SCENES, range(3))
    assert stats.thing_classes == THINGS
    assert stats.thing_images == THING_IMAGES
    assert ClassStats.from_dict(json.loads(json.dumps(stats.to_dict()))) == stats
    text = describe(stats)
    assert "8 segments" in text
    assert "without any segment: ['snow']" in text


def test_files_count_as_their_data_sets(panoptic, tmp_path):
    path = f"{panoptic['data_root']}/panoptic.json"
    wanted = ClassStats.from_dataset(build(panoptic))
    assert ClassStats.from_file(path) == wanted
    assert ClassStats.from_file(path, CLASSES) == wanted
    found = ClassStats.from_panoptic(path, ("sand", "cat"))
    assert counts_of(found) == ([2, 2], [2, 3], [PIXELS[3], PIXELS[0]])
    assert (found.thing_classes, found.thing_images) == (("cat",), 2)
    with pytest.raises(ValueError, match=r"has no category \['bus'\]"):
        ClassStats.from_panoptic(path, ("bus",))
    wanted.to_json(tmp_path / "stats.json")
    assert ClassStats.from_file(tmp_path / "stats.json") == wanted
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(dict(annotations=[dict(segments_info=[])])))
    with pytest.raises(ValueError, match="no panoptic annotations"):
        ClassStats.from_panoptic(broken)


def test_pixels_are_counted_in_maps_where_no_area_is_known(
    panoptic, tmp_path, monkeypatch, caplog
):
    dataset = build(panoptic)
    dataset.ann_file = str(tmp_path / "elsewhere.json")
    stats = ClassStats.from_dataset(dataset)
    assert stats.pixel_count.tolist() == PIXELS
    # With areas in the records, neither is read.
    dataset = build(panoptic, serialize_data=False)
    for info in dataset.data_list:
        info["seg_map_path"] = "nowhere.png"
        for segment in info["segments_info"]:
            segment["area"] = 7
    stats = ClassStats.from_dataset(dataset)
    assert stats.pixel_count.tolist() == [7 * n for n in INSTANCES]
    # Without any of them the pixels are not known; the segments are.
    dataset = build(panoptic, data_prefix=dict(img=""))
    dataset.ann_file = str(tmp_path / "elsewhere.json")
    with caplog.at_level(logging.WARNING):
        stats = ClassStats.from_dataset(dataset)
    assert stats.pixel_count is None
    assert stats.instance_count.tolist() == INSTANCES
    assert "the pixels of classes are not counted: image 1" in caplog.text
    with pytest.raises(ValueError, match="the pixels of the classes are not known"):
        by_pixel(stats)


def test_things_are_told_by_segments_where_names_do_not(panoptic):
    names = dict(METAINFO, thing_classes=("bus",), stuff_classes=("road",))
    dataset = build(panoptic, metainfo=names)
    stats = ClassStats.from_dataset(dataset)
    assert counts_of(stats) == (IMAGES, INSTANCES, PIXELS)
    assert stats.thing_classes == THINGS


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("kind", ["ADE20KSegDataset", "CocoSegDataset"])
def test_semantic_maps(tmp_path, kind, shift):
    config = write_semantic(tmp_path / "set", shift=shift)
    stats = ClassStats.from_dataset(build(config, type=f"mmdet.{kind}"))
    # A crowd is as good as any other pixel here: its 80 are of a cat.
    pixels = [PIXELS[0] + 80, *PIXELS[1:]]
    images = [IMAGES[0] + 1, *IMAGES[1:]]
    assert counts_of(stats) == (images, images, pixels)
    assert stats.thing_classes == ()


def test_maps_without_a_step_that_loads_them(semantic):
    stats = ClassStats.from_dataset(build(semantic, pipeline=[]))
    assert stats == ClassStats.from_dataset(build(semantic))
    names = (*CLASSES[::-1],)

    class Renamed(DATASETS.get("mmdet.ADE20KSegDataset")):
        METAINFO: ClassVar[dict] = dict(classes=CLASSES)

    # A label map is in effect, with the step and without.
    arguments = {key: value for key, value in semantic.items() if key != "type"}
    arguments.update(metainfo=dict(classes=names), use_label_map=True)
    for pipeline in ([], semantic["pipeline"]):
        steps = [TRANSFORMS.build(step) for step in pipeline]
        found = ClassStats.from_dataset(Renamed(**{**arguments, "pipeline": steps}))
        assert found.pixel_count.tolist() == stats.pixel_count.tolist()[::-1]


def test_labels_that_are_no_class_are_told(tmp_path, caplog):
    config = write_semantic(tmp_path / "set", shift=1)
    with caplog.at_level(logging.WARNING):
        stats = ClassStats.from_dataset(build(config, pipeline=[load_maps()]))
    assert stats.image_count.tolist()[1:4] == [3, 1, 2]
    assert not caplog.text  # shifted labels are classes still
    classes = dict(classes=CLASSES[:2])
    with caplog.at_level(logging.WARNING):
        ClassStats.from_dataset(build(config, metainfo=classes, pipeline=[load_maps()]))
    assert (
        "003.png has the labels [2, 4], which are none of the 2 classes" in caplog.text
    )


def test_a_map_that_is_not_there_is_named(semantic, tmp_path):
    dataset = build(semantic, serialize_data=False)
    dataset.data_list[1]["seg_map_path"] = str(tmp_path / "lost.png")
    with pytest.raises(FileNotFoundError, match=r"lost\.png"):
        ClassStats.from_dataset(dataset)


@pytest.mark.parametrize("kind", ["panoptic", "semantic"])
def test_wrappers_count_an_image_once(kind, request):
    dataset = build(request.getfixturevalue(kind))
    alone = ClassStats.from_dataset(dataset)
    same = [
        RepeatDataset(dataset, 3),
        ConcatDataset([dataset, dataset]),
        ClassBalanced(dataset),
    ]
    for wrapped in same:
        assert ClassStats.from_dataset(wrapped) == alone
    twice = ConcatDataset([dataset, build(request.getfixturevalue(kind))])
    assert counts_of(ClassStats.from_dataset(twice)) == tuple(
        [2 * n for n in counts] for counts in counts_of(alone)
    )
    part = Subset(dataset, [2, 0, 2])
    found = ClassStats.from_dataset(part)
    table = label_table(dataset).take(np.array([0, 2]))
    assert counts_of(found) == counts_of(ClassStats.from_table(table))
    if kind == "panoptic":
        assert counts_of(found) == by_hand(SCENES, [0, 2])
        assert found.thing_images == 2


class ClassBalanced(ClassBalancedDataset):
    """mmengine's, which asks for ids of categories that these sets do not give."""

    def _get_repeat_factors(self, dataset, repeat_thr):
        return [2.0, 1.0, 3.0]

    def __init__(self, dataset):
        super().__init__(dataset, oversample_thr=0.5)


def test_sets_of_boxes_have_no_pixels(panoptic):
    table = LabelTable.from_labels(CLASSES, [[0], [1, 2]])
    assert ClassStats.from_table(table).pixel_count is None
    joined = LabelTable.joined([table, label_table(build(panoptic))])
    assert joined.pixels is None
    assert joined.images_with().tolist() == [3, 2, 3, 2, 0]


@pytest.mark.parametrize("kind", ["panoptic", "semantic"])
def test_pixels_are_read_once(kind, request, tmp_path, monkeypatch):
    monkeypatch.setattr(label_cache, "_MAPS_CACHED_FROM", 3)
    config = request.getfixturevalue(kind)
    first = label_table(build(config), tmp_path)

    def fails(*args):
        raise AssertionError("read again")

    with monkeypatch.context() as patch:
        patch.setattr(LabelTable, "from_infos", fails)
        again = label_table(build(config), tmp_path)
        # Another step gives other labels.
        if kind == "semantic":
            other = [load_maps(reduce_zero_label=True)]
            with pytest.raises(AssertionError, match="read again"):
                label_table(build(config, pipeline=other), tmp_path)
    assert (again.pixels != first.pixels).nnz == 0
    assert again.labels.tolist() == first.labels.tolist()
    # So do other files.
    dataset = build(config)
    path = dataset.ann_file or dataset.get_data_info(1)["seg_map_path"]
    os.utime(path, ns=(1, 1))
    with monkeypatch.context() as patch:
        patch.setattr(LabelTable, "from_infos", fails)
        with pytest.raises(AssertionError, match="read again"):
            label_table(dataset, tmp_path)


def test_areas_from_maps_are_read_again_where_a_map_changes(
    panoptic, tmp_path, monkeypatch
):
    monkeypatch.setattr(label_cache, "_MAPS_CACHED_FROM", 3)
    dataset = build(panoptic)
    dataset.ann_file = str(tmp_path / "elsewhere.json")
    assert label_table(dataset, tmp_path).pixels_of().tolist() == PIXELS
    path = Path(dataset.get_data_info(0)["seg_map_path"])
    content = path.read_bytes()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(path)
    try:
        changed = label_table(dataset, tmp_path).pixels_of()
    finally:
        path.write_bytes(content)
    assert changed.sum() == sum(PIXELS) - 32 * 32


def test_options_of_a_step_that_are_no_numbers_count(semantic, tmp_path, monkeypatch):
    monkeypatch.setattr(label_cache, "_MAPS_CACHED_FROM", 3)

    class Merging(TRANSFORMS.get("mmdet.LoadAnnotations")):
        def __init__(self, merged):
            super().__init__(with_bbox=False, with_label=False, with_seg=True)
            self.merged = merged

        def transform(self, results):
            results = super().transform(results)
            for old, new in self.merged.items():
                results["gt_seg_map"][results["gt_seg_map"] == old] = new
            return results

    for merged, sky in (({}, PIXELS[2]), ({2: 3}, 0)):
        dataset = build(semantic, pipeline=[Merging(merged)])
        assert label_table(dataset, tmp_path).pixels_of()[2] == sky


def test_the_label_of_void_is_no_class(tmp_path):
    config = write_semantic(tmp_path / "set")
    names = tuple(map(str, range(256)))
    metainfo = dict(classes=names, palette=[])
    stats = ClassStats.from_dataset(build(config, metainfo=metainfo))
    assert stats.pixel_count[255] == 0
    assert stats.pixel_count[:5].tolist() == [PIXELS[0] + 80, *PIXELS[1:]]


def test_stuff_of_a_crowd_counts_in_files_and_sets(tmp_path):
    scenes = (((2, 0, 0, 32, 16, 1), (0, 0, 16, 32, 32, 0)),)
    config = write_panoptic(tmp_path / "set", scenes)
    wanted = ClassStats.from_dataset(build(config))
    assert wanted.instance_count.tolist() == [1, 0, 1, 0, 0]
    assert ClassStats.from_file(tmp_path / "set" / "panoptic.json") == wanted


# Slices.

STATS = ClassStats(
    CLASSES,
    IMAGES,
    INSTANCES,
    3,
    pixel_count=PIXELS,
    thing_classes=THINGS,
    thing_images=THING_IMAGES,
)


def test_slices():
    things, stuff = of_things(STATS), of_stuff(STATS)
    assert things == ClassStats(THINGS, [2, 1], [3, 1], 3, pixel_count=[300, 80])
    assert stuff.classes == ("sky", "sand", "snow", "things")
    assert counts_of(stuff) == ([2, 2, 0, 3], [2, 2, 0, 4], [*PIXELS[2:], 380])
    pixels = by_pixel(stuff)
    assert pixels.instance_count.tolist() == [*PIXELS[2:], 380]
    assert pixels.image_count.tolist() == [2, 2, 0, 3]
    hidden = by_pixel(replace(STATS, pixel_count=[300, 0, 1, 1, 0]))
    assert hidden.instance_count.tolist() == [300, 1, 2, 2, 0]


def test_things_must_come_first():
    stats = replace(STATS, thing_classes=("dog", "sky"))
    with pytest.raises(ValueError, match="need things first among the classes"):
        of_things(stats)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(pixel_count=[1]), "shape"),
        (dict(pixel_count=[1, 1, 1, 1, -1]), "must be >= 0"),
        (dict(thing_classes=("bus",)), "must be among the classes"),
    ],
)
def test_impossible_counts(change, message):
    with pytest.raises(ValueError, match=message):
        replace(STATS, **change)


@pytest.mark.parametrize("kind", ["panoptic", "semantic"])
def test_samplers_repeat_images_with_rare_stuff(kind, tmp_path):
    """Sky is in one of four images, sand in all."""
    only_sand = ((3, 0, 0, 32, 32, 0),)
    scenes = (((2, 0, 0, 32, 16, 0), (3, 0, 16, 32, 32, 0)), *[only_sand] * 3)
    write = dict(panoptic=write_panoptic, semantic=write_semantic)[kind]
    config = dict(type="imb_det.RepeatFactorSampler", repeat_thr=1.0)
    dataset = build(write(tmp_path / "set", scenes))
    sampler = DATA_SAMPLERS.build(config, default_args=dict(dataset=dataset, seed=0))
    paths = [dataset.get_data_info(i)["img_path"] for i in range(4)]
    wanted = [2.0 if path.endswith("001.jpg") else 1.0 for path in paths]
    assert sampler.image_weights(0).tolist() == wanted


@pytest.mark.parametrize("kind", ["panoptic", "semantic"])
def test_no_check_objects_to_them(kind, request):
    dataset = build(request.getfixturevalue(kind))
    metric = SemSegMetric(prefix="maps")
    metric.dataset_meta, stats = dataset.metainfo, ClassStats.from_dataset(dataset)
    metric.set_class_stats(stats)
    context = CheckContext(
        datasets=dict(train=dataset, val=dataset),
        metrics=dict(val=[metric]),
        class_stats=stats,
    )
    assert list(run_checks(context, ALL_CHECKS)) == []


def test_maps_may_be_hidden(semantic):
    """Where neither step nor map is there, as in an unlabelled part."""
    for options in (dict(with_seg=False), dict(type="mmdet.LoadEmptyAnnotations")):
        pipeline = [{**load_maps(), **options}]
        dataset = build(semantic, pipeline=pipeline)
        stats = ClassStats.from_dataset(dataset)
        assert stats.image_count.tolist() == [0] * 5
        assert (stats.num_images, stats.pixel_count.tolist()) == (3, [0] * 5)
