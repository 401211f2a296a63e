"""The arithmetic of the checks of data sets, against slow and plain versions."""

import copy
import itertools
import json
import math
import sys
from dataclasses import replace

import numpy as np
import pytest
from mmengine.config import Config

from imb_det.core.finding import Severity
from imb_det.doctor.building import build_context
from imb_det.doctor.data_checks import box_sizes
from imb_det.doctor.data_checks.box_sizes import check_box_sizes
from imb_det.doctor.data_checks.copy_groups import CopyGroups
from imb_det.doctor.data_checks.file_digests import same_files
from imb_det.doctor.data_checks.head_priors import shape_overlap
from imb_det.doctor.data_checks.image_copies import check_image_copies
from imb_det.doctor.data_checks.measurable import check_measurable, half_width
from imb_det.doctor.data_checks.objects import check_empty_images
from imb_det.doctor.data_checks.repeated_objects import same_objects
from imb_det.prior.boxes import TrainingBoxes
from tests import segmented_sets, toys
from tests.planted_sets import SIZE, PlantedSet
from tests.test_doctor.data_plants import nearly_copied


def test_half_width_by_hand():
    # 1.96 * 0.5 / sqrt(100); two classes of 100 boxes have a mean that is sqrt(2) finer
    assert half_width(np.array([100])) == pytest.approx(0.098, abs=1e-4)
    assert half_width(np.array([100, 100])) == pytest.approx(0.098 / math.sqrt(2), 1e-3)
    assert half_width(np.array([1])) == 0.5


def test_half_width_is_that_of_drawn_shares():
    counts = np.array([3, 8, 40])
    rng = np.random.default_rng(0)
    shares = rng.binomial(counts, 0.5, (200_000, 3)) / counts
    assert half_width(counts) == pytest.approx(1.96 * shares.mean(1).std(), rel=0.01)


def test_copies_between_and_within_sets():
    groups = CopyGroups([["a", "b", "x"], ["c"], ["y"]], np.array([[1, 2]]))
    trained, judged = {"a", "b", "c"}, {"x", "y"}
    assert groups.between(judged, trained) == [("x", "a"), ("y", "c")]
    assert groups.within(trained) == [("b", "a")]
    assert groups.within({"c", "y"}) == [("y", "c")]
    assert groups.between({"a", "x"}, {"a"}) == [("x", "a")]


def test_same_files(tmp_path):
    long = b"0" * 10_000
    contents = {
        "a": b"1" + long,
        "b": b"2" + long,  # of one length, and alike at the end
        "c": b"1" + long,
        "d": b"",
        "e": b"",
        "f": b"3",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "g").mkdir()
    paths = [str(tmp_path / name) for name in [*contents, "g", "absent"]]
    found = [[path[-1] for path in group] for group in same_files(paths)]
    assert sorted(found) == [["a", "c"], ["d", "e"]]


def test_shape_overlap():
    sides = np.array([[10.0, 20.0], [40.0, 5.0]])
    anchors = np.array([[10.0, 10.0], [16.0, 16.0]])
    # 100 / 200 and 160 / (200 + 256 - 160); 50 / 250 and 80 / (200 + 256 - 80)
    expected = [max(100 / 200, 160 / 296), max(50 / 250, 80 / 376)]
    assert shape_overlap(sides, anchors) == pytest.approx(expected)


def drawn_boxes():
    rng = np.random.default_rng(3)
    corners = rng.integers(0, 3, (60, 2)) * 4.0
    boxes = np.column_stack([corners, corners + rng.choice([12, 12.25, 16], (60, 2))])
    image = np.sort(rng.integers(0, 6, 60))
    labels = rng.integers(0, 2, 60)
    shape = np.full((6, 2), 60)
    return TrainingBoxes(shape, boxes.astype(np.float32), labels, labels < 0, image)


def overlap(a, b):
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    inside = np.prod(np.maximum(sides, 0))
    return inside / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - inside)


def test_same_objects_are_those_of_all_pairs():
    table = drawn_boxes()
    expected = {
        (a, b)
        for a, b in itertools.combinations(range(60), 2)
        if (table.image[a], table.labels[a]) == (table.image[b], table.labels[b])
        and overlap(*table.boxes[[a, b]].astype(float)) > 0.9
    }
    assert expected
    assert set(map(tuple, same_objects(table, 0.9).tolist())) == expected


def test_same_objects_are_those_that_hotcoco_finds(tmp_path):
    hotcoco = pytest.importorskip("hotcoco")
    table = drawn_boxes()
    corners = table.boxes.astype(float)
    boxes = np.column_stack([corners[:, :2], corners[:, 2:] - corners[:, :2]])
    content = dict(
        images=[
            dict(id=i, width=60, height=60, file_name=f"{i}.jpg") for i in range(1, 7)
        ],
        categories=[dict(id=i, name=f"class_{i}") for i in (1, 2)],
        annotations=[
            dict(
                id=k + 1,
                image_id=int(table.image[k]) + 1,
                category_id=int(table.labels[k]) + 1,
                bbox=boxes[k].tolist(),
                area=float(boxes[k, 2] * boxes[k, 3]),
                iscrowd=0,
            )
            for k in range(60)
        ],
    )
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    warnings = hotcoco.COCO(str(path)).healthcheck()["warnings"]
    (found,) = [w["affected_ids"] for w in warnings if w["code"] == "near_duplicate"]
    assert {k + 1 for k in same_objects(table).ravel().tolist()} == set(found)


