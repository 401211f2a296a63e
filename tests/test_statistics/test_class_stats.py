import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imb_det.statistics import ClassStats
from tests import toys
from tests.tiny_sets import voc_xml, write_image, write_voc


def test_hand_worked():
    stats = ClassStats.from_labels(("a", "b", "c"), [[0, 0, 1], [], [0]])
    assert stats.image_count.tolist() == [2, 1, 0]
    assert stats.instance_count.tolist() == [3, 1, 0]
    assert stats.num_images == 3
    np.testing.assert_allclose(stats.image_frequency, [2 / 3, 1 / 3, 0])
    np.testing.assert_allclose(stats.class_prior, [0.75, 0.25, 0])


@given(st.lists(st.lists(st.integers(0, 4), max_size=6), max_size=20))
def test_equals_counting_one_by_one(labels):
    stats = ClassStats.from_labels("abcde", labels)
    instances = Counter(label for image in labels for label in image)
    images = Counter(label for image in labels for label in set(image))
    assert stats.instance_count.tolist() == [instances[c] for c in range(5)]
    assert stats.image_count.tolist() == [images[c] for c in range(5)]
    assert ClassStats.from_dict(json.loads(json.dumps(stats.to_dict()))) == stats


def test_json_round_trip(tmp_path):
    stats = ClassStats.from_labels(("a", "b"), [[0], [0, 1]])
    stats.to_json(tmp_path / "deep" / "stats.json")
    assert ClassStats.from_json(tmp_path / "deep" / "stats.json") == stats
    assert stats != ClassStats.from_labels(("a", "b"), [[0], [1]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(image_count=[1]), "shape"),
        (dict(classes=("a", "a")), "twice: \\['a'\\]"),
        (dict(image_count=[3, 0]), "class 'a'"),
        (dict(instance_count=[1, 1]), "class 'b'"),
        (dict(num_images=0), "num_images 0"),
        (dict(instance_count=[1.5, 0]), "whole"),
    ],
)
def test_contradictions_are_refused(change, message):
    good = dict(
        classes=("a", "b"), image_count=[1, 0], instance_count=[2, 0], num_images=2
    )
    ClassStats(**good)
    with pytest.raises(ValueError, match=message):
        ClassStats(**{**good, **change})


def test_arrays_cannot_be_changed():
    stats = ClassStats.from_labels("ab", [[0]])
    with pytest.raises(ValueError, match="read-only"):
        stats.image_count[0] = 7


OWN = dict(classes=["a"], image_count=[1], instance_count=[1], num_images=1)
PANOPTIC = dict(
    images=[dict(id=1)],
    categories=[dict(id=1, name="a", isthing=1)],
    annotations=[
        dict(image_id=1, segments_info=[dict(bbox=[1], category_id=1, area=3)])
    ],
)


@pytest.mark.parametrize(
    "content",
    [
        '{"classes": ["a"]',
        '{"classes": ' + "[" * 100_000,
        json.dumps({**OWN, "num_images": "many"}),
        json.dumps({**OWN, "group_limits": None}),
        json.dumps(PANOPTIC),
    ],
    ids=["cut", "deep", "text", "no limits", "panoptic"],
)
def test_malformed_files_are_named(tmp_path, content):
    path = tmp_path / "counts.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"counts\.json"):
        ClassStats.from_file(path)


def test_missing_key():
    with pytest.raises(ValueError, match="num_images"):
        ClassStats.from_dict(dict(classes=["a"], image_count=[0], instance_count=[0]))


def test_check_classes():
    stats = ClassStats.from_labels("ab", [[0]])
    stats.check_classes(["a", "b"])
    with pytest.raises(ValueError, match="at 0: 'b' against 'a'"):
        stats.check_classes(["b", "a"])
    with pytest.raises(ValueError, match="3 classes"):
        stats.check_classes(["a", "b", "c"])


def test_coco_file_and_data_set_agree(tmp_path):
    ann_file = toys.write_coco(tmp_path, num_images=12, crowd=True)
    content = json.loads(ann_file.read_text())
    # Neither a box outside the image nor one without area counts, nor an ignored one.
    for bbox, more in (
        ([500, 500, 20, 20], {}),
        ([5, 5, 0, 10], {}),
        ([5, 5, 20, 20], dict(ignore=1)),
    ):
        content["annotations"].append(
            dict(
                id=1000 + len(content["annotations"]),
                image_id=1,
                category_id=3,
                bbox=bbox,
                area=400,
                iscrowd=0,
                **more,
            )
        )
    ann_file.write_text(json.dumps(content))
    found = ClassStats.from_coco(ann_file, toys.CLASSES)
    dataset = toys.build_dataset(toys.coco_dataset_config(tmp_path))
    assert found == ClassStats.from_dataset(dataset)
    counted = Counter(
        ann["category_id"]
        for ann in content["annotations"]
        if not ann["iscrowd"] and ann["id"] < 1000
    )
    assert found.instance_count.tolist() == [counted[i] for i in (1, 2, 3)]
    assert found.num_images == 12
    swapped = ClassStats.from_coco(ann_file, toys.CLASSES[::-1])
    assert swapped.instance_count.tolist() == found.instance_count.tolist()[::-1]
    with pytest.raises(ValueError, match="dog"):
        ClassStats.from_coco(ann_file, ("dog",))
    repeated = toys.build_dataset(
        dict(type="RepeatDataset", times=3, dataset=toys.coco_dataset_config(tmp_path))
    )
    assert ClassStats.from_dataset(repeated) == found


