"""Malformed annotations of PASCAL VOC, image lists and image files.

Data set, checks, sampler, counts, metric and offline tools come to one verdict on each:
all refuse it and name file and entry, or all read the same and tell what they leave
out.
"""

import os
import socket
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from imb_det.core import FindingsError
from imb_det.datasets.unread_files import explain_failures
from imb_det.registry import DATASETS
from tests.malformed import check_read, check_refused, outcome_of  # noqa: F401
from tests.malformed_voc import CAT, COUNTS, DOG, readers, write
from tests.tiny_sets import voc_xml, write_image


class Row(NamedTuple):
    """What is spoiled, and what must come of it.

    Args:
        spoil: Changes a sound folder.
        counts: Objects of each class that are read.
        words: That those tell who leave something out, or that refuse it.
        is_refused: Whether nobody may read it.
        of_image: Whether the file of the image is spoiled: the checks alone refuse it.
    """

    spoil: object
    counts: object = COUNTS
    words: tuple = ()
    is_refused: bool = False
    of_image: bool = False


def left_out(spoil, *words):
    """The cat of image a is left out."""
    return Row(spoil, [1, 1], words)


def refused(spoil, *words):
    return Row(spoil, None, words, is_refused=True)


def image(spoil, *words):
    return Row(spoil, COUNTS, words, of_image=True)


def edit(old, new, name="a"):
    """Write something else in the place of the first such text of an XML file."""

    def spoil(folder):
        text = folder.xml(name).read_text()
        assert old in text
        folder.xml(name).write_text(text.replace(old, new, 1))

    return spoil


def corner(text, key="xmin"):
    values = dict(xmin=1, ymin=1, xmax=11, ymax=11)
    return edit(f"<{key}>{values[key]}</{key}>", f"<{key}>{text}</{key}>")


def xml(content, encoding="utf-8"):
    def spoil(folder):
        folder.xml().write_bytes(
            content if isinstance(content, bytes) else content.encode(encoding)
        )

    return spoil


def lines(content):
    def spoil(folder):
        folder.list.write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )

    return spoil


def size(width, height="30"):
    return edit(
        "<size><width>40</width><height>30</height></size>",
        f"<size><width>{width}</width><height>{height}</height></size>",
    )


def in_place_of(part, make):
    """Put something that is no file in the place of one."""

    def spoil(folder):
        path = getattr(folder, part)
        path = path() if callable(path) else path
        path.unlink()
        make(path)

    return spoil


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def listening(path):
    here = os.open(path.parent, os.O_RDONLY)
    try:  # a path of a socket has 107 letters at most
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"/proc/self/fd/{here}/{path.name}")
    finally:
        os.close(here)


def both(*spoilers):
    def spoil(folder):
        for one in spoilers:
            one(folder)

    return spoil


def no_size(folder):
    folder.write_xml(CAT, DOG, size=None)


def renamed(folder):
    """Image b of another name, with its XML and the list."""
    folder.list.write_text("a\nsub dir/b é\n", encoding="utf-8")
    for path in (folder.xml, folder.image):
        new = path("sub dir/b é")
        new.parent.mkdir()
        path("b").rename(new)


def outside(folder):
    """An image that lies beside the data set, by a name that leads there."""
    for kind, path in (("Annotations", folder.xml), ("JPEGImages", folder.image)):
        new = folder.root / kind / ".." / ".." / f"z{path('b').suffix}"
        path("b").rename(new)
    folder.list.write_text("a\n../../z\n")


def rotated(folder):
    tags = Image.Exif()
    tags[0x0112] = 6
    write_image(folder.image(), (40, 30), exif=tags)