def of_sizes(folder, *sizes):
    """Look at a RetinaNet and cats of one size, dogs of another."""
    planted = PlantedSet(folder)
    for annotation in planted.files["train"]["annotations"]:
        w, h = sizes[annotation["category_id"] - 1]
        annotation.update(bbox=[1, 1, w, h], area=w * h)
    planted.write()
    context, _ = build_context(planted.config)
    context = replace(context, model=toys.build_model(toys.retinanet_config(2)))
    found = check_box_sizes(context)
    return [f for f in found if f.severity is Severity.WARNING]


def test_boxes_that_fit_no_head_are_named(tmp_path):
    # Anchors are 24 to 136 px at strides 8, 16, 32.
    small, flat = of_sizes(tmp_path, (5, 6), (36, 4))
    assert small.code == "boxes_below_stride"
    assert "'cat'" in small.where
    assert "14 of 14 boxes, median 5.48 px" in small.evidence
    assert flat.code == "boxes_fit_no_anchor"
    assert "'dog'" in flat.where
    assert "bbox_head (RetinaHead)" in flat.evidence
    assert "is background, but for the best one of a box" in flat.evidence
    assert not of_sizes(tmp_path, (22, 26), (30, 20))


def test_stuff_has_no_boxes(tmp_path):
    part = segmented_sets.write_panoptic(tmp_path)
    loader = dict(PlantedSet(tmp_path / "other").config.train_dataloader, dataset=part)
    context, _ = build_context(Config(dict(train_dataloader=loader)))
    (found,) = check_box_sizes(context)
    assert "'sky'" not in found.evidence
    assert "'cat'" in found.evidence


def test_sizes_are_those_after_the_pipeline(tmp_path, monkeypatch):
    planted = PlantedSet(tmp_path)
    planted.dataset().pipeline[2].scale = tuple(3 * side for side in SIZE)
    planted.write()
    (found,) = [f for f in planted.found() if f.code == "box_sizes"]
    assert "medians of sides by class from 42 px" in found.evidence
    planted.dataset().pipeline.insert(3, dict(type="RandomCrop", crop_size=(20, 20)))
    (found,) = [f for f in planted.found() if f.code == "box_sizes"]
    assert "drawn at random" not in found.evidence
    monkeypatch.setattr(box_sizes, "_SAMPLE", 5)
    (found,) = [f for f in planted.found() if f.code == "box_sizes"]
    assert found.evidence.startswith("of 5 images, drawn at random; medians of sides")
    del planted.dataset().pipeline[0]
    (found,) = [f for f in planted.found() if f.code == "box_sizes"]
    assert found.severity is Severity.INFO
    assert "LoadImageFromFile" in found.evidence


def test_a_copy_of_a_near_copy_is_a_near_copy(tmp_path):
    pytest.importorskip("imagehash")
    planted = PlantedSet(tmp_path)
    nearly_copied(planted)
    content = planted.image("val").read_bytes()
    planted.image("val", 1).with_name("test.png").write_bytes(content)
    image = dict(planted.files["val"]["images"][0], file_name="test.png")
    own = [a for a in planted.files["val"]["annotations"] if a["image_id"] == 101]
    test = dict(planted.files["val"], images=[image], annotations=own)
    (tmp_path / "test.json").write_text(json.dumps(test))
    planted.write()
    loader = copy.deepcopy(planted.config.val_dataloader)
    loader.dataset.ann_file = "test.json"
    planted.config.test_dataloader = loader
    context, _ = build_context(planted.config, hash_distance=20)
    found = [f for f in check_image_copies(context) if f.code == "leaked_near_copy"]
    assert ["1 of 6" in found[0].evidence, "1 of 1" in found[1].evidence] == [True] * 2
    assert "test.png = " in found[1].evidence


def test_unlabelled_images_may_be_those_of_the_labelled_part(tmp_path):
    planted = PlantedSet(tmp_path, "mmdet_coco")
    planted.write()
    parts = [planted.dataset(), copy.deepcopy(planted.dataset())]
    planted.config.train_dataloader.dataset = dict(type="ConcatDataset", datasets=parts)
    assert "repeated_image" in {f.code for f in planted.found()}
    parts[1].pipeline[1] = dict(type="LoadEmptyAnnotations")
    planted.config.train_dataloader.dataset = dict(type="ConcatDataset", datasets=parts)
    assert "repeated_image" not in {f.code for f in planted.found()}


def test_what_is_secret_or_not_trained_is_passed_over(tmp_path):
    planted = PlantedSet(tmp_path)
    train, val = planted.files.values()
    objects, val["annotations"] = val["annotations"], []  # as a test may have none
    planted.write()
    assert not list(check_empty_images(build_context(planted.config)[0]))
    train["annotations"], val["annotations"] = [], objects
    planted.config.train_dataloader.dataset.type = "mmdet.CocoDataset"
    planted.write()
    assert not list(check_measurable(build_context(planted.config)[0]))


def test_ignored_objects_of_other_classes_are_not_told(tmp_path):
    planted = PlantedSet(tmp_path, "mmdet_coco")
    planted.files["train"]["categories"].append(dict(id=3, name="cow"))
    planted.annotation().update(category_id=3, ignore=1)
    planted.write()
    assert {f.code for f in planted.found()} >= {"unknown_class"}
    assert not [f for f in planted.found() if f.code == "ignored"]


def test_near_copies_need_a_library(tmp_path, monkeypatch):
    planted = PlantedSet(tmp_path)
    planted.write()
    monkeypatch.setitem(sys.modules, "imagehash", None)
    (found,) = [f for f in planted.found(hash_distance=2) if f.code == "no_image_hash"]
    assert found.severity is Severity.ERROR
    assert "pip install" in found.remedy
    assert "no_image_hash" not in {f.code for f in planted.found()}
