"""Malformed annotation files and entries of COCO and LVIS, as data."""

import json
from typing import Any, NamedTuple

from pycocotools import mask as mask_utils

INF, NAN = float("inf"), float("nan")
DOG = "annotations[1] (id 102, image 11)"
#: Of a kind that mmdet's own data sets do not survive, or train on in silence.
USE_OURS = ("ann.json: " + DOG, "imb_det.CocoDataset")


class Row(NamedTuple):
    """One way to spoil a sound file, and what must come of it.

    Args:
        name: Of the test.
        spoil: Gets the content, and changes it, or returns the bytes of the file.
        words: In the error of every reader, or told by every reader beside counts.
        used: Cats and dogs that are trained on; None where the file is refused.
        judged: Cats and dogs that an evaluation looks for.
        others: Readers with another outcome: counts, or words of their refusal.
        kind: ``coco`` or ``lvis``.
        masks: Whether pipeline and metric use masks.
    """

    name: str
    spoil: Any
    words: tuple[str, ...]
    used: Any = None
    judged: Any = None
    others: Any = None
    kind: str = "coco"
    masks: bool = False


def dog(**values):
    """Change the first dog, the second annotation; None as `...` takes a key out."""
    return entry("annotations", 1, **values)


def entry(part, index, **values):
    def spoil(content):
        for key, value in values.items():
            content[part][index][key] = value
            if value is ...:
                del content[part][index][key]

    return spoil


def part(key, value=...):
    def spoil(content):
        content[key] = value
        if value is ...:
            del content[key]

    return spoil


def renamed(key, other):
    def spoil(content):
        content[other] = content.pop(key)

    return spoil


def replaced(key, index, value):
    def spoil(content):
        content[key][index] = value

    return spoil


def added(key, *values):
    def spoil(content):
        content[key] += values

    return spoil


def raw(data):
    return lambda content: data


def encoded(encoding):
    def spoil(content):
        content["images"][0]["file_name"] = "é.jpg"
        return json.dumps(content, ensure_ascii=False).encode(encoding)

    return spoil


def refused(name, spoil, *words, **options):
    return Row(name, spoil, ("ann.json", *words), **options)


def of_dog(name, values, *words, **options):
    return refused(name, dog(**values), DOG, *words, **options)


def read(name, spoil, used, judged, *words, **options):
    if options.pop("mmdet", None):
        options["others"] = {"data_set_of_mmdet": USE_OURS}
    return Row(name, spoil, words, used, judged, **options)


def text_ids(part, key):
    """Make all ids of a part, and what points to them, text."""

    def spoil(content):
        for image in content[part]:
            image["id"] = f"a{image['id']}"
        for annotation in content["annotations"]:
            annotation[key] = f"a{annotation[key]}"

    return spoil


