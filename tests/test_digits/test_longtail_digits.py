import colorsys
import io
import json
import runpy
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin
from pycocotools import mask as coco_mask

from imb_det.digits import find_longtail_digits, make_longtail_digits, summary_table
from imb_det.digits.generated_folder import fill_folder
from imb_det.digits.plan import (
    CLASSES,
    GLYPH_STREAM,
    IMAGE_STREAM,
    DigitsOptions,
    class_ranking,
    generator,
    plan_images,
    planned_image_counts,
)
from imb_det.digits.scenes import (
    STYLE_HUES,
    box_iou,
    draw_scene,
    load_glyphs,
)

SMALL = DigitsOptions(seed=3, num_train=40, num_val=50)
TOOL = Path(__file__).parents[2] / "tools" / "make_longtail_digits.py"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    out = tmp_path_factory.mktemp("digits") / "set"
    make_longtail_digits(out, SMALL)
    return out


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def all_files(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def boxes_by_image(content):
    boxes = {image["id"]: [] for image in content["images"]}
    for ann in content["annotations"]:
        boxes[ann["image_id"]].append((ann["category_id"], tuple(ann["bbox"])))
    return list(boxes.values())


# The plan, at full size: nothing is drawn.


def test_full_training_set_follows_the_law():
    counts = np.sort(planned_image_counts(DigitsOptions(), "train"))[::-1]
    # 800 * (3 / (k + 2)) ** 2 by hand: /1, *9/16, *9/25, ..., *9/1600 = 4.5, *9/1681,
    # *9/1764; halves go to the even number
    assert counts[:7].tolist() == [800, 450, 288, 200, 147, 112, 89]
    assert counts[-3:].tolist() == [4, 4, 4]
    rare, frequent = (counts <= 10).sum(), (counts > 100).sum()
    assert (rare, len(CLASSES) - rare - frequent, frequent) == (16, 18, 6)


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("num_images", [None, 40])
def test_images_hold_exactly_the_planned_classes(split, seed, num_images):
    sizes = {} if num_images is None else dict(num_train=num_images, num_val=num_images)
    options = DigitsOptions(seed, **sizes)
    plan = plan_images(options, split)
    assert len(plan) == options.num_images(split)
    assert {len(labels) for labels in plan} <= {1, 2, 3, 4}
    assert max(max(Counter(labels).values()) for labels in plan) <= 2
    held = Counter(label for labels in plan for label in set(labels))
    counts = planned_image_counts(options, split)
    assert [held[label] for label in range(len(CLASSES))] == counts.tolist()


def test_frequent_classes_occur_twice_in_some_images_but_not_in_most():
    plan = plan_images(DigitsOptions(), "train")
    boxes = Counter(label for labels in plan for label in labels)
    head = class_ranking(DigitsOptions())[0]
    assert 800 * 1.08 < boxes[head] < 800 * 1.2


def test_validation_set_measures_every_class():
    boxes = Counter(x for labels in plan_images(DigitsOptions(), "val") for x in labels)
    assert len(boxes) == len(CLASSES) == 40
    assert min(boxes.values()) >= 40
    assert max(boxes.values()) < 1.5 * min(boxes.values())


def test_validation_set_does_not_depend_on_the_training_set():
    first, second = (DigitsOptions(1, n, 80) for n in (100, 200))
    assert plan_images(first, "val") == plan_images(second, "val")


@pytest.mark.parametrize("seed", range(5))
def test_neither_digit_nor_colour_tells_the_frequency(seed):
    ranking = class_ranking(DigitsOptions(seed))
    assert sorted(ranking) == list(range(40))
    digits, styles = np.divmod(ranking, 4)
    assert all(sorted(run) == list(range(10)) for run in digits.reshape(4, 10))
    assert all(sorted(run) == list(range(4)) for run in styles.reshape(10, 4))


def test_the_ranking_depends_on_the_seed():
    rankings = {tuple(class_ranking(DigitsOptions(seed))) for seed in range(5)}
    assert len(rankings) == 5


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"seed": -1}, ValueError, "seed must be 0 or more, got -1"),
        ({"num_train": 39}, ValueError, "num_train must be 40 or more, got 39"),
        ({"num_val": 0}, ValueError, "num_val must be 40 or more, got 0"),
        ({"num_val": 50.0}, TypeError, r"num_val must be an int, got 50\.0"),
        ({"seed": True}, TypeError, "seed must be an int, got True"),
    ],
)
def test_bad_options(kwargs, error, message):
    with pytest.raises(error, match=message):
        DigitsOptions(**kwargs)


