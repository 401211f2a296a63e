"""What is planted in sound data sets: one row each, with the finding that is meant."""

from typing import NamedTuple

from PIL import Image

from tests.planted_sets import ADDRESS, SETS, outline

COCO = ("coco", "mmdet_coco", "lvis")
VOC = ("voc", "mmdet_voc")
ALL = (*COCO, *VOC)
#: Sets of this library refuse some files as they are built; this is the finding then.
BUILDING = ("train_data", "val_data")


class Plant(NamedTuple):
    """One thing that is wrong.

    Args:
        name: For people.
        code: Of the finding, or one for each form.
        spoil: Changes a :class:`~tests.planted_sets.PlantedSet` before it is written.
        after: The same afterwards. Default: None.
        forms: Forms that can have it.
        words: That the finding must say.
        options: Of the examination.
    """

    name: str
    code: str | dict[str, str]
    spoil: object = None
    after: object = None
    forms: tuple = ALL
    words: tuple = ()
    options: dict | None = None

    def code_of(self, form):
        return self.code if isinstance(self.code, str) else self.code[form]


def by_form(coco, mmdet_coco, voc, mmdet_voc):
    """Return a code for each form; LVIS is as mmdet's COCO."""
    codes = dict(coco=coco, mmdet_coco=mmdet_coco, lvis=mmdet_coco)
    return {**codes, "voc": voc, "mmdet_voc": mmdet_voc}


def each(code, **others):
    return {**dict.fromkeys(SETS, code), **others}


def annotation(split="train", place=0, **values):
    return lambda planted: planted.annotation(split, place).update(values)


def image(place=0, split="train", **values):
    return lambda planted: planted.files[split]["images"][place].update(values)


def text(old, new, file=lambda planted: planted.xml()):
    def change(planted):
        path = file(planted)
        content = path.read_text()
        assert old in content
        path.write_text(content.replace(old, new, 1))

    return change


def without(split, category, keep=0):
    """Take the objects of a category out of a split, but for some."""

    def spoil(planted):
        content = planted.files[split]
        own = [a for a in content["annotations"] if a["category_id"] == category]
        for annotation_ in own[keep:]:
            content["annotations"].remove(annotation_)

    return spoil


def both(*parts):
    def spoil(planted):
        for part in parts:
            part(planted)

    return spoil


def grouped(planted):
    """Make classes of 3 images rare, and of more than 8 frequent."""
    hook = dict(type="imb_det.ImbalanceHook", group_thresholds=(3, 8))
    planted.config.custom_hooks = [hook]


def spelled(*splits, name="Dog "):
    def spoil(planted):
        for split in splits:
            planted.files[split]["categories"][1].update(name=name)

    return spoil


def renumbered(split, numbers):
    """Give categories other ids, and their annotations too."""

    def spoil(planted):
        content = planted.files[split]
        for category in content["categories"]:
            category["id"] = numbers[category["id"]]
        for annotation_ in content["annotations"]:
            annotation_["category_id"] = numbers[annotation_["category_id"]]

    return spoil


def text_ids(planted):
    for content in planted.files.values():
        for entry in content["images"]:
            entry["id"] = str(entry["id"])
        for entry in content["annotations"]:
            entry["image_id"] = str(entry["image_id"])


def with_masks(segmentation):
    def spoil(planted):
        for split in planted.files:
            planted.dataset(split).pipeline[1].with_mask = True
        planted.config.val_evaluator.metric = ["bbox", "segm"]
        planted.annotation().update(segmentation=segmentation)

    return spoil


def empty_image(planted):
    own = planted.files["train"]["images"][0]["id"]
    content = planted.files["train"]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] != own]


def filtered(planted):
    empty_image(planted)
    planted.dataset().filter_cfg = dict(filter_empty_gt=True)


def repeated_file(planted):
    name = "train_1.png"
    url = f"{ADDRESS}train/{name}"
    planted.files["train"]["images"][1].update(file_name=name, coco_url=url)


def doubled(planted):
    content = planted.files["train"]
    last = content["annotations"][-1]
    content["annotations"].append({**content["annotations"][0], "id": last["id"] + 1})


def listed(split, line):
    def change(planted):
        path = planted.root / f"{split}.txt"
        path.write_text(path.read_text() + line)

    return change


def shared_file(planted):
    """Let the validation list an image of the training."""
    url = f"{ADDRESS}train/train_1.png"
    own = dict(file_name="../train/train_1.png", coco_url=url)
    planted.files["val"]["images"][0].update(own)


def validation_is_training(planted):
    planted.dataset("val").update(
        ann_file=planted.dataset().ann_file, data_prefix=planted.dataset().data_prefix
    )
    planted.config.val_evaluator = planted.judged_by("train")


def copied(split, number):
    def spoil(planted):
        planted.image(split, number).write_bytes(planted.image().read_bytes())

    return spoil


