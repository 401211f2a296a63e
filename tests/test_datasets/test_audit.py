"""Data sets remove, count and name what cannot be trained on."""

import json
import math
from collections import Counter
from pathlib import Path

import mmdet.datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imb_det.core.text import look_alike
from imb_det.datasets import CocoDataset, VOCDataset
from imb_det.datasets.audit import DatasetAudit
from imb_det.registry import DATASETS
from imb_det.statistics import ClassStats
from imb_det.statistics.dataset_access import box_fault
from tests.tiny_sets import voc_xml, write_coco, write_image, write_voc

CLASSES = dict(classes=("cat", "dog"))
QUICK = dict(metainfo=CLASSES, serialize_data=False)
GOOD = ("cat", (1, 1, 11, 11))
DIFFICULT = ("dog", (5, 5, 20, 20), "<difficult>1</difficult>")


def voc(root, objects_per_image, **kwargs):
    arguments = write_voc(root, objects_per_image)
    return VOCDataset(**arguments, **{**QUICK, **kwargs})


def coco(root, images, annotations, categories=("cat", "dog"), **kwargs):
    arguments = write_coco(root, images, annotations, categories)
    return CocoDataset(**arguments, **{**QUICK, **kwargs})


def records(dataset):
    return [dataset.get_data_info(index) for index in range(len(dataset))]


# The judgement of one box.


@pytest.mark.parametrize(
    ("bbox", "fault"),
    [
        ((0, 0, 40, 30), None),
        ((39, 29, 40, 30), None),
        ((5, 5, 5, 9), "no_area"),
        ((5, 9, 8, 9), "no_area"),
        ((9, 5, 5, 8), "no_area"),
        ((math.nan, 0, 5, 5), "not_finite"),
        ((0, 0, math.inf, 5), "not_finite"),
        ((-9, 0, 0, 5), "outside"),
        ((0, -9, 5, 0), "outside"),
        ((40, 0, 50, 5), "outside"),
        ((0, 30, 5, 40), "outside"),
        ((-1, 0, 5, 5), "over_border"),
        ((0, 0, 41, 31), "over_border"),
    ],
)
def test_box_fault_on_hand_made_boxes(bbox, fault):
    assert box_fault(bbox, 40, 30) == fault


@given(st.lists(st.integers(-60, 60), min_size=4, max_size=4))
def test_usable_boxes_are_those_that_show_a_pixel(bbox):
    x1, y1, x2, y2 = bbox
    grid_y, grid_x = np.mgrid[:30, :40]
    pixels = (x1 <= grid_x) & (grid_x < x2) & (y1 <= grid_y) & (grid_y < y2)
    assert (box_fault(bbox, 40, 30) in (None, "over_border")) == pixels.any()


# PASCAL VOC.


def test_bccd_names_exactly_the_two_known_boxes(bccd_root):
    audits, stats = [], []
    for split in ("train", "val", "test"):
        dataset = DATASETS.build(
            dict(
                type="imb_det.VOCDataset",
                data_root=str(bccd_root),
                ann_file=f"ImageSets/Main/{split}.txt",
                data_prefix=dict(sub_data_root=""),
                metainfo=dict(classes=("RBC", "WBC", "Platelets")),
            )
        )
        audits.append(dataset.audit)
        stats.append(ClassStats.from_dataset(dataset))
    found = [
        (Path(f.where).name, f.evidence, f.code)
        for audit in audits
        for f in audit.findings
    ]
    assert found == [
        ("BloodImage_00343.xml object[3]", "RBC (181, 329, 181, 329)", "no_area"),
        ("BloodImage_00338.xml object[12]", "RBC (504, 337, 504, 337)", "no_area"),
    ]
    assert sum((audit.counts for audit in audits), Counter()) == {"no_area": 2}
    assert sum(audit.num_images for audit in audits) == 364
    assert sum(s.instance_count for s in stats).tolist() == [4155 - 2, 372, 361]


