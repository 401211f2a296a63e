"""The command that splits a data set, and the one that counts classes."""

import json

import pytest

from imb_det.splitting import Parts, SplitOptions, split_dataset
from imb_det.statistics import ClassStats
from tests import toys
from tests.processes import run_tool


def test_a_split_from_the_command_line(tmp_path):
    toys.write_coco(tmp_path, num_images=9)
    source = tmp_path / "ann.json"
    words = ["--parts", "train=0.5", "val=0.25", "test=0.25", "--seed", 3]
    words += ["--group-by", r"^(.)"]
    done = run_tool("split_dataset.py", source, *words, "--out", tmp_path / "a")
    assert done.returncode == 0, done.stderr
    assert "worst relative error of a share" in done.stdout
    assert f"written: {tmp_path / 'a'}" in done.stdout
    parts = Parts(("train", "val", "test"), (0.5, 0.25, 0.25))
    report = split_dataset(
        source, tmp_path / "b", SplitOptions(parts, 3, group_by=r"^(.)")
    )
    assert json.loads((tmp_path / "a" / "split.json").read_text()) == report.to_dict()
    names = ["split.json", "test.json", "train.json", "val.json"]
    for name in names:
        files = [tmp_path / folder / name for folder in "ab"]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == names


def test_what_is_malformed_is_no_traceback(tmp_path):
    (tmp_path / "a.json").write_text('{"images": [')
    done = run_tool("split_dataset.py", "a.json", cwd=tmp_path)
    assert done.returncode == 2
    assert "split_dataset.py: error: a.json: 1 error" in done.stderr
    assert "is not valid JSON" in done.stderr
    assert "Traceback" not in done.stderr


def test_counts_of_a_config_and_of_its_file_are_the_same(tmp_path):
    toys.write_coco(tmp_path, num_images=9)
    dataset = toys.coco_dataset_config(tmp_path)
    dataset["type"] = "mmdet.CocoDataset"  # a config that knows nothing of imb_det
    loader = dict(batch_size=1, num_workers=0, dataset=dataset)
    loader["sampler"] = dict(type="DefaultSampler", shuffle=True)
    config = tmp_path / "config.py"
    config.write_text(f"val_dataloader = {loader!r}\n")
    work = tmp_path / "work"
    arguments = ["--of", "val", "--work-dir", work]
    done = run_tool("class_stats.py", config, *arguments)
    assert done.returncode == 0, done.stderr
    expected = ClassStats.from_coco(
        tmp_path / "ann.json", dataset["metainfo"]["classes"]
    )
    assert ClassStats.from_file(work / "class_stats.json") == expected
    table = (work / "class_stats.md").read_text()
    assert "| class | group | images | boxes | `inverse` |" in table
    assert table.strip() in done.stdout
    again = run_tool("class_stats.py", tmp_path / "ann.json", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    file = tmp_path / "work_dirs" / "ann" / "class_stats.json"
    assert ClassStats.from_file(file) == expected
    assert again.stdout.split("\n", 1)[1].startswith(table.split("\n", 3)[1])


def test_files_that_mmdet_refuses_are_no_traceback(tmp_path):
    toys.write_coco(tmp_path, num_images=3)
    path = tmp_path / "ann.json"
    content = json.loads(path.read_text())
    content["annotations"][1]["id"] = content["annotations"][0]["id"]
    path.write_text(json.dumps(content))
    dataset = toys.coco_dataset_config(tmp_path)
    dataset["type"] = "mmdet.CocoDataset"
    loader = dict(batch_size=1, num_workers=0, dataset=dataset)
    (tmp_path / "config.py").write_text(f"train_dataloader = {loader!r}\n")
    done = run_tool("class_stats.py", "config.py", cwd=tmp_path)
    assert done.returncode == 2
    assert "class_stats.py: error: The annotation files" in done.stderr
    assert "is also that of annotations[1]" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("loader", "said"),
    [
        ("None", "the config has no `train_dataloader`"),
        ("3", "'int' object has no attribute 'dataset'"),
    ],
)
def test_counts_that_cannot_be_had_are_one_line(tmp_path, loader, said):
    (tmp_path / "config.py").write_text(f"train_dataloader = {loader}\n")
    done = run_tool("class_stats.py", "config.py", cwd=tmp_path)
    assert done.returncode == 2
    *_, line = done.stderr.splitlines()
    assert line == f"class_stats.py: error: {said}"