KEYS = ("images", "annotations", "categories")
STRUCTURE = [
    refused("cut short", lambda c: json.dumps(c).encode()[:-9], "not valid JSON"),
    refused("empty", raw(b""), "not valid JSON: Expecting value"),
    refused("binary", raw(b"\x89PNG\r\n\x1a\n\x00"), "not in UTF-8: byte 0 is 0x89"),
    refused("UTF-16", encoded("utf-16"), "not in UTF-8: byte 0 is 0xff"),
    refused("Latin-1", encoded("latin-1"), "not in UTF-8: byte", "0xe9"),
    refused("byte order mark", encoded("utf-8-sig"), "not valid JSON", "BOM"),
    refused("nested", raw(b"[" * 99_999), "nested too deeply"),
    refused(
        "digits", raw(b'{"images": ' + b"9" * 5000 + b"}"), "not valid JSON", "5000"
    ),
    *(
        refused(
            f"a {name}", raw(data), "must hold a mapping with images, ", f"got {name}"
        )
        for name, data in (("list", b"[]"), ("str", b'"x"'), ("NoneType", b"null"))
    ),
    *(
        refused(f"misspelt {key}", renamed(key, key[:-1]), f"has no ['{key}'], only")
        for key in KEYS
    ),
    *(
        refused(
            f"{key}: {value}", part(key, value), f"`{key}` must be a list, got {value}"
        )
        for key, value in zip(KEYS, (None, {}, 7), strict=True)
    ),
    *(
        refused(
            f"{key}[0]: {value}", replaced(key, 0, value), f"{key}[0]: must be a map"
        )
        for key, value in zip(KEYS, ("x", None, 7), strict=True)
    ),
    *(
        of_dog(f"annotation without {key}", {key: ...}, f"lacks the key `{key}`")
        for key in ("category_id", "bbox", "area")
    ),
    refused(
        "annotation without image_id",
        dog(image_id=...),
        "annotations[1] (id 102): lacks the key `image_id`",
    ),
    refused(
        "annotation without id", dog(id=...), "annotations[1] (image 11): lacks", "`id`"
    ),
    *(
        refused(
            f"{where} without {key}",
            entry(where, 1, **{key: ...}),
            f"{where}[1] (",
            f"`{key}`",
        )
        for where, key in (
            ("images", "id"),
            ("categories", "id"),
            ("categories", "name"),
        )
    ),
]
WHOLE = "must be a whole number, as"
IDS = [
    *(
        refused(
            f"annotation id {value}",
            dog(id=value),
            "annotations[1] (id",
            "`id` must be",
        )
        for value in (None, 2.5, True, [], {})
    ),
    refused(
        "annotation id text", dog(id="102"), f"`id` {WHOLE} that of most, got '102'"
    ),
    *(
        refused(
            f"{key} id text", entry(key, 1, id="2"), f"{key}[1] (id '2', ", "`id` must"
        )
        for key in ("images", "categories")
    ),
    *(
        refused(
            f"image_id {value!r}",
            dog(image_id=value),
            "annotations[1]",
            f"`image_id` {WHOLE} the ids of images are, got {value!r}",
        )
        for value in ("11", None, 11.5, [11])
    ),
    *(
        refused(
            f"category_id {value!r}",
            dog(category_id=value),
            DOG,
            f"`category_id` {WHOLE} the ids of categories are, got {value!r}",
        )
        for value in ("2", None, 2.5, {})
    ),
    refused(
        "annotations share an id",
        dog(id=101),
        "annotations[0] (id 101",
        "is also that of annotations[1]",
    ),
    refused(
        "images share an id",
        entry("images", 1, id=11),
        "images[0] (id 11, '11.jpg')",
        "also that of images[1]",
        "'12.jpg'",
    ),
    refused(
        "categories share an id",
        entry("categories", 1, id=1),
        "categories[0] (id 1, 'cat')",
        "also that of categories[1]",
    ),
    refused(
        "twin of a class",
        added("categories", dict(id=3, name="dog")),
        "categories[1] (id 2, 'dog')",
        "`name` 'dog' is also that of categories[2]",
    ),
    refused(
        "twins of no class",
        added("categories", *(dict(id=i, name="bird") for i in (3, 4))),
        "categories[2] (id 3, 'bird')",
        "(id: [3, 4])",
    ),
    *(
        refused(
            f"class name {value!r}",
            entry("categories", 1, name=value),
            "categories[1] (id 2, ",
            f"`name` must be text, got {value!r}",
        )
        for value in (None, 7, ["dog"])
    ),
    *(
        refused(
            f"file name {value!r}",
            entry("images", 0, file_name=value),
            "images[0] (id 11, ",
            f"`file_name` must be text, got {value!r}",
        )
        for value in (None, 7)
    ),
    *(
        refused(
            f"{key} {value!r}",
            entry("images", 1, **{key: value}),
            "images[1] (id 12, '12.jpg')",
            f"`{key}` must be a number of pixels, got",
        )
        for key, value in (
            ("width", "40"),
            ("height", -30),
            ("width", NAN),
            ("width", True),
            ("height", [30]),
            ("width", INF),
        )
    ),
]
BOXES = [
    *(
        of_dog(
            f"box {value!r}",
            dict(bbox=value),
            f"`bbox` must be four numbers (x, y, w, h), got {value!r}",
        )
        for value in (
            "1,1,9,9",
            "1199",
            {"x": 1},
            [1, 1, 9],
            [1, 1, 9, 9, 9],
            [],
            None,
            7,
            ["1", "1", "9", "9"],
            [True, 1, 9, 9],
            [[1], 1, 9, 9],
        )
    ),
    *(
        of_dog(
            f"area {value!r}",
            dict(area=value),
            f"`area` must be a number, got {value!r}",
        )
        for value in ("81", None, [81], True)
    ),
    *(
        of_dog(
            f"{key} {value!r}", {key: value}, f"`{key}` must be 0 or 1, got {value!r}"
        )
        for key, value in (
            ("iscrowd", "0"),
            ("iscrowd", 2),
            ("iscrowd", -1),
            ("iscrowd", []),
            ("iscrowd", "false"),
            ("iscrowd", NAN),
            ("ignore", "1"),
            ("ignore", 0.5),
            ("ignore", {}),
        )
    ),
    refused(
        "several at once",
        lambda c: [
            dog(bbox="x")(c),
            entry("annotations", 2, area="y")(c),
            entry("images", 0, width="z")(c),
        ],
        "3 errors",
        DOG,
        "got 'x'",
        "annotations[2] (id 103, image 12)",
        "got 'y'",
        "images[0]",
        "got 'z'",
    ),
    *(
        read(
            f"corner {value}",
            dog(bbox=value),
            [2, 1],
            [2, 1],
            DOG,
            "non-finite corner",
            mmdet=True,
        )
        for value in (
            [None, 5, 20, 20],
            [NAN, 5, 20, 20],
            [10, 5, INF, 20],
            [10, -INF, 20, 20],
            [10, 5, 10**400, 20],
        )
    ),
    *(
        read(
            f"huge {value[2]}",
            dog(bbox=value),
            [2, 1],
            [2, 1],
            DOG,
            "boxes with a number beyond 1e+09",
            mmdet=True,
        )
        for value in ([10, 5, 1e30, 20], [10, 5, 2e9, 20])
    ),
    *(
        read(
            f"negative {value}",
            dog(bbox=value),
            [2, 1],
            [2, 1],
            DOG,
            "negative width or height",
        )
        for value in ([10, 5, -9, 20], [10, 5, 9, -1])
    ),
    *(
        read(
            f"left out of training {value}", dog(bbox=value), [2, 1], [2, 2], DOG, words
        )
        for value, words in (
            ([10, 5, 0, 20], "boxes without area"),
            ([10, 5, 20, 0.0], "boxes without area"),
            ([40, 5, 9, 9], "wholly outside"),
            ([-9, 5, 9, 9], "wholly outside"),
            ([10, 5, 0.5, 20], "narrower or lower than one pixel"),
        )
    ),
    *(
        read(
            f"area {value}", dog(area=value), [2, 1], [2, 2], DOG, "`area` of 0 or less"
        )
        for value in (0, 0.0)
    ),
    *(
        read(
            f"area {value}",
            dog(area=value),
            [2, 2],
            [2, 2],
            DOG,
            "`area` that is no finite number",
        )
        for value in (NAN, INF, 10**400)
    ),
    # As in pycocotools, areas that its rules do not know are ignored.
    *(
        read(
            f"area {value}", dog(area=value), [2, 1], [2, 1], DOG, "`area` of 0 or less"
        )
        for value in (-5, -INF)
    ),
    read(
        "area 1e300",
        dog(area=1e300),
        [2, 2],
        [2, 1],
        DOG,
        "`area` beyond 1e+10",
    ),
    read(
        "image not listed",
        dog(image_id=77),
        [2, 1],
        [2, 1],
        "annotations[1] (id 102, image 77)",
        "does not list",
    ),
    read(
        "category not defined",
        dog(category_id=9),
        [2, 1],
        [2, 1],
        DOG,
        "does not define",
    ),
    read("over the border", dog(bbox=[30, 5, 20, 20]), [2, 2], [2, 2]),
    read("ignored", dog(ignore=1), [2, 1], [2, 2]),
    *(
        read(f"crowd {value}", dog(iscrowd=value), [2, 1], [2, 1])
        for value in (True, 1.0)
    ),
    *(
        read(f"no crowd {value}", dog(iscrowd=value), [2, 2], [2, 2])
        for value in (False, None, 0.0, ...)
    ),
    *(
        Row(
            f"size {value}",
            entry("images", 0, width=value, height=value),
            (),
            [2, 2],
            [2, 2],
            {
                "data_set_of_mmdet": (
                    "ann.json: images[0] (id 11, '11.jpg')",
                    "Add `width`",
                )
            },
        )
        for value in (..., None, 0)
    ),
    read("image ids as text", text_ids("images", "image_id"), [2, 2], [2, 2]),
    read("category ids as text", text_ids("categories", "category_id"), [2, 2], [2, 2]),
    read("annotation id 0", dog(id=0), [2, 2], [2, 2]),
    read("annotation id beyond 64 bits", dog(id=2**70), [2, 2], [2, 2]),
    read("another class", added("categories", dict(id=7, name=" ")), [2, 2], [2, 2]),
    read("segmentation that nobody uses", dog(segmentation=None), [2, 2], [2, 2]),
]
RLE = {"size": [30, 40], "counts": [100, 50, 1050]}
COMPRESSED = mask_utils.frPyObjects(RLE, 30, 40)["counts"].decode()
OUTLINE = [[1, 1, 9, 1, 9, 9]]
MASKS = [
    *(
        of_dog(f"mask {value!r:.60}", dict(segmentation=value), words, masks=True)
        for value, words in (
            (None, "has no mask"),
            (..., "has no mask"),
            ([], "`segmentation` is []"),
            ({}, "`segmentation` is {}"),
            ([1, 1, 9, 1, 9, 9], "a list of polygons [x1, y1, x2, y2, ...], got [1, 1"),
            ("polygon", "must be a list of polygons, or run lengths"),
            (7, "must be a list of polygons, or run lengths"),
            ([["1", "1", "9", "1", "9", "9"]], "a list of polygons"),
            ([[1, 1, 9, None, 9, 9]], "a list of polygons"),
            ([{"x": 1}], "a list of polygons"),
            ({"size": [30, 40]}, "run lengths with `size`"),
            ({"counts": [1200]}, "run lengths with `size`"),
            ({"size": [30, "40"], "counts": [1200]}, "run lengths with `size`"),
            (
                {"size": [40, 30], "counts": [1200]},
                "is of [40, 30] (height, width), but the image is [30",
            ),
            (
                {"size": [30, 40], "counts": [100, 50]},
                "are for 150 pixels, not [30, 40]",
            ),
            ({"size": [30, 40], "counts": [-1, 1201]}, "malformed"),
            ({"size": [30, 40], "counts": [0.5, 1199.5]}, "malformed"),
            ({"size": [30, 40], "counts": "nonsense~"}, "malformed"),
            ({"size": [30, 40], "counts": "é"}, "malformed"),
        )
    ),
    *(
        read(
            f"outline {value!r:.60}",
            dog(segmentation=value),
            [2, 1],
            [2, 1],
            DOG,
            "masks that show nothing",
            masks=True,
            mmdet=is_drawn,
        )
        for value, is_drawn in (
            ([[]], False),
            ([[1, 1]], False),
            ([[1, 1, 9, 9]], False),
            ([[1, 1, 9, 1, 9, 9, 5]], False),
            ([[1, 1, 9, 1], [2, 2, 9, 9, 5]], False),
            ([[1, 1, 9, NAN, 9, 9]], True),
            ([[1, 1, 9, INF, 9, 9]], True),
            ([[1, 1, 9, 1e9, 9, 9]], True),
            ([[1, 1, 9, 10**400, 9, 9]], True),
        )
    ),
    *(
        read(
            f"drawn {value!r:.60}", dog(segmentation=value), [2, 2], [2, 2], masks=True
        )
        for value in (
            RLE,
            {**RLE, "counts": COMPRESSED},
            [[], *OUTLINE],
            [[1, 1, 9, 9], *OUTLINE],
            [*OUTLINE, [1, 1, 9]],
        )
    ),
    read(
        "polygon of NaN beside a sound one",
        dog(segmentation=[[NAN] * 6, *OUTLINE]),
        [2, 2],
        [2, 2],
        DOG,
        "left out of their masks",
        masks=True,
        mmdet=True,
    ),
    read(
        "mask of a class that nobody uses",
        lambda c: [
            added("categories", dict(id=7, name="bird"))(c),
            dog(category_id=7, segmentation=None)(c),
        ],
        [2, 1],
        [2, 1],
        masks=True,
    ),
]
LVIS = [
    row._replace(kind="lvis")
    for row in (
        *(
            refused(
                f"{key} {value!r}",
                entry("images", 0, **{key: value}),
                "images[0] (id 11, '11.jpg')",
                f"`{key}`",
            )
            for key in ("neg_category_ids", "not_exhaustive_category_ids")
            for value in (..., None, 1, ["1"])
        ),
        *(
            refused(
                f"frequency {value!r}",
                entry("categories", 1, frequency=value),
                "categories[1] (id 2, 'dog')",
                "`frequency` of 'r', 'c' or 'f'",
            )
            for value in ("x", None, ["r"])
        ),
        refused(
            "address",
            entry("images", 0, coco_url=7),
            "images[0] (id 11, '11.jpg')",
            "`coco_url` must be text, got 7",
        ),
        refused(
            "lvis annotations misspelt",
            renamed("annotations", "annotation"),
            "has no ['annotations']",
        ),
        refused("lvis id", dog(id=101), "annotations[0] (id 101", "also that of"),
        refused(
            "twins",
            added("categories", dict(id=3, name="dog", frequency="r")),
            "`name` 'dog' is also",
        ),
        of_dog("lvis box", dict(bbox="1199"), "four numbers"),
        of_dog("lvis flag", dict(ignore="0"), "`ignore` must be 0 or 1"),
        of_dog(
            "lvis mask",
            dict(segmentation=[1, 2, 3, 4, 5, 6]),
            "a list of polygons",
            masks=True,
        ),
        read(
            "lvis corner",
            dog(bbox=[NAN, 5, 9, 9]),
            [2, 1],
            [2, 1],
            DOG,
            "non-finite corner",
            mmdet=True,
        ),
        read(
            "lvis negative",
            dog(bbox=[10, 5, -9, 9]),
            [2, 1],
            [2, 1],
            DOG,
            "negative width",
        ),
        read(
            "lvis image not listed",
            dog(image_id=77),
            [2, 1],
            [2, 1],
            "(id 102, image 77)",
            "does not list",
        ),
        read(
            "lvis category not defined",
            dog(category_id=9),
            [2, 1],
            [2, 1],
            DOG,
            "does not define",
        ),
        read(
            "lvis outline",
            dog(segmentation=[[1, 1, 9, 9]]),
            [2, 1],
            [2, 1],
            DOG,
            "show nothing",
            masks=True,
        ),
        read("lvis ignored", dog(ignore=1), [2, 1], [2, 1]),
        # The counts of LVIS have what mmdet leaves out.
        read(
            "lvis pixel",
            dog(bbox=[10, 5, 0.5, 9]),
            [2, 2],
            [2, 2],
            others={"data_set_of_mmdet": [2, 1]},
        ),
        read(
            "lvis area",
            dog(area=0),
            [2, 2],
            [2, 1],
            others={"data_set_of_mmdet": [2, 1]},
        ),
    )
]
ROWS = [*STRUCTURE, *IDS, *BOXES, *MASKS, *LVIS]
