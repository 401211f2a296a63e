"""What is read and written: COCO files, VOC lists, and what is malformed."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from imb_det.splitting import Parts, SplitOptions, split_dataset
from imb_det.splitting.coco_set import CocoSet
from imb_det.statistics import ClassStats
from tests.tiny_sets import write_coco, write_image, write_lvis, write_voc

OPTIONS = SplitOptions(Parts(("train", "val"), (0.5, 0.5)))


@pytest.fixture
def coco(tmp_path):
    """Eight images of two videos each, with whatever a file may have beside."""
    images = [
        dict(width=40, height=30, file_name=f"v{i // 2}_{i}.jpg", video_id=i // 2)
        for i in range(8)
    ]
    annotations = [
        (i + 1, 1 + i // 4, [3, 3, 9, 9], dict(score=0.25, note=["ü", None]))
        for i in range(8)
    ]
    annotations.append((77, 1, [3, 3, 9, 9]))  # of no image
    write_coco(tmp_path, images, annotations)
    path = tmp_path / "ann.json"
    content = json.loads(path.read_text())
    content |= dict(info={"year": 2024}, licenses=[{"id": 3}], mine={"a": [1.5]})
    path.write_text(json.dumps(content))
    return path


def read(path):
    return json.loads(Path(path).read_text())


def test_parts_of_a_coco_file_have_all_that_it_has(coco, tmp_path):
    out = tmp_path / "out"
    report = split_dataset(coco, out, OPTIONS)
    whole = read(coco)
    parts = [read(out / "train.json"), read(out / "val.json")]
    for part in parts:
        for key in ("info", "licenses", "categories", "mine"):
            assert part[key] == whole[key]
        ids = {image["id"] for image in part["images"]}
        own = [a for a in whole["annotations"] if a["image_id"] in ids]
        assert part["annotations"] == own
        assert [i for i in whole["images"] if i["id"] in ids] == part["images"]
    ids = sorted(image["id"] for part in parts for image in part["images"])
    assert ids == list(range(1, 9))
    assert [len(part["images"]) for part in parts] == [4, 4]
    assert "1" in next(f for f in report.findings() if f.code == "unknown_image").place
    content = read(out / "split.json")
    assert content["parts"]["val"]["boxes"] == 4
    assert content["worst_error"] == 0
    counts = sum(
        ClassStats.from_coco(out / f"{p}.json").image_count for p in content["parts"]
    )
    assert counts.tolist() == [4, 4]


@pytest.mark.parametrize(
    "options", [dict(group_key="video_id"), dict(group_by=r"^v\d")]
)
def test_groups_stay_together(coco, tmp_path, options):
    split_dataset(coco, tmp_path, SplitOptions(OPTIONS.parts, seed=2, **options))
    videos = [
        {i["video_id"] for i in read(tmp_path / f"{p}.json")["images"]}
        for p in ("train", "val")
    ]
    assert not videos[0] & videos[1]
    assert [len(v) for v in videos] == [2, 2]


def test_the_order_of_images_and_their_ids_make_no_difference(coco, tmp_path):
    split_dataset(coco, tmp_path / "a", OPTIONS)
    content = read(coco)
    for image in content["images"]:
        image["id"] = 90 - image["id"]
    for annotation in content["annotations"]:
        annotation["image_id"] = 90 - annotation["image_id"]
    content["images"].reverse()
    np.random.default_rng(0).shuffle(content["annotations"])
    coco.write_text(json.dumps(content))
    split_dataset(coco, tmp_path / "b", OPTIONS)
    names = [
        {i["file_name"] for i in read(tmp_path / f / "val.json")["images"]}
        for f in "ab"
    ]
    assert names[0] == names[1]


def test_folds_are_trained_on_all_others(coco, tmp_path):
    split_dataset(coco, tmp_path, SplitOptions(Parts.folds(4)))
    judged = []
    for fold in range(4):
        train, val = (
            [i["id"] for i in read(tmp_path / f"fold{fold}_{kind}.json")["images"]]
            for kind in ("train", "val")
        )
        assert sorted(train + val) == list(range(1, 9))
        judged += val
    assert sorted(judged) == list(range(1, 9))


def test_lvis_files_are_counted_as_lvis_does(tmp_path):
    write_lvis(tmp_path)
    report = split_dataset(tmp_path / "ann.json", tmp_path, OPTIONS)
    expected = ClassStats.from_lvis(tmp_path / "ann.json")
    counts = report.counts[:, report.problem.class_boxes].sum(0)
    assert counts.tolist() == expected.instance_count.tolist()


def test_voc_folders_give_image_lists(tmp_path):
    box = (3, 3, 20, 20)
    sets = [[("cat", box)], [("cat", box), ("dog", box)], [("dog", box)], []] * 2
    write_voc(tmp_path, sets)
    out = tmp_path / "out"
    report = split_dataset(tmp_path, out, OPTIONS)
    lists = [(out / f"{name}.txt").read_text().split() for name in ("train", "val")]
    assert sorted(lists[0] + lists[1]) == list("abcdefgh")
    assert report.worst_error == 0
    folder = tmp_path / "ImageSets" / "Main"
    folder.mkdir(parents=True)
    (folder / "some.txt").write_text("a\nb\ne\n")
    options = SplitOptions(OPTIONS.parts, list_name="some", overwrite=True)
    split_dataset(tmp_path, out, options)
    lists = [(out / f"{name}.txt").read_text().split() for name in ("train", "val")]
    assert sorted(lists[0] + lists[1]) == list("abe")
    # The images are a, b, ... of random pixels: no two are near, but a and its copy.
    write_image(tmp_path / "JPEGImages" / "h.jpg", seed=0)
    options = SplitOptions(OPTIONS.parts, near_bits=8, overwrite=True)
    report = split_dataset(tmp_path, out, options)
    assert len(report.part_of) == 7
    assert report.part_of_image[0] == report.part_of_image[7]


def test_files_that_are_there_are_not_replaced(coco, tmp_path):
    (tmp_path / "val.json").write_text("mine")
    with pytest.raises(ValueError, match=r"val\.json is there already"):
        split_dataset(coco, tmp_path, OPTIONS)
    assert (tmp_path / "val.json").read_text() == "mine"
    assert not (tmp_path / "train.json").exists()
    ours = coco.rename(tmp_path / "train.json")
    before = ours.read_text()
    with pytest.raises(ValueError, match="would be overwritten"):
        split_dataset(ours, tmp_path, SplitOptions(OPTIONS.parts, overwrite=True))
    assert ours.read_text() == before


def test_what_is_read_is_not_replaced(coco, tmp_path):
    write_voc(tmp_path, [[("cat", (3, 3, 20, 20))]] * 4)
    folder = tmp_path / "ImageSets" / "Main"
    folder.mkdir(parents=True)
    (folder / "train.txt").write_text("a\nb\nc\n")
    options = SplitOptions(OPTIONS.parts, list_name="train", overwrite=True)
    with pytest.raises(ValueError, match=r"train\.txt would be overwritten"):
        split_dataset(tmp_path, folder, options)
    assert (folder / "train.txt").read_text() == "a\nb\nc\n"
    parts = Parts(("train", "split"), (0.5, 0.5))
    with pytest.raises(ValueError, match="cannot be named 'split'"):
        split_dataset(coco, tmp_path / "out", SplitOptions(parts))
    split_dataset(tmp_path, tmp_path / "out", SplitOptions(parts))
    assert len((tmp_path / "out" / "split.txt").read_text().split()) == 2


def test_images_of_lvis_are_where_mmdet_looks_for_them(coco, tmp_path):
    content = read(coco)
    for image in content["images"]:
        name = image.pop("file_name")
        image["coco_url"] = f"http://images.cocodataset.org/train/{name}"
    coco.write_text(json.dumps(content))
    data = CocoSet(coco)
    assert data.image_paths(tmp_path)[0] == tmp_path / "train" / "v0_0.jpg"
    for image in content["images"]:
        image["coco_url"] = None  # as tools write that know of no address
    coco.write_text(json.dumps(content))
    assert len(set(CocoSet(coco).names)) == 8
    report = split_dataset(coco, tmp_path / "out", OPTIONS)
    assert len(report.part_of) == 8


def test_near_copies_need_a_library(coco, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imagehash", None)
    options = SplitOptions(OPTIONS.parts, near_bits=2, images=tmp_path)
    with pytest.raises(ValueError, match="pip install ImageHash"):
        split_dataset(coco, tmp_path / "out", options)


def twice(content):
    content["images"][1]["id"] = 1


MALFORMED = {
    "empty": ("", "not valid JSON"),
    "cut": (lambda text: text[: len(text) // 2], "not valid JSON"),
    "a list": ("[]", "must hold a mapping"),
    "no images": ('{"images": [], "annotations": [], "categories": []}', "no image"),
    "ids twice": (twice, "`id` 1 is also that of images"),
    "bytes": (b"\xff\xfe{", "not in UTF-8"),
    "panoptic": ('{"images": [{"id": 1}], "categories": [], "annotations": '
                 '[{"image_id": 1, "segments_info": []}]}', "lacks the key"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_files_are_refused_by_name(coco, tmp_path, name):
    change, words = MALFORMED[name]
    if name == "cut":
        change = change(coco.read_text())
    elif name == "ids twice":
        content = read(coco)
        change(content)
        change = json.dumps(content)
    coco.write_bytes(change if isinstance(change, bytes) else change.encode())
    with pytest.raises(ValueError, match=r".") as error:
        split_dataset(coco, tmp_path / "out", OPTIONS)
    assert words in str(error.value)
    assert str(coco) in str(error.value)
    assert not (tmp_path / "out").exists()


ENTITIES = (
    '<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z SYSTEM "file:///etc/passwd">]>'
    "<annotation><object><name>&z;</name></object></annotation>"
)


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        (ENTITIES, "undefined entity"),
        ("<annotation>&undefined;</annotation>", "undefined entity"),
        ("", "no element found"),
        ("<annotation><object>", "no element found"),
        ("<html></html>", "no PASCAL VOC annotation"),
    ],
)
def test_malformed_xml_is_refused_by_name(tmp_path, xml, words):
    write_voc(tmp_path, [[("cat", (3, 3, 20, 20))], xml])
    with pytest.raises(ValueError, match=r".") as error:
        split_dataset(tmp_path, tmp_path / "out", OPTIONS)
    assert words in str(error.value)
    assert "b.xml" in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(group_by="v"), "1 groups of images cannot fill 2 parts"),
        (dict(seed=-1), "seed must be >= 0"),
        (dict(list_name="x"), "--list is for PASCAL VOC folders"),
        (dict(group_key="video"), "no image has the key 'video'"),
        (dict(group_by="("), "no regular expression"),
        (dict(near_bits=3), "--images"),
        (dict(images=Path("nowhere")), "has no effect without --near-copies"),
        (dict(near_bits=3, images=Path("nowhere")), "v0_0.jpg"),
    ],
)
def test_options_that_do_not_fit_are_refused(coco, tmp_path, options, words):
    with pytest.raises((OSError, ValueError), match=r".") as error:
        split_dataset(coco, tmp_path / "out", SplitOptions(OPTIONS.parts, **options))
    assert words in str(error.value)


def test_folders_and_files_without_permission_are_refused(coco, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no folder `Annotations`"):
        split_dataset(tmp_path, tmp_path / "out", OPTIONS)
    write_voc(tmp_path, [[("cat", (3, 3, 20, 20))]])
    with pytest.raises(ValueError, match="images of PASCAL VOC have no key"):
        split_dataset(tmp_path, tmp_path, SplitOptions(OPTIONS.parts, group_key="a"))
    with pytest.raises(FileNotFoundError, match="none"):
        split_dataset(tmp_path / "none", tmp_path / "out", OPTIONS)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(PermissionError, match=r"ann\.json"):
        split_dataset(coco, tmp_path / "out", OPTIONS)