VOC_XML = """<annotation><size><width>50</width><height>40</height></size>
<object><name>bee</name><difficult>0</difficult>{a}</object>
<object><name>ant</name><difficult>1</difficult>{a}</object>
<object><name>ant</name>{b}</object></annotation>"""
BOX = (
    "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"
).format


def test_voc_folder(tmp_path):
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "ImageSets/Main/trainval.txt").write_text("1\n2\n")
    for name, second in (("1", BOX(3, 3, 3, 9)), ("2", BOX(3, 3, 8, 9))):
        text = VOC_XML.format(a=BOX(1, 1, 9, 9), b=second)
        (tmp_path / f"Annotations/{name}.xml").write_text(text)
    stats = ClassStats.from_voc(tmp_path)
    assert stats.classes == ("ant", "bee")
    # The ant of image 1 has no width, its other one is difficult.
    assert stats.instance_count.tolist() == [1, 2]
    assert stats.image_count.tolist() == [1, 2]


def write_split(root, lines, **xml):
    (root / "ImageSets/Main").mkdir(parents=True, exist_ok=True)
    (root / "ImageSets/Main/trainval.txt").write_text(lines, newline="")
    for name, objects in xml.items():
        write_voc(root, [objects])
        (root / "Annotations/a.xml").rename(root / f"Annotations/{name}.xml")


def test_voc_boxes_are_judged_as_the_data_set_does(tmp_path):
    boxes = [
        (1, 1, 9, 9),
        (3.2, 3, 3.9, 9),  # cut to whole numbers: no width
        (3.9, 3, 4.1, 9),
        ("", 3, 8, 9),
        ("x", 3, 8, 9),
        (-9, 3, 0, 9),
        (41, 3, 50, 9),
        (0.5, 3, 40.9, 9),
        (1, 3, "inf", 9),
    ]
    objects = [("ant", box) for box in boxes]
    nested = f"<part><name>bee</name>{BOX(1, 1, 5, 5)}</part>"
    objects.append(("ant", (1, 1, 5, 5), nested, "<difficult>1</difficult>"))
    without_size = voc_xml(objects[:-3], (0, 0))
    lines = "an image\r\nb"
    write_split(tmp_path, lines, **{"an image": objects, "b": without_size})
    for name in ("an image", "b"):
        write_image(tmp_path / f"JPEGImages/{name}.jpg")
    dataset = toys.build_dataset(
        dict(
            type="imb_det.VOCDataset",
            data_root=str(tmp_path),
            ann_file="ImageSets/Main/trainval.txt",
            data_prefix=dict(sub_data_root=""),
            metainfo=dict(classes=("ant", "bee")),
        )
    )
    # Box (41, ...) of b shows nothing of the image, whose size the image file tells.
    expected = ClassStats.from_dataset(dataset)
    assert expected.instance_count.tolist() == [5, 0]
    assert ClassStats.from_voc(tmp_path, classes=("ant", "bee")) == expected
    write_split(tmp_path, "an image\n")
    assert ClassStats.from_voc(tmp_path).instance_count.tolist() == [3]


def test_voc_errors_name_file_and_object(tmp_path):
    good = ("ant", (1, 1, 9, 9))
    marked = [
        ("bee", (1, 1, 5, 5), f"<difficult>{mark}</difficult>") for mark in ("", "no")
    ]
    write_split(tmp_path, "x\n", x=[good, marked[0]], y=[marked[1]])
    with pytest.raises(ValueError, match=r"x\.xml: object\[1\] bee: `difficult`.*''"):
        ClassStats.from_voc(tmp_path)
    assert ClassStats.from_voc(tmp_path, classes=["ant"]).num_images == 1
    write_split(tmp_path, "y\n")
    with pytest.raises(ValueError, match=r"y\.xml: object\[0\] bee: .*'no'"):
        ClassStats.from_voc(tmp_path)
    write_split(tmp_path, "z z\n")
    with pytest.raises(FileNotFoundError, match=r"z z\.xml does not .*trainval\.txt"):
        ClassStats.from_voc(tmp_path)
    (tmp_path / "Annotations/z z.xml").write_text("<annotation>")
    with pytest.raises(ValueError, match=r"z z\.xml, .*trainval\.txt, is not valid"):
        ClassStats.from_voc(tmp_path)


