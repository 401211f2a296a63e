"""Tables of labels on disk: found again by content, and never a reason to fail."""

import logging
import os
import pwd
import re
import time
from pathlib import Path

import numpy as np
import pytest
from mmengine.dataset import RepeatDataset

from imb_det.prior import PriorInitHook
from imb_det.statistics import ClassStats, LabelTable, label_table
from imb_det.statistics.cache import checksum, default_cache_dir, write_whole
from tests.labelled_sets import LONG_TAIL, LabelledDataset, long_tail

LABELS = sum(map(len, LONG_TAIL))


class OtherDataset(LabelledDataset):
    """Might understand the same records in another way."""


@pytest.fixture(autouse=True)
def every_size_is_cached(monkeypatch):
    monkeypatch.setattr("imb_det.statistics.label_cache._CACHED_FROM", 1)
    # mmengine collects garbage after it serialises: nearly all of the time here.
    monkeypatch.setattr("mmengine.dataset.base_dataset.gc.collect", lambda: 0)


@pytest.fixture
def reads(monkeypatch):
    """Indices that were read of any data set."""
    indices = []
    read = LabelledDataset.get_data_info
    monkeypatch.setattr(
        LabelledDataset,
        "get_data_info",
        lambda self, index: indices.append(index) or read(self, index),
    )
    return indices


def serialised(labels=LONG_TAIL, num_classes=6, kind=LabelledDataset, **kwargs):
    return kind(labels, num_classes, serialize_data=True, **kwargs)


def assert_same(table, expected):
    assert table.classes == expected.classes
    for name in ("labels", "offsets"):
        ours, theirs = getattr(table, name), getattr(expected, name)
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


def test_same_content_is_read_once(tmp_path, reads):
    expected = LabelTable.from_dataset(serialised())
    reads.clear()
    assert_same(label_table(serialised(), tmp_path), expected)
    assert reads == list(range(len(LONG_TAIL)))
    reads.clear()
    assert_same(label_table(serialised(), tmp_path), expected)
    assert_same(label_table(RepeatDataset(serialised(), 3), tmp_path), expected)
    assert not reads
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]


@pytest.mark.parametrize(
    "other",
    [
        dict(labels=[*LONG_TAIL[:-1], [3]]),
        dict(labels=LONG_TAIL[::-1]),
        dict(num_classes=7),
        dict(kind=OtherDataset),
        dict(indices=[0, 70, 3]),
        dict(indices=50),
    ],
)
def test_anything_else_is_read_anew(tmp_path, reads, other):
    label_table(serialised(), tmp_path)
    reads.clear()
    dataset = serialised(**other)
    table = label_table(dataset, tmp_path)
    assert reads == list(range(len(dataset)))
    assert_same(table, LabelTable.from_dataset(dataset))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_lazy_data_set_is_cached_too(tmp_path, reads):
    label_table(serialised(lazy_init=True), tmp_path)
    reads.clear()
    table = label_table(serialised(lazy_init=True), tmp_path)
    assert not reads
    assert len(table) == len(LONG_TAIL)


def test_parts_of_a_set_have_their_own_files(tmp_path, reads):
    label_table(serialised([[0], [1]], 2), tmp_path)
    reads.clear()
    parts = type("Parts", (), {})()
    parts.datasets = [serialised([[0], [1]], 2), serialised([[1, 1]], 2)]
    table = label_table(parts, tmp_path)
    assert reads == [0]
    assert table.labels.tolist() == [0, 1, 1, 1]
    assert table.offsets.tolist() == [0, 1, 2, 4]


def flip(content, marker, offset, bit):
    """Change one bit, at an offset from where a marker of the zip format begins."""
    at = content.index(marker) + offset
    return content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :]


