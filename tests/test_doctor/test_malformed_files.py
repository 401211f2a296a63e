"""Whatever files are, the command ends with findings, and never with a traceback."""

import os
import runpy
import shutil
import sys
import tempfile
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.planted_sets import SETS, PlantedSet

TOOL = Path(__file__).parents[2] / "tools" / "doctor.py"
NOBODY = 65534
ENTITIES = """<!DOCTYPE annotation [
<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;">
<!ENTITY e "&d;&d;&d;&d;&d;&d;&d;&d;"><!ENTITY f "&e;&e;&e;&e;&e;&e;&e;&e;">
<!ENTITY g "&f;&f;&f;&f;&f;&f;&f;&f;"><!ENTITY h "&g;&g;&g;&g;&g;&g;&g;&g;">]>
<annotation><object><name>&h;</name></object></annotation>"""
OUTSIDE = """<!DOCTYPE annotation [<!ENTITY x SYSTEM "file:///etc/hostname">]>
<annotation><object><name>&x;</name></object></annotation>"""


def folder(path):
    path.unlink()
    path.mkdir()


def text(content):
    return lambda path: path.write_bytes(content.encode())


def half(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def dangling(path):
    path.unlink()
    path.symlink_to("nowhere")


SPOILED = {
    "empty": text(""),
    "cut short": half,
    "folder": folder,
    "gone": Path.unlink,
    "dangling link": dangling,
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 4),
    "a list": text("[1, 2]"),
    "deep": text("[" * 100_000),
    "null": text("null"),
}
XML = {"entities": text(ENTITIES), "entity of a file": text(OUTSIDE)}


def write_config(planted):
    """Write the config; its own way formats it, which takes most of the time."""
    parts = planted.config.to_dict().items()
    text_ = "".join(f"{name} = {value!r}\n" for name, value in parts)
    (planted.root / "config.py").write_text(text_)


def diagnosed(planted, capsys, monkeypatch, *options):
    """Run the command in this process; return its exit status and what it prints."""
    path = planted.root / "config.py"
    if not path.exists():
        write_config(planted)
    monkeypatch.setattr(sys, "argv", [str(TOOL), str(path), *options])
    with pytest.raises(SystemExit) as status:
        runpy.run_path(str(TOOL), run_name="__main__")
    output = capsys.readouterr()
    assert "Traceback" not in output.out + output.err
    return status.value.code, output.out


FILES = {
    "train": lambda planted: planted.root / "train.json",
    "val": lambda planted: planted.root / "val.json",
    "xml": lambda planted: planted.xml(),
    "list": lambda planted: planted.root / "train.txt",
}
#: Those that are tried each time; the others wait for the week.
QUICK = {
    ("mmdet_coco", "train"),
    ("coco", "val"),
    ("mmdet_voc", "xml"),
    ("voc", "list"),
}


def cases():
    for form in SETS:
        for file in ("xml", "list") if form.endswith("voc") else ("train", "val"):
            names = {**SPOILED, **XML} if file == "xml" else SPOILED
            marks = () if (form, file) in QUICK else pytest.mark.weekly
            for name in names:
                case = f"{form}-{file}-{name}"
                yield pytest.param(form, name, FILES[file], id=case, marks=marks)


@pytest.mark.parametrize(("form", "name", "file"), list(cases()))
def test_malformed_annotations(tmp_path, capsys, monkeypatch, form, name, file):
    planted = PlantedSet(tmp_path, form)
    planted.write()
    path = file(planted)
    {**SPOILED, **XML}[name](path)
    status, told = diagnosed(planted, capsys, monkeypatch)
    assert status == 1
    assert "  error " in told.replace("error nothing_to_train", "")
    assert path.name in told or ".xml" in told  # which a list names


@pytest.mark.parametrize("name", ["empty", "cut short", "folder", "gone", "binary"])
@pytest.mark.parametrize("form", ["mmdet_coco", "voc"])
def test_malformed_images(tmp_path, capsys, monkeypatch, form, name):
    planted = PlantedSet(tmp_path, form)
    planted.write()
    SPOILED[name](planted.image())
    options = ["--near-copies", "20"] if find_spec("imagehash") else []
    status, told = diagnosed(planted, capsys, monkeypatch, *options)
    assert status == 1
    assert planted.image().name in told
    assert "error image_" in told


@contextmanager
def without_rights(*paths):
    """Take away the right to read files; also from an administrator."""
    for path in paths:
        path.chmod(0)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        for path in paths:
            path.chmod(0o755)


@pytest.fixture
def open_folder():
    """Return a folder that every user may enter."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize("form", ["coco", "mmdet_coco", "voc", "mmdet_voc"])
def test_no_permission(open_folder, capsys, monkeypatch, form):
    planted = PlantedSet(open_folder, form)
    planted.write()
    file = planted.xml() if planted.is_voc else planted.root / "train.json"
    write_config(planted)
    with without_rights(planted.image("val"), file):
        status, told = diagnosed(planted, capsys, monkeypatch)
    assert status == 1
    assert file.name in told
    assert planted.image("val").name in told
    assert "Permission denied" in told