def test_bccd_records_are_mmdets_without_the_bad_boxes(bccd_root):
    arguments = dict(
        data_root=str(bccd_root),
        ann_file="ImageSets/Main/trainval.txt",
        data_prefix=dict(sub_data_root=""),
        metainfo=dict(classes=("WBC", "RBC")),  # another order, and Platelets unknown
    )
    ours = VOCDataset(**arguments)
    expected = records(mmdet.datasets.VOCDataset(**arguments))
    dropped = 0
    for info in expected:
        sound = [i for i in info["instances"] if i["bbox"][2] > i["bbox"][0]]
        dropped += len(info["instances"]) - len(sound)
        info["instances"] = sound
    assert dropped == 2
    assert records(ours) == expected
    assert ours.metainfo == mmdet.datasets.VOCDataset(**arguments).metainfo


def test_voc_finds_every_kind(tmp_path):
    dataset = voc(
        tmp_path,
        [
            [
                GOOD,
                ("dog", (7, 7, 7, 20)),
                ("dog", ("nan", 1, 5, 5)),
                ("dog", ("", 1, 5, 5)),
                ("dog", (41, 1, 50, 5)),
                ("dog", (10.2, 1, 10.9, 5)),  # mmdet cuts to whole pixels: no width
                ("bird", (1, 1, 5, 5)),
                ("bird", (1, 1, 1, 1)),
                ("dog", (0, 1, 5, 5)),
            ],
            [],
            [DIFFICULT, (" cat", (1, 1, 5, 5))],
        ],
    )
    audit = dataset.audit
    a, b, c = (str(tmp_path / "Annotations" / f"{name}.xml") for name in "abc")
    assert [(f.code, f.where, f.evidence) for f in audit.findings] == [
        ("no_area", f"{a} object[1]", "dog (7, 7, 7, 20)"),
        ("not_finite", f"{a} object[2]", "dog (nan, 1, 5, 5)"),
        ("not_finite", f"{a} object[3]", "dog (?, 1, 5, 5)"),
        ("outside", f"{a} object[4]", "dog (41, 1, 50, 5)"),
        ("no_area", f"{a} object[5]", "dog (10.2, 1, 10.9, 5)"),
        ("no_objects", b, ""),
    ]
    assert audit.unknown_classes == {
        "bird": {"objects": 2, "first": a},
        " cat": {"objects": 1, "first": c},
    }
    assert audit.counts["over_border"] == 1
    assert (audit.num_listed, audit.num_images) == (3, 3)
    assert (audit.num_boxes, audit.num_ignored) == (2, 1)
    boxes = [
        [(i["bbox"], i["bbox_label"], i["ignore_flag"]) for i in info["instances"]]
        for info in records(dataset)
    ]
    assert boxes == [
        [([0, 0, 10, 10], 0, 0), ([-1, 0, 4, 4], 1, 0)],
        [],
        [([4, 4, 19, 19], 1, 1)],
    ]
    content = json.loads(json.dumps(audit.to_dict(), allow_nan=False))
    assert content["counts"] == {
        "no_area": 2,
        "not_finite": 2,
        "outside": 1,
        "no_objects": 1,
        "over_border": 1,
    }
    assert content["findings"][0]["evidence"] == "dog (7, 7, 7, 20)"


@pytest.mark.parametrize("test_mode", [False, True])
@pytest.mark.parametrize("serialize_data", [False, True])
def test_boxes_without_area_go_in_every_mode(tmp_path, test_mode, serialize_data):
    dataset = voc(
        tmp_path,
        [[GOOD, ("dog", (7, 7, 7, 20))]],
        test_mode=test_mode,
        serialize_data=serialize_data,
    )
    (instance,) = dataset.get_data_info(0)["instances"]
    assert instance["bbox"] == [0, 0, 10, 10]
    assert dataset.audit.counts == {"no_area": 1}


def test_lazy_indices_and_subsets(tmp_path):
    bad = ("dog", (7, 7, 7, 20))
    dataset = voc(
        tmp_path, [[bad], [GOOD], [GOOD, GOOD]], lazy_init=True, indices=[2, 1]
    )
    assert not dataset._fully_initialized
    assert dataset.audit.num_boxes == 3  # loads
    assert (dataset.audit.num_listed, dataset.audit.num_images) == (3, 2)
    assert dataset.audit.counts == {"no_area": 1}
    assert [len(info["instances"]) for info in records(dataset)] == [2, 1]
    subset = dataset.get_subset([0])
    assert (len(subset), subset.audit) == (1, dataset.audit)


