"""The picture and the table of gradients, from logs and from the command line."""

import mmcv
import numpy as np
import pytest
from mmengine.config import Config

from imb_det.analysis import RunLog, gradient_table, plot_gradients
from imb_det.cli import build_runner
from tests.processes import run_tool
from tests.toy_config import write_toy_config

TOOL = "plot_gradients.py"


def curve(*values):
    return np.arange(1, len(values) + 1), np.array(values, float)


def test_means_over_the_second_half():
    log = RunLog(
        {
            "rpn_head/grad_norm_fg": curve(9, 9, 1, 3),
            "rpn_head/grad_norm_bg": curve(9, 9, 2, 4),
            "roi_head.bbox_head/grad_norm_ratio": curve(7, 5),
            "loss": curve(1, 1),
        },
        {},
    )
    other = RunLog({"rpn_head/grad_norm_fg": curve(6.0)}, {})
    assert gradient_table({"one": log, "other": other}) == [
        dict(run="one", head="rpn_head", fg=2.0, bg=3.0),
        dict(run="other", head="rpn_head", fg=6.0),
        dict(run="one", head="roi_head.bbox_head", ratio=5.0),
    ]


def test_nothing_logged():
    log = RunLog({"loss": curve(1, 1)}, {})
    with pytest.raises(ValueError, match=r"no gradient was logged in a, b;.*GradientH"):
        gradient_table({"a": log, "b": log})


def test_zeros_and_missing_sizes_are_drawn(tmp_path):
    log = RunLog({"head/grad_norm_fg": curve(0, 0), "head/grad_norm_bg": curve(1)}, {})
    plot_gradients(tmp_path / "a.png", {"run": log})
    assert mmcv.imread(tmp_path / "a.png").shape[2] == 3


@pytest.mark.slow
def test_from_training_to_the_picture(tmp_path):
    cfg = Config.fromfile(write_toy_config(tmp_path, epochs=1))
    cfg.custom_hooks.append(dict(type="imb_det.GradientHook"))
    cfg.launcher = "none"
    build_runner(cfg).train()
    picture = tmp_path / "out" / "gradients.png"
    done = run_tool(TOOL, cfg.work_dir, "--names", "toy", "--out", picture)
    assert done.returncode == 0, done.stderr
    # mmdet has its say before.
    *_, header, row, _written = done.stdout.splitlines()
    assert header.split() == ["run", "head", "fg", "bg", "box", "ratio"]
    run, head, *values = row.split()
    assert (run, head) == ("toy", "bbox_head")
    fg, bg, box, ratio = map(float, values)
    assert min(fg, bg, box) > 0
    assert ratio > 0
    assert picture.is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no such folder: nowhere"),
        ([".", "."], "two runs have one name"),
        ([".", "--names", "a", "b"], "2 names for 1 work dirs"),
        (["tests"], "no gradient was logged in tests"),
    ],
)
def test_bad_arguments_are_one_line(repo_root, arguments, message):
    done = run_tool(TOOL, *arguments, cwd=repo_root)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
