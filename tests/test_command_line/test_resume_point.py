"""A resume goes on from the newest whole checkpoint, whatever a kill has left."""

import os

import pytest
import torch

from imb_det.command_line import resume_point as module
from imb_det.command_line.resume_point import resume_point

WHOLE, CUT, EMPTY, ZEROS, BENT = "whole", "cut", "empty", "zeros", "bent"


@pytest.fixture
def warned(monkeypatch):
    lines = []
    monkeypatch.setattr(module, "print_log", lambda line, **_: lines.append(line))
    return lines


def write(folder, name, state=WHOLE, age=0):
    """Write a checkpoint, and spoil it."""
    path = folder / name
    torch.save(dict(state_dict=dict(a=torch.arange(1000))), path)
    content = bytearray(path.read_bytes())
    if state == CUT:
        content = content[: len(content) // 2]
    elif state == EMPTY:
        content = b""
    elif state == ZEROS:
        content = bytes(len(content))
    elif state == BENT:
        content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


@pytest.mark.parametrize(
    ("pointer", "states", "chosen", "skipped"),
    [
        ("epoch_2.pth", dict(epoch_1=WHOLE, epoch_2=WHOLE), "epoch_2", 0),
        # As mmengine has it, where the pointer is whole.
        ("epoch_1.pth", dict(epoch_1=WHOLE, epoch_2=WHOLE), "epoch_1", 0),
        ("", dict(epoch_1=WHOLE, epoch_2=WHOLE), "epoch_2", 1),
        ("\0\0\0", dict(epoch_1=WHOLE, epoch_2=WHOLE), "epoch_2", 1),
        ("epoch_", dict(epoch_1=WHOLE, epoch_2=WHOLE), "epoch_2", 1),
        ("", dict(epoch_1=WHOLE, epoch_2=CUT), "epoch_1", 2),
        ("epoch_2.pth", dict(epoch_1=WHOLE, epoch_2=CUT), "epoch_1", 1),
        ("epoch_2.pth", dict(epoch_1=WHOLE, epoch_2=EMPTY), "epoch_1", 1),
        ("epoch_2.pth", dict(epoch_1=WHOLE, epoch_2=ZEROS), "epoch_1", 1),
        ("epoch_2.pth", dict(epoch_1=WHOLE, epoch_2=BENT), "epoch_1", 1),
        ("/moved/away/epoch_1.pth", dict(epoch_1=WHOLE, epoch_2=CUT), "epoch_1", 0),
        ("", dict(epoch_1=WHOLE, best_bbox=WHOLE), "epoch_1", 1),
        (None, dict(iter_8=WHOLE, iter_16=WHOLE), "iter_16", 0),
    ],
)
def test_the_newest_whole_checkpoint(
    tmp_path, warned, pointer, states, chosen, skipped
):
    for age, (name, state) in enumerate(reversed(states.items())):
        write(tmp_path, f"{name}.pth", state, age)
    if pointer is not None:
        folder = "" if "/" in pointer or not pointer.strip("\0") else f"{tmp_path}/"
        (tmp_path / "last_checkpoint").write_text(folder + pointer)
    assert resume_point(tmp_path) == str(tmp_path / f"{chosen}.pth")
    assert len(warned) == bool(skipped)
    if skipped:
        assert warned[0].count(str(tmp_path)) == 1 + skipped + (pointer == "epoch_")


def test_nothing_to_go_on_from(tmp_path, warned):
    assert resume_point(tmp_path / "new") is None
    assert resume_point(tmp_path) is None
    write(tmp_path, "epoch_1.pth", CUT)
    with pytest.raises(FileNotFoundError, match=r"epoch_1\.pth: cut, or damaged"):
        resume_point(tmp_path)
    (tmp_path / "epoch_1.pth").unlink()
    (tmp_path / "last_checkpoint").write_text("")
    with pytest.raises(FileNotFoundError, match="last_checkpoint: empty"):
        resume_point(tmp_path)
    assert not warned


def test_a_checkpoint_that_is_a_folder(tmp_path, warned):
    """As DeepSpeed writes it; a pointer that is cut may name a folder as well."""
    folder = tmp_path / "work"
    (folder / "epoch_2").mkdir(parents=True)
    (folder / "last_checkpoint").write_text("/moved/away/epoch_2")
    assert resume_point(folder) == str(folder / "epoch_2")
    whole = write(folder, "epoch_1.pth")
    for cut in (folder, f"{folder}/", tmp_path):
        (folder / "last_checkpoint").write_text(str(cut))
        assert resume_point(folder) == str(whole)
    assert len(warned) == 3


def test_a_checkpoint_that_is_asked_for(tmp_path):
    path = write(tmp_path, "mine.pth")
    assert resume_point(tmp_path, str(path)) == str(path)
    assert resume_point(tmp_path, "s3://there/a.pth") == "s3://there/a.pth"
    (tmp_path / "last_checkpoint").write_text("s3://there/b.pth")
    assert resume_point(tmp_path) == "s3://there/b.pth"
    write(tmp_path, "mine.pth", CUT)
    with pytest.raises(FileNotFoundError, match=r"mine\.pth cannot be resumed from"):
        resume_point(tmp_path, str(path))