# The scenes.


def test_box_iou():
    assert box_iou((0, 0, 4, 2), (2, 1, 4, 2)) == pytest.approx(2 / 14)
    assert box_iou((0, 0, 2, 2), (2, 0, 2, 2)) == 0
    assert box_iou((5, 6, 7, 8), (5, 6, 7, 8)) == 1


def test_glyphs_of_train_and_val_are_disjoint():
    train, val = load_glyphs(generator(SMALL, GLYPH_STREAM))
    assert [len(glyphs) for glyphs in (train, val)] == [10, 10]
    assert sum(map(len, train + val)) == 1797
    seen, held_out = (
        {(glyph.size, glyph.tobytes()) for glyphs in split for glyph in glyphs}
        for split in (train, val)
    )
    assert not seen & held_out
    assert len(held_out) / 1797 == pytest.approx(0.3, abs=0.01)


def test_missing_scikit_learn_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r'pip install "imb-det\[demo\]"'):
        make_longtail_digits(tmp_path / "set", SMALL)
    assert not list(tmp_path.iterdir())


def test_images_are_full_colour_jpegs(small):
    for path in (small / "JPEGImages").iterdir():
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (320, 320))
            assert JpegImagePlugin.get_sampling(image) == 0
        assert 10_000 < path.stat().st_size < 45_000


@pytest.mark.parametrize("split", ["train", "val"])
def test_boxes_are_tight_around_disjoint_masks_of_the_right_colour(small, split):
    content = read(small / f"annotations/{split}.json")
    names = {c["id"]: c["name"] for c in content["categories"]}
    for image in content["images"]:
        anns = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        masks = np.array([coco_mask.decode(a["segmentation"]) for a in anns])
        assert masks.sum(0).max() == 1
        with Image.open(small / "JPEGImages" / image["file_name"]) as file:
            pixels = np.asarray(file)
        for ann, mask in zip(anns, masks, strict=True):
            x, y, width, height = ann["bbox"]
            rows, columns = np.nonzero(mask)
            assert (columns.min(), rows.min()) == (x, y)
            assert (np.ptp(columns) + 1, np.ptp(rows) + 1) == (width, height)
            assert ann["area"] == mask.sum() > 0.1 * width * height
            assert 20 <= height <= 56
            assert min(x, y) >= 1
            assert max(x + width, y + height) <= 319
            red, green, blue = pixels[mask == 1].mean(0) / 255
            hue, saturation, _ = colorsys.rgb_to_hsv(red, green, blue)
            style = STYLE_HUES[names[ann["category_id"]].split("_")[1]]
            assert abs((360 * hue - style + 180) % 360 - 180) < 20
            assert saturation > 0.4
        boxes = [tuple(ann["bbox"]) for ann in anns]
        for index, box in enumerate(boxes):
            assert all(box_iou(box, other) <= 0.1 for other in boxes[:index])


def test_an_image_can_be_drawn_alone(small):
    glyphs = load_glyphs(generator(SMALL, GLYPH_STREAM))
    rng = generator(SMALL, IMAGE_STREAM, 1, 36)
    image, _ = draw_scene(plan_images(SMALL, "val")[36], glyphs[1], rng)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90, subsampling=0)
    path = small / "JPEGImages/val_000037.jpg"
    assert buffer.getvalue() == path.read_bytes()


# The written forms.


@pytest.mark.parametrize("split", ["train", "val"])
def test_written_counts_are_the_planned_counts(small, split):
    content = read(small / f"annotations/{split}.json")
    pairs = {(a["image_id"], a["category_id"]) for a in content["annotations"]}
    held = Counter(category for _, category in pairs)
    counts = planned_image_counts(SMALL, split)
    assert [held[label + 1] for label in range(40)] == counts.tolist()
    assert {image_id for image_id, _ in pairs} == set(
        range(1, len(content["images"]) + 1)
    )
    ids = [ann["id"] for ann in content["annotations"]]
    assert ids == list(range(1, len(ids) + 1))
    assert {ann["iscrowd"] for ann in content["annotations"]} == {0}
    assert [c["name"] for c in content["categories"]] == list(CLASSES)