DAMAGE = {
    "empty": lambda content: b"",
    "text": lambda content: b"<html>not here</html>",
    "cut": lambda content: content[: len(content) // 2],
    "number": lambda content: flip(content, b"NUMPY", 128, 1),
    "unknown compression": lambda content: flip(content, b"PK\x01\x02", 10, 64),
    "encrypted": lambda content: flip(content, b"PK\x01\x02", 8, 1),
    "other names": lambda content: content.replace(b"labels", b"lebals"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_replaced(tmp_path, reads, caplog, damage):
    expected = label_table(serialised(), tmp_path)
    (path,) = tmp_path.iterdir()
    sound = path.read_bytes()
    path.write_bytes(damage(sound))
    assert_same(label_table(serialised(), tmp_path), expected)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"{path} is unreadable" in record.message
    caplog.clear()
    reads.clear()
    assert_same(label_table(serialised(), tmp_path), expected)
    assert not reads
    assert not caplog.records


def rewritten(path, **changes):
    """Change a file as one would who knows its form."""
    with np.load(path) as content:
        arrays = {**content, **changes}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    "changes",
    [
        dict(labels=np.zeros(LABELS, np.int32)),
        dict(offsets=np.linspace(0, LABELS, len(LONG_TAIL) + 1).astype(np.int64)),
        dict(labels=np.zeros(LABELS, np.int64)),
        dict(checksum=np.array("0" * 64)),
        dict(checksum=None),
        dict(checksum=np.array({}, object)),
    ],
    ids=str,
)
def test_a_changed_file_is_not_believed(tmp_path, reads, caplog, changes):
    expected = label_table(serialised(), tmp_path)
    (path,) = tmp_path.iterdir()
    rewritten(path, **changes)
    reads.clear()
    assert_same(label_table(serialised(), tmp_path), expected)
    assert reads
    assert f"{path} is unreadable" in caplog.text
    reads.clear()
    assert_same(label_table(serialised(), tmp_path), expected)
    assert not reads


def test_a_file_of_another_set_is_not_believed(tmp_path, reads):
    expected = label_table(serialised(), tmp_path)
    (path,) = tmp_path.iterdir()
    label_table(serialised(LONG_TAIL[::-1]), tmp_path)
    (other,) = set(tmp_path.iterdir()) - {path}
    path.write_bytes(other.read_bytes())
    reads.clear()
    assert_same(label_table(serialised(), tmp_path), expected)
    assert reads


def test_without_a_home(tmp_path, monkeypatch, caplog):
    """As in a container that runs with any user id."""
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    monkeypatch.chdir(tmp_path)
    assert default_cache_dir() is None
    expected = LabelTable.from_dataset(serialised())
    assert_same(label_table(serialised()), expected)
    stats = ClassStats.from_dataset(serialised())
    assert stats.instance_count.sum() == LABELS
    assert not list(tmp_path.iterdir())
    assert not caplog.records
    # A folder that is named serves all the same.
    label_table(serialised(), tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    hook = PriorInitHook()
    assert hook.cache_dir is None
    for asked in (True, "~/cache"):
        with pytest.raises(ValueError, match="needs a home folder, and there is none"):
            PriorInitHook(cache_dir=asked)


def test_without_a_folder_to_write_to(tmp_path, caplog):
    file = tmp_path / "file"
    file.touch()
    expected = LabelTable.from_dataset(serialised())
    for _ in range(2):
        assert_same(label_table(serialised(), file / "folder"), expected)
    assert "labels are not cached" in caplog.text
    assert list(tmp_path.iterdir()) == [file]


def test_small_sets_and_plain_lists_are_not_cached(tmp_path, monkeypatch):
    label_table(long_tail(serialize_data=False), tmp_path)
    size = len(LONG_TAIL)
    monkeypatch.setattr("imb_det.statistics.label_cache._CACHED_FROM", size + 1)
    label_table(serialised(), tmp_path)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr("imb_det.statistics.label_cache._CACHED_FROM", size)
    label_table(serialised(), tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_default_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    label_table(serialised())
    assert len(list((tmp_path / "cache/imb_det").glob("labels-*.npz"))) == 1
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    label_table(serialised())
    assert len(list((tmp_path / ".cache/imb_det").glob("labels-*.npz"))) == 1


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "new" / "file.npz"
    write_whole(path, lambda file: file.write(b"first"))

    def fail(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(path, fail)
    assert path.read_bytes() == b"first"
    assert list(path.parent.iterdir()) == [path]


def test_two_writers_share_no_part(tmp_path, monkeypatch):
    """Containers share numbers of processes, and perhaps the folder."""
    monkeypatch.setattr(os, "getpid", lambda: 7)
    path, parts = tmp_path / "file.npz", set()

    def second(file):
        parts.add(file.name)
        file.write(b"second")

    def first(file):
        parts.add(file.name)
        file.write(b"fi")
        write_whole(path, second)
        assert path.read_bytes() == b"second"
        file.write(b"rst")

    write_whole(path, first)
    assert path.read_bytes() == b"first"
    assert len(parts) == 2
    for part in parts:
        assert re.fullmatch(r"file\.npz\.[0-9a-f]{16}\.part", Path(part).name)
    assert list(tmp_path.iterdir()) == [path]


def test_parts_of_killed_writers_are_removed(tmp_path):
    key, other = "0" * 32, "f" * 32
    names = {
        f"labels-{key}.npz.{'a' * 16}.part": True,
        f"labels-{other}.npz.{'b' * 16}.part": True,
        f"labels-{other}.123.part": True,  # of version 0.1
        f"labels-{key}.npz.{'c' * 16}.part": False,  # of a writer at work
        f"foreground-prior-{key}.json.{'d' * 16}.part": False,
        f"labels-{key}.npz.part": False,
        "film.mkv.part": False,
        f"other-{other}.123.part": False,
    }
    old = time.time() - 2 * 24 * 3600
    for name in names:
        (tmp_path / name).write_bytes(b"half")
        if "c" * 16 not in name:
            os.utime(tmp_path / name, (old, old))
    path = tmp_path / f"labels-{key}.npz"
    write_whole(path, lambda file: file.write(b"whole"))
    kept = {name for name, is_removed in names.items() if not is_removed}
    assert {p.name for p in tmp_path.iterdir()} == kept | {path.name}


def test_checksums_tell_where_parts_end():
    assert checksum([b"ab", b"c"]) != checksum([b"a", b"bc"])
    assert checksum([b"", b"a"]) != checksum([b"a"])
    assert checksum([b"a"]) == checksum([memoryview(b"a")])