def test_filter_cfg_drops_images_whose_boxes_were_all_removed(tmp_path):
    dataset = voc(
        tmp_path,
        [[GOOD], [("dog", (7, 7, 7, 20))], []],
        filter_cfg=dict(filter_empty_gt=True),
    )
    assert [info["img_id"] for info in records(dataset)] == ["a"]
    assert (dataset.audit.num_listed, dataset.audit.num_images) == (3, 1)


@pytest.mark.parametrize("written", [None, (0, 30), ("", "")])
def test_voc_takes_a_missing_size_from_the_image(tmp_path, written):
    arguments = write_voc(tmp_path, [[GOOD], voc_xml([GOOD], written)])
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying, displayed upright
    write_image(tmp_path / "JPEGImages" / "b.jpg", (64, 48), exif=exif)
    dataset = VOCDataset(**arguments, **QUICK)
    sizes = [(info["width"], info["height"]) for info in records(dataset)]
    assert sizes == [(40, 30), (48, 64)]
    assert dataset.audit.counts == {"no_size": 1}


def test_voc_errors_name_the_file(tmp_path):
    arguments = write_voc(tmp_path, [[GOOD], [GOOD]]) | QUICK
    xml, jpg = tmp_path / "Annotations" / "b.xml", tmp_path / "JPEGImages" / "b.jpg"
    whole = xml.read_text()
    xml.write_text(whole[:-20])
    with pytest.raises(ValueError, match=r"b\.xml.*list\.txt.*not valid XML"):
        VOCDataset(**arguments)
    for text in ("Unspecified", ""):
        marked = ("cat", (1, 1, 5, 5), f"<difficult>{text}</difficult>")
        xml.write_text(voc_xml([GOOD, ("bird", (1, 1, 5, 5)), marked]))
        with pytest.raises(
            ValueError, match=rf"b\.xml: object\[2\] cat: `difficult` .* got '{text}'"
        ):
            VOCDataset(**arguments)
    xml.write_text(voc_xml([GOOD], size=None))
    jpg.unlink()
    with pytest.raises(ValueError, match=r"b\.xml gives no image size.*b\.jpg"):
        VOCDataset(**arguments)
    xml.unlink()
    with pytest.raises(FileNotFoundError, match=r"b\.xml does not exist.*list\.txt"):
        VOCDataset(**arguments)


def test_empty_splits_are_errors_that_name_the_annotation_file(tmp_path):
    with pytest.raises(ValueError, match=r"list\.txt: the split is empty"):
        voc(tmp_path, [])
    with pytest.raises(ValueError, match=r"list\.txt: none of the 1 images.*min_size"):
        voc(tmp_path, [[GOOD]], filter_cfg=dict(min_size=32))
    with pytest.raises(ValueError, match=r"list\.txt: none of the 1 images.*indices=0"):
        voc(tmp_path, [[GOOD]], indices=0)
    with pytest.raises(ValueError, match=r"list\.txt: no box to train on in 2 images"):
        voc(tmp_path, [[DIFFICULT], []])
    with pytest.raises(ValueError, match=r"no box to train on[\s\S]*'Cat': 1 objects"):
        voc(tmp_path, [[("Cat", (1, 1, 9, 9))]])
    assert len(voc(tmp_path, [[DIFFICULT], []], test_mode=True)) == 2


def test_an_error_for_want_of_images_tells_what_was_left_out(tmp_path):
    """And which class of the config is perhaps meant."""
    images = [[("Cat", (1, 1, 9, 9)), (" dog", (1, 1, 9, 9))], [("fox", (1, 1, 9, 9))]]
    with pytest.raises(ValueError, match="none of the 2 images is left") as error:
        voc(tmp_path / "a", images, filter_cfg=dict(filter_empty_gt=True))
    a, b = (tmp_path / "a" / "Annotations" / f"{name}.xml" for name in "ab")
    source = tmp_path / "a" / "list.txt"
    assert str(error.value).splitlines()[-5:] == [
        f"    {source}: 'Cat': 1 objects, first in {a}; the config has 'cat'",
        f"    {source}: ' dog': 1 objects, first in {a}; the config has 'dog'",
        f"    {source}: 'fox': 1 objects, first in {b}",
        "    Write names alike in config and annotations",
        "    Add the class to `metainfo['classes']`, if it is to be learned",
    ]
    with pytest.raises(ValueError, match="none of the 2 images is left") as error:
        coco(
            tmp_path / "b",
            2,
            [(1, 7, [1, 1, 9, 9]), (2, 8, [1, 1, 9, 9])],
            filter_cfg=dict(filter_empty_gt=True),
        )
    for number, image in ((7, 1), (8, 2)):
        entry = f"annotations[{image - 1}] (id {image}, image {image})"
        assert f"ann.json: {entry}: category_id {number}" in str(error.value)
    audit = voc(tmp_path / "a", [*images, [GOOD]]).audit
    remedies = [f.remedy for f in audit.everything() if f.code == "unknown_class"]
    assert remedies[0] == "Write names alike in config and annotations"
    assert remedies[2].startswith("Add the class to `metainfo['classes']`")