@pytest.mark.parametrize("split", ["train", "val"])
def test_all_forms_hold_the_same_boxes(small, split):
    coco = boxes_by_image(read(small / f"annotations/{split}.json"))
    assert boxes_by_image(read(small / f"annotations/lvis_{split}.json")) == coco
    stems = (small / f"ImageSets/Main/{split}.txt").read_text().split()
    voc = []
    for stem in stems:
        voc.append([])
        for node in ET.parse(small / f"Annotations/{stem}.xml").iter("object"):
            corners = [int(c.text) for c in node.find("bndbox")]
            assert min(corners) >= 1
            assert max(corners) <= 320
            x1, y1, x2, y2 = corners
            label = CLASSES.index(node.find("name").text)
            voc[-1].append((label + 1, (x1 - 1, y1 - 1, x2 - x1, y2 - y1)))
    assert voc == coco


@pytest.mark.parametrize("split", ["train", "val"])
def test_lvis_form(small, split):
    train = read(small / "annotations/train.json")["annotations"]
    boxes = Counter(ann["category_id"] for ann in train)
    images = planned_image_counts(SMALL, "train")
    content = read(small / f"annotations/lvis_{split}.json")
    for category in content["categories"]:
        count = images[category["id"] - 1]
        assert category["image_count"] == count
        assert category["instance_count"] == boxes[category["id"]]
        assert category["frequency"] == ("r" if count <= 10 else "c")
        assert {"synset", "def", "synonyms"} <= set(category)
    assert (
        content["categories"][13]["def"] == "the handwritten digit 3, drawn in yellow"
    )
    for image, held in zip(content["images"], boxes_by_image(content), strict=True):
        negative = set(image["neg_category_ids"])
        assert len(negative) == 10
        assert negative <= set(range(1, 41)) - {category for category, _ in held}
        assert image["not_exhaustive_category_ids"] == []
        # What mmdet's LVISV1Dataset makes of it, and the usual "last two parts".
        url = image["coco_url"]
        assert url.replace("http://images.cocodataset.org/", "") == url
        assert "/".join(url.split("/")[-2:]) == url
        assert (small / url).is_file()


def test_mmdet_reads_coco_and_voc_form_alike(small):
    datasets = pytest.importorskip("mmdet.datasets")
    from mmcv.transforms import LoadImageFromFile
    from mmdet.datasets.transforms import LoadAnnotations
    from mmdet.utils import register_all_modules

    register_all_modules()
    common = dict(data_root=str(small), metainfo=dict(classes=CLASSES), pipeline=[])
    coco = datasets.CocoDataset(
        ann_file="annotations/train.json", data_prefix=dict(img="JPEGImages/"), **common
    )
    voc = datasets.XMLDataset(
        ann_file="ImageSets/Main/train.txt",
        data_prefix=dict(sub_data_root=""),
        **common,
    )
    assert len(coco) == len(voc) == SMALL.num_train
    for one, other in zip(map(coco.get_data_info, range(40)), voc, strict=True):
        assert Path(one["img_path"]) == Path(other["img_path"])
        pairs = [
            [(i["bbox_label"], i["bbox"], i["ignore_flag"]) for i in info["instances"]]
            for info in (one, other)
        ]
        assert pairs[0] == pairs[1]
    loaded = LoadImageFromFile()(coco.get_data_info(4))
    loaded = LoadAnnotations(with_bbox=True, with_mask=True)(loaded)
    anns = read(small / "annotations/train.json")["annotations"]
    areas = [ann["area"] for ann in anns if ann["image_id"] == 5]
    assert loaded["gt_masks"].masks.sum((1, 2)).tolist() == areas


@pytest.mark.parametrize("form", ["val", "lvis_val"])
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_perfect_detections_have_ap_one(small, form, kind):
    pytest.importorskip("faster_coco_eval")
    from faster_coco_eval import COCO, COCOeval_faster

    content = read(small / f"annotations/{form}.json")
    keys = ("image_id", "category_id", "bbox", "segmentation")
    found = [
        {**{key: ann[key] for key in keys}, "score": 0.9}
        for ann in content["annotations"]
    ]
    truth = COCO(content)
    result = COCOeval_faster(
        truth, truth.loadRes(found), kind, lvis_style=form.startswith("lvis")
    )
    result.evaluate()
    result.accumulate()
    result.summarize()
    assert result.stats[0] == pytest.approx(1)


# Making, finding and replacing.


def test_the_same_seed_gives_the_same_bytes(small, tmp_path):
    make_longtail_digits(tmp_path / "again", SMALL)
    assert all_files(tmp_path / "again") == all_files(small)
    other = make_longtail_digits(tmp_path / "other", DigitsOptions(4, 40, 50))
    assert other["sha256"] != read(small / "manifest.json")["sha256"]


@pytest.fixture
def own(small, tmp_path):
    """Return a copy of the small set that a test may spoil."""
    out = tmp_path / "own"
    for name, content in all_files(small).items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return out


