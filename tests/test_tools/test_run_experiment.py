"""The command that runs an experiment, with real trainings."""

import importlib.util
import json
from pathlib import Path

import pytest

from imb_det.experiments import read_results
from tests.processes import run_tool
from tests.test_experiments.fakes import write_experiment
from tests.test_tools.test_predictions_of_a_run import TEST
from tests.toy_config import write_toy_config

TOOL = Path(__file__).parents[2] / "tools" / "run_experiment.py"
FIGURES = {"AP", "AP50", "APr"}  # a toy has rare classes alone


@pytest.mark.weekly
def test_from_an_experiment_to_a_table(tmp_path):
    config = write_toy_config(tmp_path, epochs=1)
    ann = str(tmp_path / "data" / "ann.json")
    config.write_text(config.read_text() + TEST.replace("{ann_file!r}", repr(ann)))
    sampler = {"train_dataloader.sampler": dict(type="imb_det.RepeatFactorSampler")}
    spec = dict(
        work_dir=str(tmp_path / "runs"),
        datasets=dict(toy=dict(config=str(config), ann_file=ann, train_ann=ann)),
        methods=dict(plain=dict(), rfs=dict(options=sampler, title="RFS")),
    )
    path = tmp_path / "toys.py"
    path.write_text("".join(f"{key} = {value!r}\n" for key, value in spec.items()))
    for _ in range(2):  # the second time there is nothing to do
        done = run_tool(
            "run_experiment.py",
            path,
            *("--processes", 2, "--threads", 1, "--resamples", 20),
            "--publish",
        )
        assert done.returncode == 0, done.stderr
    assert "| RFS | 1 |" in done.stdout
    results = read_results(tmp_path / "toys.results.jsonl")
    assert [(r["method"], r["seed"]) for r in results] == [("plain", 0), ("rfs", 0)]
    for result in results:
        assert result["figures"].keys() >= FIGURES
        assert result["iterations"] == 4
        assert result["memory_gb"] > 0.1
    comparison = json.loads((tmp_path / "toys.toy.json").read_text())
    assert set(comparison["methods"]) == {"plain", "rfs"}


def test_what_there_is_to_do(tmp_path):
    path = write_experiment(tmp_path)
    done = run_tool("run_experiment.py", path, "--list", "--methods", "rfs")
    assert done.stdout.splitlines()[-2:] == [
        "not begun  toy/rfs/seed_0",
        "not begun  toy/rfs/seed_1",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--methods", "rsf"], "no method ['rsf']; there are ['plain', 'rfs']"),
        (["--processes", "0"], "--processes must be at least 1, got 0"),
        ([], "name files that there are not: ['val.json']"),
    ],
)
def test_bad_arguments_are_one_line(tmp_path, arguments, words):
    done = run_tool("run_experiment.py", write_experiment(tmp_path), *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_failed_runs_are_named_also_where_nothing_can_be_compared(
    tmp_path, monkeypatch
):
    spec = importlib.util.spec_from_file_location("run_experiment", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    def broken(*args):
        raise ValueError("val.json is cut")

    monkeypatch.setattr(tool, "check_truth", lambda experiment: None)
    monkeypatch.setattr(tool, "run_all", lambda *args: {"toy/rfs/seed_0": "killed"})
    monkeypatch.setattr(tool, "compare_experiment", broken)
    monkeypatch.setattr(
        "sys.argv", ["run_experiment.py", str(write_experiment(tmp_path))]
    )
    with pytest.raises(SystemExit) as end:
        tool.main()
    assert end.value.code == "failed: toy/rfs/seed_0\nerror: val.json is cut"