@pytest.mark.parametrize(
    ("name", "alike"),
    [
        ("Traffic  Light", "traffic light"),
        ("traffic-light", "traffic light"),
        ("traffic_light ", "traffic light"),
        ("Zu\u0308rich", "Z\u00fcrich"),  # an accent as a character of its own
        ("traffic lights", None),
        ("", None),
    ],
)
def test_names_that_are_perhaps_meant(name, alike):
    assert look_alike(name, ["bus", "traffic light", "Z\u00fcrich"]) == alike


def test_class_lists_are_checked(tmp_path):
    for classes, error, message in [
        ("cat", TypeError, "with a comma"),
        (("cat", "dog", "cat"), ValueError, r"\['cat'\] more than once"),
        ((), ValueError, "names no class"),
    ]:
        with pytest.raises(error, match=message):
            voc(tmp_path, [[GOOD]], metainfo=dict(classes=classes))


def test_the_log_is_one_block_with_the_first_entries(tmp_path, monkeypatch):
    logged = []
    monkeypatch.setattr(
        "imb_det.datasets.audited_dataset.print_log",
        lambda message, logger, level: logged.append((message, level)),
    )
    voc(tmp_path, [[GOOD]])
    voc(tmp_path, [[GOOD, *[("dog", (7, 7, 7, n)) for n in range(23)]]])
    (clean, info), (block, warning) = logged
    source = tmp_path / "list.txt"
    assert (clean, info) == (f"{source}: 1 images, 1 boxes", 20)
    lines = block.splitlines()
    assert warning == 30
    assert lines[0] == f"{source}: 1 images, 1 boxes: 23 warnings"
    assert lines[1] == "  warning no_area: boxes without area, removed: 23"
    xml = tmp_path / "Annotations" / "a.xml"
    assert lines[2] == f"    {xml} object[1]: dog (7, 7, 7, 0)"
    assert len(lines) == 2 + 20 + 1
    assert lines[-1] == "    ... and 3 more"


def test_only_the_main_process_logs(tmp_path, monkeypatch):
    module = "imb_det.datasets.audited_dataset"
    monkeypatch.setattr(f"{module}.is_main_process", lambda: False)
    monkeypatch.setattr(f"{module}.print_log", lambda *_, **__: pytest.fail("logged"))
    assert voc(tmp_path, [[GOOD]]).audit.num_boxes == 1


def test_a_shortened_summary_still_counts_all():
    audit = DatasetAudit("x.txt")
    for number in range(5):
        audit.add("no_area", f"{number}.xml")
    assert audit.summary(2).splitlines()[1:] == [
        "  warning no_area: boxes without area, removed: 5",
        "    0.xml",
        "    1.xml",
        "    ... and 3 more",
    ]


# COCO.