def test_a_finished_set_is_left_alone(own):
    (own / "cache.json").write_text("made by a user")
    before = {path: path.stat().st_mtime_ns for path in own.rglob("*")}
    manifest = make_longtail_digits(own, SMALL)
    assert manifest == read(own / "manifest.json")
    assert {path: path.stat().st_mtime_ns for path in own.rglob("*")} == before


def test_other_options_need_force(own):
    other = DigitsOptions(3, 41, 50)
    with pytest.raises(FileExistsError, match=r"'num_train': 40.*--force"):
        make_longtail_digits(own, other)
    manifest = make_longtail_digits(own, other, force=True)
    assert manifest == find_longtail_digits(own, other)
    assert len(list((own / "JPEGImages").iterdir())) == 91
    assert [path.name for path in own.parent.iterdir()] == ["own"]


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_damaged_files_are_noticed(own, damage):
    path = own / "JPEGImages/train_000009.jpg"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FileExistsError, match="missing or changed files"):
        make_longtail_digits(own, SMALL)
    make_longtail_digits(own, SMALL, force=True)
    assert find_longtail_digits(own, SMALL) is not None


@pytest.mark.parametrize("manifest", [None, "not JSON", "[]", '{"name": "x"}'])
def test_foreign_folders_are_never_replaced(tmp_path, manifest):
    (tmp_path / "thesis.txt").write_text("precious")
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    before = all_files(tmp_path)
    for force in (False, True):
        with pytest.raises(FileExistsError, match="not a long-tailed digits data set"):
            make_longtail_digits(tmp_path, SMALL, force=force)
    assert all_files(tmp_path) == before


def test_interruption_leaves_everything_as_it_was(own):
    def interrupt(jobs):
        yield from jobs[:5]
        raise KeyboardInterrupt

    before = all_files(own)
    with pytest.raises(KeyboardInterrupt):
        make_longtail_digits(own, SMALL, force=True, progress=interrupt)
    assert all_files(own) == before
    assert [path.name for path in own.parent.iterdir()] == ["own"]


def test_what_a_killed_process_left_is_removed(small, tmp_path):
    leftover = tmp_path / ".set.partial/JPEGImages"
    leftover.mkdir(parents=True)
    (leftover / "train_000001.jpg").write_bytes(b"half")
    make_longtail_digits(tmp_path / "set", SMALL)
    assert all_files(tmp_path / "set") == all_files(small)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_two_writers_do_not_mix(tmp_path):
    with fill_folder(tmp_path / "set"):
        with pytest.raises(RuntimeError, match="another process"):
            make_longtail_digits(tmp_path / "set", SMALL)
        assert (tmp_path / ".set.partial").is_dir()
    assert find_longtail_digits(tmp_path / "set", SMALL) is None


def test_summary_table(small):
    lines = summary_table(read(small / "manifest.json")).splitlines()
    # 40 images: 21, 12, 8, 5, 4, 3, 2, ... images a class by the law, at least 1
    assert lines[1].split()[:3] == ["frequent", "0", "0"]
    assert lines[2].split()[:5] == ["common", "2", "12", "to", "21"]
    assert lines[3].split()[:5] == ["rare", "38", "1", "to", "8"]
    forms = (read(small / f"annotations/{split}.json") for split in ("train", "val"))
    boxes = [len(form["annotations"]) for form in forms]
    assert lines[4].split() == ["all", "40", *map(str, boxes)]
    assert lines[5] == "images: 40 train, 50 val, 320 x 320 pixels"


def run_tool(monkeypatch, *args):
    monkeypatch.setattr(sys, "argv", [str(TOOL), *map(str, args)])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(TOOL), run_name="__main__")
    return stop.value.code


def test_tool(small, tmp_path, monkeypatch, capsys):
    out = tmp_path / "deep" / "set"
    args = ("--out", out, "--seed", 3, "--num-train", 40, "--num-val", 50)
    assert run_tool(monkeypatch, *args) == 0
    printed = capsys.readouterr().out
    assert "Making 90 scenes" in printed
    assert "images: 40 train, 50 val" in printed
    assert all_files(out) == all_files(small)
    assert run_tool(monkeypatch, *args) == 0
    assert "is complete, nothing to do" in capsys.readouterr().out
    error = run_tool(monkeypatch, *args, "--num-train", 41)
    assert error.startswith("error: ")
    assert "--force" in error
    assert run_tool(monkeypatch, *args, "--num-val", 3) == 2
    assert "num_val must be 40 or more, got 3" in capsys.readouterr().err