def cut(folder):
    content = folder.image().read_bytes()
    folder.image().write_bytes(content[: len(content) // 2])


OBJECT = "<object><name>cat</name>"
NOT_FINITE = "missing or non-finite corner"
WHERE_A = ("Annotations/a.xml object[0]",)
BOMB = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 9))
ROWS = {
    # Corners.
    "sound": Row(lambda f: None),
    "null corner": left_out(corner("null"), NOT_FINITE, *WHERE_A),
    "NaN corner": left_out(corner("nan", "ymax"), NOT_FINITE, *WHERE_A),
    "infinite corner": left_out(corner("inf", "xmax"), NOT_FINITE, *WHERE_A),
    "huge corner": left_out(corner("1e300", "xmax"), NOT_FINITE, *WHERE_A),
    "empty corner": left_out(corner(""), NOT_FINITE, *WHERE_A),
    "comma in a corner": left_out(corner("1,5"), NOT_FINITE, *WHERE_A),
    "missing corner": left_out(edit("<ymin>1</ymin>", ""), NOT_FINITE, *WHERE_A),
    "missing box": left_out(
        edit(OBJECT, "<object><name>cat</name></object><object><name>fox</name>"),
        NOT_FINITE,
        *WHERE_A,
    ),
    "misspelt box": left_out(
        both(edit("<bndbox>", "<BndBox>"), edit("</bndbox>", "</BndBox>")),
        NOT_FINITE,
        *WHERE_A,
    ),
    "swapped corners": left_out(corner("12"), "boxes without area", *WHERE_A),
    "no width": left_out(corner("11"), "boxes without area", *WHERE_A),
    "no width when cut": left_out(corner("11.9"), "boxes without area", *WHERE_A),
    "outside": left_out(corner("-9", "xmax"), "boxes without area", *WHERE_A),
    "right of the image": left_out(
        both(corner("41"), corner("50", "xmax")), "wholly outside", *WHERE_A
    ),
    "over the border": Row(corner("42", "xmax"), words=("over the image border",)),
    "blanks around a corner": Row(corner("\n 1 \t")),
    "corner with a fraction": Row(corner("1.9")),
    # Names.
    "no name": refused(
        edit("<name>cat</name>", ""), "a.xml: object[0] has no <name>", "class"
    ),
    "empty name": refused(edit(">cat<", "><"), "a.xml: object[0] has no <name>"),
    "blank name": refused(edit(">cat<", "> \n<"), "a.xml: object[0] has no <name>"),
    "unknown class": left_out(edit(">cat<", ">fox<"), "'fox': 1 objects", "a.xml"),
    "capital letter": left_out(
        edit(">cat<", ">Cat<"), "'Cat': 1 objects", "he config has 'cat'"
    ),
    "blanks around a name": left_out(
        edit(">cat<", "> cat\n<"), r"' cat\n': 1 objects", "he config has 'cat'"
    ),
    # Flags.
    "empty flag": refused(
        edit("</name>", "</name><difficult/>"),
        "a.xml: object[0] cat: `difficult` must be 0 or 1, got ''",
    ),
    "flag in words": refused(
        edit("</name>", "</name><difficult>Unspecified</difficult>"),
        "a.xml: object[0] cat: `difficult` must be 0 or 1, got 'Unspecified'",
    ),
    "flag with a point": refused(
        edit("</name>", "</name><difficult>1.0</difficult>"), "object[0] cat", "'1.0'"
    ),
    "flag of 2": Row(edit("</name>", "</name><difficult>2</difficult>"), [1, 1]),
    "blanks around a flag": Row(
        edit("</name>", "</name><difficult> 1\n</difficult>"), [1, 1]
    ),
    "flag of an unknown class": left_out(
        edit(">cat</name>", ">fox</name><difficult>no</difficult>"), "'fox': 1 objects"
    ),
    # Sizes.
    "no size": Row(no_size, words=("size taken from the image", "a.xml")),
    "size of 0": Row(size(0, 0), words=("size taken from the image", "a.xml")),
    "negative width": Row(size(-40), words=("size taken from the image",)),
    "width in words": Row(size("forty"), words=("size taken from the image",)),
    "NaN width": Row(size("nan"), words=("size taken from the image",)),
    "infinite width": Row(size("inf"), words=("size taken from the image",)),
    "no height": Row(size(40, ""), words=("size taken from the image",)),
    "width with a fraction": Row(size("40.0")),
    "no size, a box outside": left_out(
        both(
            corner("41"),
            corner("50", "xmax"),
            edit("<size><width>40</width><height>30</height></size>", ""),
        ),
        "wholly outside",
        *WHERE_A,
    ),
    "no size and no image": refused(
        both(no_size, lambda f: f.image().unlink()),
        "a.xml gives no image size, and the image cannot be read",
        "JPEGImages/a.jpg",
    ),
    "no size, a pipe": refused(
        both(no_size, in_place_of("image", pipe)), "a.xml", "a.jpg is no regular file"
    ),
    "no size, a device": refused(
        both(no_size, in_place_of("image", device)), "a.xml", "a.jpg is no regular file"
    ),
    "no size, a text": refused(
        both(no_size, lambda f: f.image().write_text("text")),
        "a.xml gives no image size",
    ),
    # Files.
    "missing XML": refused(
        lambda f: f.xml().unlink(), "a.xml does not exist, but", "trainval.txt lists it"
    ),
    "empty XML": refused(xml(""), "a.xml, listed in", "is not valid XML: no element"),
    "text": refused(
        xml("cat 1 1 11 11"), "a.xml", "not valid XML: syntax error: line 1"
    ),
    "JSON": refused(xml('{"images": []}'), "a.xml", "is not valid XML"),
    "cut XML": refused(xml(voc_xml([CAT])[:-20]), "a.xml", "is not valid XML"),
    "unknown entity": refused(
        xml(voc_xml([("c&at;", (1, 1, 9, 9))])), "a.xml", "undefined entity"
    ),
    "entities without end": refused(
        xml(
            f'<!DOCTYPE a [<!ENTITY l0 "{"x" * 99}">{BOMB}]>'
            f"<annotation>{'&l8;' * 99}</annotation>"
        ),
        "a.xml",
        "is not valid XML: limit on input amplification factor",
    ),
    "HTML": refused(
        xml("<html><body>404</body></html>"),
        "a.xml",
        "root is <html>, not <annotation>",
    ),
    "objects in a list": refused(
        xml(f"<annotation><objects>{voc_xml([CAT])[12:-13]}</objects></annotation>"),
        "a.xml",
        "has no <object> below its root <annotation>",
    ),
    "several annotations": refused(
        xml(f"<annotations>{voc_xml([CAT])}</annotations>"), "a.xml", "<annotations>"
    ),
    "name space": refused(
        xml(voc_xml([CAT]).replace("<annotation>", '<annotation xmlns="x">')),
        "a.xml",
        "{x}object",
    ),
    "folder": refused(in_place_of("xml", os.mkdir), "a.xml is no regular file"),
    "pipe": refused(in_place_of("xml", pipe), "a.xml is no regular file"),
    "no object": Row(xml(voc_xml([])), [1, 0], ("images without objects", "a.xml")),
    "objects of a part": Row(
        edit("</name>", f"</name><part>{voc_xml([DOG])[12:-13]}</part>")
    ),
    "the same object twice": Row(xml(voc_xml([CAT, CAT, DOG])), [3, 1]),
    # Encodings.
    "Latin-1 that says so": Row(
        xml(
            '<?xml version="1.0" encoding="latin-1"?><!--é-->' + voc_xml([CAT, DOG]),
            "latin-1",
        )
    ),
    "Latin-1 that does not": refused(
        xml("<!--é-->" + voc_xml([CAT, DOG]), "latin-1"), "a.xml", "invalid token"
    ),
    "UTF-8 with a mark": Row(xml("<!--é-->" + voc_xml([CAT, DOG]), "utf-8-sig")),
    "UTF-16": Row(xml(voc_xml([CAT, DOG]), "utf-16")),
    "unknown encoding": refused(
        xml('<?xml version="1.0" encoding="nothing"?>' + voc_xml([CAT])), "a.xml", "XML"
    ),
    "encoding of several bytes": refused(
        xml('<?xml version="1.0" encoding="gb2312"?>' + voc_xml([CAT])),
        "a.xml, listed in",
        "multi-byte encodings are not supported",
    ),
    # Image lists.
    "no end of line": Row(lines("a\nb")),
    "empty lines": Row(lines("\na\n\n  \nb\n\n")),
    "line ends of Windows": Row(lines("a\r\nb\r\n")),
    "byte order mark": Row(lines("\ufeffa\nb\n")),
    "blanks in a name": Row(renamed),
    "blanks around": refused(
        lines("a \nb\n"), "a .xml does not exist", "the line has blanks around the name"
    ),
    "list of a class": refused(
        lines("a  1\nb -1\n"), "a  1.xml does not exist", "use `train.txt`"
    ),
    "twice": refused(
        lines("a\nb\na\n"), "trainval.txt lists images more than once", "'a': [1, 3]"
    ),
    "empty list": refused(lines(""), "trainval.txt: the split is empty"),
    "blank list": refused(lines(" \n\n"), "trainval.txt: the split is empty"),
    "list in Latin-1": refused(
        lines("a\né\n".encode("latin-1")), "trainval.txt: line 2 is not UTF-8"
    ),
    "null byte": refused(lines("a\nb\0\n"), "b\0.xml, listed in", "null byte"),
    "address": refused(
        lines("a\nx://1\n"), "trainval.txt: line 2 is the address 'x://1'"
    ),
    "missing list": refused(lambda f: f.list.unlink(), "trainval.txt"),
    "a folder for a list": refused(
        in_place_of("list", os.mkdir), "trainval.txt is no regular file"
    ),
    "a pipe for a list": refused(
        in_place_of("list", pipe), "trainval.txt is no regular"
    ),
    "name that leads out": Row(
        outside, words=("z.jpg: outside ['", "names in the annotations lead out")
    ),
    # Images.
    "missing image": image(
        lambda f: f.image().unlink(), "image_missing", "a.jpg: no such file"
    ),
    "empty image": image(lambda f: f.image().write_bytes(b""), "image_unreadable"),
    "text for an image": image(
        lambda f: f.image().write_text("<html>404</html>"), "image_unreadable", "a.jpg"
    ),
    "truncated image": image(cut, "image_damaged", "a.jpg"),
    "folder for an image": image(
        in_place_of("image", os.mkdir), "a.jpg: no regular file"
    ),
    "pipe for an image": image(in_place_of("image", pipe), "a.jpg: no regular file"),
    "device for an image": image(
        in_place_of("image", device), "a.jpg: no regular file"
    ),
    "socket for an image": image(
        in_place_of("image", listening), "a.jpg: no regular file"
    ),
    "link to nothing": image(
        in_place_of("image", lambda path: path.symlink_to("gone.jpg")), "no such file"
    ),
    "image of another shape": image(
        lambda f: write_image(f.image(), (30, 40)),
        "image_size_differs",
        "file 30 x 40, annotated 40 x 30",
    ),
    "image turned by EXIF": image(
        rotated, "file 30 x 40, annotated 40 x 30", "EXIF orientation 6"
    ),
    "larger image": Row(
        lambda f: write_image(f.image(), (80, 60)),
        words=("file 80 x 60, annotated 40 x 30",),
    ),
    "PNG by another name": Row(
        lambda f: Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(
            f.image(), "PNG"
        )
    ),
}
#: What only a look at the image files tells.
ABOUT_IMAGES = ("file 80 x 60", "z.jpg: outside", "names in the annotations")