def test_coco_records_are_mmdets(tmp_path):
    rng = np.random.default_rng(0)
    annotations = [
        (
            int(rng.integers(1, 21)),
            int(rng.integers(1, 4)),
            rng.choice([-3, 0, 0.5, 1, 4, 9, 38, 41], 4).tolist(),
            dict(
                area=float(rng.choice([-1, 0, 9, 9, 9])),
                iscrowd=int(rng.random() < 0.1),
                ignore=bool(rng.random() < 0.1),
                segmentation=[[1, 1, 5, 1, 5, 5]],
            ),
        )
        for _ in range(400)
    ]
    names = ("cat", "bird", "dog")
    arguments = write_coco(tmp_path, 22, annotations, names) | QUICK
    for more in (
        {},
        dict(test_mode=True),
        dict(filter_cfg=dict(filter_empty_gt=True, min_size=8)),
        dict(indices=-5, lazy_init=True),
    ):
        ours = CocoDataset(**arguments, **more)
        theirs = mmdet.datasets.CocoDataset(**arguments, **more)
        ours.full_init(), theirs.full_init()
        assert records(ours) == records(theirs)
    audit = CocoDataset(**arguments).audit
    used = audit.num_boxes + audit.num_ignored
    left_out = sum(
        audit.counts[kind]
        for kind in (
            "negative",
            "no_area",
            "outside",
            "below_pixel",
            "no_mask_area",
            "ignored",
        )
    )
    unknown = sum(entry["objects"] for entry in audit.unknown_classes.values())
    assert min(used, left_out, unknown) > 10
    assert used + left_out + unknown == 400
    without = set(range(1, 23)) - {image_id for image_id, *_ in annotations}
    assert audit.counts["no_objects"] == len(without) >= 2


def test_coco_finds_every_kind(tmp_path):
    dataset = coco(
        tmp_path,
        2,
        [
            (1, 1, [1, 1, 9, 9]),
            (1, 1, [1, 1, 0, 9]),
            (1, 1, [math.nan, 1, 9, 9]),
            (1, 2, [1, None, 9, 9]),
            (1, 2, [50, 1, 9, 9]),
            (1, 2, [1, 1, 0.5, 9]),
            (1, 2, [1, 1, 5, 5], dict(area=0)),
            (1, 7, [1, 1, 5, 5]),
            (9, 1, [1, 1, 5, 5]),
            (1, 3, [1, 1, 5, 5]),
            (1, 1, [1, 1, 5, 5], dict(ignore=1)),
            (1, 2, [30, 20, 20, 20]),
            (1, 2, [2, 2, 5, 5], dict(iscrowd=1)),
        ],
        ("cat", "dog", "bird"),
    )
    audit, path = dataset.audit, tmp_path / "ann.json"
    assert [(f.code, f.where, f.evidence) for f in audit.findings] == [
        ("no_area", f"{path}: annotations[1] (id 2, image 1)", "cat bbox [1, 1, 0, 9]"),
        (
            "not_finite",
            f"{path}: annotations[2] (id 3, image 1)",
            "cat bbox [nan, 1, 9, 9]",
        ),
        (
            "not_finite",
            f"{path}: annotations[3] (id 4, image 1)",
            "dog bbox [1, None, 9, 9]",
        ),
        (
            "outside",
            f"{path}: annotations[4] (id 5, image 1)",
            "dog bbox [50, 1, 9, 9]",
        ),
        (
            "below_pixel",
            f"{path}: annotations[5] (id 6, image 1)",
            "dog bbox [1, 1, 0.5, 9]",
        ),
        ("no_mask_area", f"{path}: annotations[6] (id 7, image 1)", "dog area 0"),
        (
            "unknown_category",
            f"{path}: annotations[7] (id 8, image 1)",
            "category_id 7",
        ),
        ("unknown_image", f"{path}: annotations[8] (id 9, image 9)", "cat image_id 9"),
        ("no_objects", f"{path}: images[1] (id 2, '2.jpg')", ""),
    ]
    assert audit.counts["ignored"] == audit.counts["over_border"] == 1
    assert audit.unknown_classes == {"bird": {"objects": 1, "first": "1.jpg"}}
    assert (audit.num_boxes, audit.num_ignored) == (2, 1)
    assert [i["bbox"] for i in dataset.get_data_info(0)["instances"]] == [
        [1, 1, 10, 10],
        [30, 20, 50, 40],
        [2, 2, 7, 7],
    ]


def test_coco_refuses_classes_that_would_shift_the_labels(tmp_path):
    good = [(1, 1, [1, 1, 9, 9])]
    with pytest.raises(ValueError, match=r"ann\.json has no category \['dog'\].*shift"):
        coco(tmp_path, 1, good, ("cat", "bird"))
    with pytest.raises(
        ValueError, match=r"label 0 is 'dog' in .*ann\.json but 'cat' in"
    ):
        coco(tmp_path, 1, good, ("dog", "cat"))
    for names in (("cat", "cat", "dog"), ("cat", "cat")):
        with pytest.raises(ValueError, match=r"'cat' is also that of .*id: \[1, 2\]"):
            coco(tmp_path, 1, good, names)
    skips = coco(tmp_path, 1, [(1, 2, [1, 1, 9, 9])], ("bird", "cat", "fox", "dog"))
    assert skips.get_data_info(0)["instances"][0]["bbox_label"] == 0