def nearly_copied(planted):
    """Put a brighter copy of a training image into the validation."""
    with Image.open(planted.image()) as own:
        other = own.convert("RGB").point(lambda value: min(255, value + 6))
    other.save(planted.image("val"))


def oriented(orientation):
    def spoil(planted):
        exif = Image.Exif()
        exif[0x0112] = orientation
        with Image.open(planted.image()) as own:
            own.load()
        own.save(planted.image(), exif=exif)

    return spoil


def loaded(color_type):
    def spoil(planted):
        planted.dataset().pipeline[0].color_type = color_type

    return spoil


def cut_short(planted):
    content = planted.image().read_bytes()
    planted.image().write_bytes(content[: len(content) * 2 // 3])


def folder_for_image(planted):
    planted.image().unlink()
    planted.image().mkdir()


NAN = float("nan")
FAR = outline(24, 16, 8, 8)
PLANTS = [
    # Counts and groups.
    Plant(
        "imbalance",
        "class_balance",
        without("train", 2, keep=2),
        words=("ratio 7", "0.38", "'cat' with 14", "'dog' with 2", "16 boxes"),
    ),
    Plant(
        "imbalance of a set of VOC",
        "class_balance",
        without("train", 2, keep=1),
        forms=("voc",),
        words=("write `type='imb_det.VOCMetric'` into `val_evaluator`",),
    ),
    Plant("class without training box", "no_training_box", without("train", 2)),
    Plant(
        "class without any box",
        "no_training_box",
        both(without("train", 2), without("val", 2)),
        words=("info no_training_box",),
    ),
    Plant(
        "never alone",
        "never_alone",
        both(grouped, without("train", 2, keep=3)),
        words=("'dog' (3 images, 3 of them with 'cat')",),
    ),
    Plant(
        "rare group not measured",
        "group_not_measured",
        both(grouped, without("train", 2, keep=3), without("val", 2)),
        words=("rare", "'dog'"),
    ),
    Plant(
        "precision of a small validation",
        "measured_precision",
        words=("12 boxes, AP +- 0.283",),
    ),
    Plant("image without object", "images_without_objects", empty_image),
    Plant(
        "filtered image",
        "images_without_objects",
        filtered,
        words=("1 of 14 images (7.1%)", "filter_empty_gt"),
    ),
    Plant(
        "small image",
        "small_images",
        both(
            image(height=20),
            lambda planted: planted.dataset().update(filter_cfg=dict(min_size=25)),
        ),
        words=("1 of 14 images (7.1%)", "'min_size': 25", "Take `min_size` out"),
    ),
    Plant(
        "crowd",
        "ignored_objects",
        annotation(iscrowd=1),
        forms=COCO,
        words=("1 of 28", "'cat': 1 of 14"),
    ),
    Plant(
        "difficult",
        "ignored_objects",
        after=text("</name>", "</name><difficult>1</difficult>"),
        forms=VOC,
        words=("1 of 28",),
    ),
    Plant("marked ignore", "ignored", annotation(ignore=1), forms=COCO),
    Plant(
        "object without a name",
        "unnamed_object",
        after=text("<name>cat<", "<name><"),
        forms=("mmdet_voc",),
        words=("object[0] has no <name>",),
    ),
    Plant(
        "difficult without a number",
        "voc_file",
        after=text("</name>", "</name><difficult></difficult>"),
        forms=("mmdet_voc",),
        words=("`difficult` must be 0 or 1",),
    ),
    Plant("object twice", "repeated_object", doubled, words=("1 pairs with equal",)),
    # Ids and names.
    Plant("annotation id twice", "shared_id", annotation(id=2), forms=COCO),
    Plant("image id twice", "shared_id", image(1, id=1), forms=COCO),
    Plant(
        "category id twice",
        "shared_id",
        lambda planted: planted.files["train"]["categories"].append(
            dict(id=2, name="cow", image_count=1, frequency="c")
        ),
        forms=COCO,
    ),
    Plant("file name twice", "repeated_image", repeated_file, forms=COCO),
    Plant(
        "image listed twice",
        by_form("", "", "train_data", "repeated_image"),
        after=listed("train", "train/train_1\n"),
        forms=VOC,
        words=("train_1",),
    ),
    Plant(
        "annotation id 0",
        "annotation_id",
        annotation("val", id=0),
        forms=("mmdet_coco", "lvis"),
    ),
    Plant("ids of text", "text_ids", text_ids, forms=COCO, words=("14 images",)),
    Plant(
        "gap in category ids",
        "category_ids",
        both(renumbered("train", {1: 1, 2: 7}), renumbered("val", {1: 1, 2: 7})),
        forms=COCO,
        words=("not used: [2, 3, 4, 5, 6]",),
    ),
    Plant(
        "category ids from 0",
        "category_ids",
        both(renumbered("train", {1: 0, 2: 1}), renumbered("val", {1: 0, 2: 1})),
        forms=COCO,
        words=("2 ids from 0 to 1",),
    ),
    Plant(
        "ids swapped in the validation",
        "category_ids_differ",
        renumbered("val", {1: 2, 2: 1}),
        forms=COCO,
        words=("1 is 'cat' and 'dog'",),
    ),
    Plant(
        "order of classes differs",
        by_form("val_data", "category_order", "", ""),
        lambda planted: planted.files["val"]["categories"].reverse(),
        forms=COCO,
        words=("'dog'", "'cat'"),
    ),
    Plant(
        "name differs in case and blanks",
        by_form("train_data", "names_alike", "unknown_class", "unknown_class"),
        spelled("train", "val"),
        words=("Dog ",),
    ),
    Plant(
        "name differs between files",
        by_form("train_data", "names_alike", "unknown_class", "unknown_class"),
        spelled("train", name="dog_"),
        words=("dog_",),
    ),
    Plant(
        "class that the config does not name",
        "unknown_class",
        lambda planted: (
            planted.files["train"]["categories"].append(dict(id=3, name="cow"))
            or planted.annotation().update(category_id=3)
        ),
        forms=("coco", "mmdet_coco", *VOC),
        words=("'cow'", "1 objects"),
    ),
    Plant("unknown image", "unknown_image", annotation(image_id=777), forms=COCO),
    Plant(
        "unknown category", "unknown_category", annotation(category_id=7), forms=COCO
    ),
    # Boxes and masks.
    Plant(
        "no area",
        each("no_area", mmdet_voc="unusable_box"),
        annotation(bbox=[3, 3, 0, 5]),
    ),
    Plant(
        "outside",
        each("outside", mmdet_voc="unusable_box"),
        annotation(bbox=[300, 3, 9, 5]),
    ),
    Plant("NaN", "not_finite", annotation(bbox=[NAN, 3, 9, 5]), forms=COCO),
    Plant("text in a box", "bbox", annotation(bbox=["a", 3, 9, 5]), forms=COCO),
    Plant(
        "NaN in XML",
        by_form("", "", "not_finite", "voc_file"),
        after=text("<xmin>8<", "<xmin>nan<"),
        forms=VOC,
    ),
    Plant(
        "text in XML",
        by_form("", "", "not_finite", "voc_file"),
        after=text("<xmin>8<", "<xmin>left<"),
        forms=VOC,
    ),
    Plant("no mask", "no_mask", with_masks([]), forms=COCO),
    Plant("mask of two points", "no_outline", with_masks([[1, 1, 2, 2]]), forms=COCO),
    Plant("mask elsewhere", "mask_off_box", with_masks(FAR), forms=COCO),
    Plant(
        "run lengths elsewhere",
        "mask_off_box",
        with_masks(dict(size=[30, 40], counts=[900, 20, 280])),
        forms=COCO,
        words=("annotations[0]", "box around the mask"),
    ),
    Plant(
        "run lengths without a pixel",
        "mask_empty",
        with_masks(dict(size=[30, 40], counts=[1200])),
        forms=COCO,
    ),
    Plant(
        "run lengths of another size",
        "mask",
        with_masks(dict(size=[10, 40], counts=[400])),
        forms=COCO,
    ),
    # Images.
    Plant("missing", "image_missing", lambda planted: planted.image().unlink()),
    Plant("truncated", "image_damaged", cut_short),
    Plant(
        "another size",
        "image_size_differs",
        lambda planted: planted.draw("train", 1, (30, 40)),
    ),
    Plant("turned by EXIF", "image_size_differs", oriented(6), words=("EXIF",)),
    Plant(
        "upside down by EXIF",
        "turned_image",
        oriented(3),
        words=("EXIF orientation 3",),
    ),
    Plant(
        "turned by EXIF that the loader passes over",
        "turned_image",
        both(oriented(3), loaded("color_ignore_orientation")),
        forms=("mmdet_coco",),
        words=("drawn with that are wrong", "color_type='color',"),
    ),
    Plant("folder for an image", "image_unreadable", folder_for_image),
    Plant("copy in the training", "copied_image", copied("train", 5)),
    # Training and validation.
    Plant(
        "same file in both",
        "leaked_image",
        shared_file,
        forms=COCO,
        words=("1 of 6 images", "train_1"),
    ),
    Plant(
        "same entry in both",
        "leaked_image",
        after=listed("val", "train/train_1\n"),
        forms=VOC,
        words=("1 of 7 images",),
    ),
    Plant(
        "copy in the validation",
        "leaked_image",
        copied("val", 2),
        words=("byte for byte", "1 of 6"),
    ),
    Plant(
        "near copy in the validation",
        "leaked_near_copy",
        nearly_copied,
        options=dict(hash_distance=20),
        words=("1 of 6",),
    ),
    Plant(
        "validation is the training",
        "evaluated_on_training",
        validation_is_training,
        words=("14 of 14",),
    ),
]
