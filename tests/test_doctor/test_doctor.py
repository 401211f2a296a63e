"""The tool: what it prints, writes and returns, whatever it is given."""

import json
import os

import pytest

from imb_det.doctor.building import build_context
from imb_det.doctor.config_reading import read_config
from imb_det.doctor.examination import examine
from tests.processes import run_tool
from tests.test_doctor.configs import write_config

pytestmark = pytest.mark.usefixtures("one_thread")

#: Lines after a good config, the code of the finding, and what it must name.
BROKEN = {
    "unknown type": ("model['type'] = 'NoSuchDetector'", "model", "NoSuchDetector"),
    "unknown argument": ("model['no_such'] = 1", "model", "no_such"),
    "no file": (
        "train_dataloader['dataset']['ann_file'] = 'none.json'",
        "train_data",
        "none.json",
    ),
    "unknown metric": (
        "val_evaluator['type'] = 'NoSuchMetric'",
        "val_metrics",
        "NoSuchMetric",
    ),
    "unknown hook": ("custom_hooks = [dict(type='NoHook')]", "hook", "NoHook"),
    "no type": (
        "train_dataloader['dataset'] = dict(_delete_=True, ann_file='a.json')",
        "train_data",
        "type",
    ),
    "number of classes": (
        "model['roi_head']['bbox_head']['num_classes'] = 7",
        "num_classes",
        "7",
    ),
    "nothing left": (
        "train_dataloader['dataset']['filter_cfg'] = dict(min_size=99)",
        "train_data",
        "min_size",
    ),
    "optimizer": (
        "optim_wrapper = dict(optimizer=dict(type='NoSuchOptimizer', lr=1))",
        "unknown_type",
        "NoSuchOptimizer",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_part_that_cannot_be_built_is_a_finding(kind, tmp_path):
    line, code, name = BROKEN[kind]
    config, found = read_config(write_config(tmp_path, more=line + "\n"))
    assert config is not None, found
    _, found = examine(config, look_at_images=False)
    places = [f"{f.where} {f.evidence}" for f in found if f.code == code]
    assert any(name in place for place in places), found


def test_what_is_left_is_looked_at_all_the_same(tmp_path):
    config, _ = read_config(write_config(tmp_path, more="model['type'] = 'None'\n"))
    context, _ = build_context(config)
    assert context.model is None
    assert set(context.datasets) == {"train", "val"}
    assert context.class_stats.instance_count.tolist() == [2, 12, 120]
    assert context.per_class("val").tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "content",
    ["", "a = (", "raise SystemExit('no')", "raise OSError('x\\ny')", "1 / 0"],
)
def test_configs_that_cannot_be_read_are_one_line(content, tmp_path):
    path = tmp_path / "config.py"
    path.write_text(content)
    config, found = read_config(path)
    if content:
        assert config is None
        assert [f.code for f in found] == ["config"]
        assert "\n" not in str(found[0])


def test_the_tool_writes_json_and_a_page_and_says_by_its_status_how_bad_it_is(tmp_path):
    path = write_config(tmp_path)
    out = tmp_path / "out"
    done = run_tool("doctor.py", path, "--out", out, "--html", "--no-images")
    assert done.returncode == 0, done.stderr
    assert "Prescription" in done.stdout
    content = json.loads((out / "doctor.json").read_text())
    assert content["config"] == str(path)
    assert content["patch"] == str(out / "prescription.py")
    assert (out / "doctor.html").is_file()
    wrong = "model.roi_head.bbox_head.num_classes=7"
    done = run_tool("doctor.py", path, "--no-images", "--cfg-options", wrong)
    assert done.returncode == 1
    assert "num_classes=7" in done.stdout


@pytest.mark.parametrize("kind", ["folder", "missing", "binary", "locked"])
def test_whatever_the_tool_is_given_there_is_no_traceback(kind, tmp_path):
    path = tmp_path / "config.py"
    if kind == "folder":
        path.mkdir()
    elif kind == "binary":
        path.write_bytes(bytes(range(256)))
    elif kind == "locked":
        path.write_text("a = 1\n")
        path.chmod(0)
        if os.access(path, os.R_OK):
            pytest.skip("this user reads everything")
    done = run_tool("doctor.py", path, "--out", tmp_path / "out", "--html")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "error config" in done.stdout


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    path = write_config(tmp_path)
    (tmp_path / "file").write_text("")
    done = run_tool("doctor.py", path, "--no-images", "--out", tmp_path / "file")
    assert done.returncode not in (0, None)
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("doctor.py: error")