def test_coco_errors_name_file_and_annotation(tmp_path):
    good = (1, 1, [1, 1, 9, 9])
    arguments = write_coco(tmp_path, 1, [good]) | QUICK
    path = tmp_path / "ann.json"
    content = json.loads(path.read_text())
    del content["annotations"][0]["area"]
    path.write_text(json.dumps(content))
    where = r"ann\.json: annotations\[0\] \(id 1, image 1\)"
    with pytest.raises(ValueError, match=where + ": lacks the key `area`"):
        CocoDataset(**arguments)
    del content["categories"]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"ann\.json: has no \['categories'\], only"):
        CocoDataset(**arguments)
    path.write_text("{")
    with pytest.raises(ValueError, match=r"ann\.json: is not valid JSON"):
        CocoDataset(**arguments)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"ann\.json"):
        CocoDataset(**arguments)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("bbox", "1,1,9,9", r"`bbox` must be four numbers .* got '1,1,9,9'"),
        ("bbox", ["1", "1", "9", "9"], r"`bbox` must be four numbers"),
        ("bbox", [1, 1, 9], r"`bbox` must be four numbers .* got \[1, 1, 9\]"),
        ("bbox", None, r"`bbox` must be four numbers"),
        ("area", None, r"`area` must be a number, got None"),
        ("area", "81", r"`area` must be a number, got '81'"),
    ],
)
def test_coco_entries_of_another_kind_are_named(tmp_path, key, value, message):
    boxes = [(1, 1, [1, 1, 9, 9]), (1, 2, [1, 1, 9, 9], {key: value})]
    arguments = write_coco(tmp_path, 1, boxes)
    where = r"ann\.json: annotations\[1\] \(id 2, image 1\): "
    with pytest.raises(ValueError, match=where + message):
        CocoDataset(**arguments, **QUICK)
    with pytest.raises(ValueError, match=where + message):
        ClassStats.from_coco(tmp_path / "ann.json")


def test_coco_sizes_must_be_numbers(tmp_path):
    images = [dict(width=40, height=30), dict(width="40", height=30)]
    arguments = write_coco(tmp_path, images, [(2, 1, [1, 1, 9, 9])])
    with pytest.raises(
        ValueError,
        match=r"ann\.json: images\[1\] \(id 2, '2\.jpg'\): `width` must .*got '40'",
    ):
        CocoDataset(**arguments, **QUICK)


def test_coco_images_that_share_an_id_are_refused(tmp_path):
    images = [
        dict(id=4 + i // 2, file_name=f"{i}.jpg", width=40, height=30) for i in range(3)
    ]
    arguments = write_coco(tmp_path, images, [(4, 1, [1, 1, 9, 9])])
    message = r"ann\.json: images\[0\] .*`id` 4 is also .*\['0\.jpg', '1\.jpg'\]"
    with pytest.raises(ValueError, match=message):
        CocoDataset(**arguments, **QUICK)
    with pytest.raises(ValueError, match=message):
        ClassStats.from_coco(tmp_path / "ann.json")


def test_coco_takes_a_missing_size_from_the_image(tmp_path):
    write_image(tmp_path / "1.jpg", (64, 48))
    dataset = coco(tmp_path, [dict(width=0)], [(1, 1, [1, 1, 60, 40])])
    info = dataset.get_data_info(0)
    assert (info["width"], info["height"], len(info["instances"])) == (64, 48, 1)
    assert dataset.audit.counts == {"no_size": 1}


def test_coco_empty_splits(tmp_path):
    with pytest.raises(ValueError, match=r"ann\.json: the split is empty"):
        coco(tmp_path, 0, [])
    with pytest.raises(ValueError, match=r"ann\.json: none of the 1 images is left"):
        coco(tmp_path, 1, [], filter_cfg=dict(filter_empty_gt=True))
    with pytest.raises(ValueError, match=r"ann\.json: no box to train on in 1 images"):
        coco(tmp_path, 1, [(1, 1, [1, 1, 9, 9], dict(iscrowd=1))])
    assert len(coco(tmp_path, 1, [], test_mode=True)) == 1