@pytest.mark.parametrize("version", ["v0.5", "v1"])
def test_lvis_counts_are_those_that_the_file_states(tmp_path, version):
    rng = np.random.default_rng(0)
    place = "file_name" if version == "v0.5" else "coco_url"
    images = [
        {"id": 7 * i, place: f"{i}.jpg", "width": 50, "height": 40} for i in range(30)
    ]
    categories = [dict(id=i, name=f"c{i}") for i in (5, 3, 9)]  # without frequency
    annotations = []
    for number in range(60):
        category = int(rng.choice([3, 5]))
        # Some are below a pixel: mmdet leaves them out, LVIS counts them.
        box = [1.0, 1.0, float(rng.choice([0.5, 6])), 8.0]
        annotations.append(
            dict(
                id=number,
                image_id=7 * int(rng.integers(30)),
                category_id=category,
                bbox=box,
                area=box[2] * box[3],
            )
        )
    for entry in categories:
        mine = [a["image_id"] for a in annotations if a["category_id"] == entry["id"]]
        entry.update(instance_count=len(mine), image_count=len(set(mine)))
    path = tmp_path / "lvis.json"
    path.write_text(
        json.dumps(dict(images=images, annotations=annotations, categories=categories))
    )
    stats = ClassStats.from_lvis(path)
    assert stats.classes == ("c3", "c5", "c9")
    of = {entry["name"]: entry for entry in categories}
    for key in ("image_count", "instance_count"):
        assert getattr(stats, key).tolist() == [of[c][key] for c in stats.classes]
    assert stats.num_images == 30
    assert ClassStats.from_lvis(path, ["c9", "c5"]).instance_count.tolist() == [
        0,
        of["c5"]["instance_count"],
    ]
    assert ClassStats.from_coco(path).instance_count.sum() < 60


def test_coco_errors_name_file_and_entry(tmp_path):
    ann_file = toys.write_coco(tmp_path, num_images=2)
    whole = ann_file.read_text()

    def refused(message, edit):
        content = json.loads(whole)
        edit(content)
        ann_file.write_text(json.dumps(content))
        with pytest.raises(ValueError, match=rf"ann\.json: {message}"):
            ClassStats.from_coco(ann_file)

    refused(
        r"annotations\[0\] \(id 1, image '1'\): `image_id` must be a whole number",
        lambda content: content["annotations"][0].update(image_id="1"),
    )
    refused(
        r"annotations\[0\] \(id 1, image 1\): lacks the key `area`",
        lambda content: content["annotations"][0].pop("area"),
    )
    refused(
        r"images\[0\] \(id 1, '0.png'\): `width` must be a number of pixels, got '9'",
        lambda content: content["images"][0].update(width="9"),
    )
    refused(r"has no \['categories'\]", lambda content: content.pop("categories"))
    ann_file.write_text(whole[:-9])
    with pytest.raises(ValueError, match=r"ann\.json: is not valid JSON"):
        ClassStats.from_coco(ann_file)


def test_bccd(bccd_root):
    stats = ClassStats.from_voc(bccd_root, "trainval", ("RBC", "WBC", "Platelets"))
    rest = ClassStats.from_voc(bccd_root, "test", ("RBC", "WBC", "Platelets"))
    total = stats.instance_count + rest.instance_count
    # 4,155 red cells are annotated, two of them without area.
    assert total.tolist() == [4153, 372, 361]
    assert stats.num_images + rest.num_images == 364


def test_from_file_tells_the_kinds_apart(tmp_path):
    # Three boxes, of which mmdet leaves out the one below a pixel; LVIS counts it.
    content = dict(
        images=[dict(id=1, width=40, height=30, file_name="1.jpg")],
        annotations=[
            dict(id=i, image_id=1, category_id=1, bbox=[0, 0, w, 9], area=9 * w)
            for i, w in enumerate((9, 8, 0.5), 1)
        ],
        categories=[dict(id=1, name="cat")],
    )
    path = tmp_path / "train.json"
    path.write_text(json.dumps(content))
    assert ClassStats.from_file(path).instance_count.tolist() == [2]
    for key in ("neg_category_ids", "not_exhaustive_category_ids"):
        content["images"][0][key] = []
    path.write_text(json.dumps(content))
    assert ClassStats.from_file(path).instance_count.tolist() == [3]
    ClassStats(("cat",), [4], [7], 9).to_json(path)
    assert ClassStats.from_file(path, ("cat",)).instance_count.tolist() == [7]
    with pytest.raises(ValueError, match="dog"):
        ClassStats.from_file(path, ("dog",))
    with pytest.raises(FileNotFoundError, match="no file"):
        ClassStats.from_file(tmp_path / "none.json")