@pytest.mark.parametrize("name", ROWS)
def test_one_verdict(name, tmp_path, outcome_of):  # noqa: F811
    row = ROWS[name]
    folder = write(tmp_path / "voc", row.spoil)
    telling, others = (
        {kind: outcome_of(read) for kind, read in some.items()}
        for some in readers(folder.root)
    )
    everyone = telling | others
    if row.is_refused:
        check_refused(everyone, row.words)
        return
    if row.of_image:
        check_refused(dict(checks=everyone.pop("checks")), row.words)
        check_read(everyone, dict.fromkeys(everyone, row.counts))
        return
    check_read(everyone, dict.fromkeys(everyone, row.counts))
    by_images = [word for word in row.words if word.startswith(ABOUT_IMAGES)]
    check_read(dict(checks=telling.pop("checks")), dict(checks=row.counts), row.words)
    words = [word for word in row.words if word not in by_images]
    check_read(telling, dict.fromkeys(telling, row.counts), words)


def test_enough_is_spoiled():
    assert len(ROWS) >= 80


#: At which mmdet's own data set stops with an error that names neither file nor entry.
OF_MMDET = (
    "null corner",
    "empty corner",
    "missing corner",
    "missing box",
    "infinite corner",
    "no name",
    "empty flag",
    "width in words",
    "no height",
    "empty XML",
    "text",
    "cut XML",
    "unknown encoding",
    "null byte",
    "address",
)


@pytest.mark.parametrize("name", OF_MMDET)
def test_mmdets_own_data_set(name, tmp_path):
    row = ROWS[name]
    root = write(tmp_path / "voc", row.spoil).root
    dataset = dict(
        type="mmdet.VOCDataset",
        data_root=str(root),
        ann_file="ImageSets/Main/trainval.txt",
        data_prefix=dict(sub_data_root=""),
        metainfo=dict(classes=("cat", "dog")),
    )
    with (
        pytest.raises(FindingsError) as error,
        explain_failures(dict(train_dataloader=dict(dataset=dataset))),
    ):
        DATASETS.build(dataset)
    (found,) = error.value.findings
    assert found.code == "voc_file"
    words = row.words if row.is_refused else ("a.xml",)
    assert all(word in f"{found.where} {found.evidence}" for word in words)
