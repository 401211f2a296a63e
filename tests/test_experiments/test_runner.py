"""Runs are done once each, whatever happens to those who do them."""

import json
import os
import signal
from types import SimpleNamespace

import pytest

from imb_det.experiments import read_experiment, runner, status
from imb_det.experiments.claim import Claim
from tests.processes import FORKED, start_server

from .fakes import diary_of, living, run_in_process, wait_for, write_experiment


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(runner, "_EVERY", 0.02)


def do(folder, processes=1, told=None):
    experiment = read_experiment(folder / "experiment.py")
    tell = (lambda text: None) if told is None else told.append
    failed = runner.run_all(experiment, folder / "tools", processes, 1, tell)
    return runner.finished_results(experiment), failed


def start(folder, processes=1):
    start_server()
    process = FORKED.Process(target=run_in_process, args=(folder, processes))
    process.start()
    return process


def figures_of(results):
    return {(r["method"], r["seed"]): r["figures"]["AP"] for r in results}


ALL = {("plain", 0): 0.25, ("plain", 1): 0.26, ("rfs", 0): 0.5, ("rfs", 1): 0.51}


@pytest.mark.parametrize("processes", [1, 3])
def test_all_runs_are_done_once(tmp_path, processes):
    write_experiment(tmp_path)
    results, failed = do(tmp_path, processes)
    assert figures_of(results) == ALL
    assert not failed
    assert sorted(diary_of(tmp_path)) == [(*key, 0) for key in ALL]
    assert figures_of(do(tmp_path)[0]) == ALL
    assert len(diary_of(tmp_path)) == 4  # nothing again


def test_a_result_says_what_it_is_of(tmp_path):
    write_experiment(tmp_path, seeds=[1])
    result = do(tmp_path)[0][0]
    assert (result["dataset"], result["method"], result["seed"]) == ("toy", "plain", 1)
    assert result["classes"] == {"a": 0.26}
    assert result["seconds"] >= 0.03
    assert result["memory_gb"] > 0
    assert {"imb-det", "torch", "python"} <= result["versions"].keys()


def test_a_run_that_fails_is_named_and_stops_no_other(tmp_path):
    methods = {
        "bad": dict(options=dict(name="bad", fails=True)),
        "plain": dict(options=dict(name="plain")),
    }
    write_experiment(tmp_path, methods, seeds=[0])
    told = []
    results, failed = do(tmp_path, told=told)
    assert list(failed) == ["toy/bad/seed_0"]
    assert "train ended with 3" in failed["toy/bad/seed_0"]
    assert "RuntimeError: as it was told to" in told[0]
    assert [result["method"] for result in results] == ["plain"]
    experiment = read_experiment(tmp_path / "experiment.py")
    assert [status(run) for run in experiment.runs] == ["failed", "finished"]
    methods["bad"]["options"]["fails"] = False  # mended: another config
    write_experiment(tmp_path, methods, seeds=[0])
    assert len(do(tmp_path)[0]) == 2
    assert [name for name, *_ in diary_of(tmp_path)] == ["bad", "plain", "bad"]
    assert (tmp_path / "work/toy/bad/seed_0.old1/run.log").is_file()


def test_a_fault_beside_the_commands_stops_no_other_run(tmp_path):
    names = {"folder": "", "checkpoint": "checkpoint", "report": "report", "plain": ""}
    methods = {
        name: dict(options=dict(name=name, lacks=lacks))
        for name, lacks in names.items()
    }
    write_experiment(tmp_path, methods, seeds=[0])
    (tmp_path / "work/toy").mkdir(parents=True)
    (tmp_path / "work/toy/folder").write_text("a file")
    results, failed = do(tmp_path)
    assert {name.split("/")[1] for name in failed} == set(names) - {"plain"}
    assert "FileExistsError" in failed["toy/folder/seed_0"]
    assert failed["toy/checkpoint/seed_0"].startswith("test: FileNotFoundError('no ch")
    assert "result: JSONDecodeError" in failed["toy/report/seed_0"]
    assert [result["method"] for result in results] == ["plain"]
    assert set(do(tmp_path)[1]) == set(failed)  # and no claim is left


def test_what_a_run_had_behind_it_does_not_bring_the_end_nearer(tmp_path, monkeypatch):
    write_experiment(tmp_path)
    first, second, *left = read_experiment(tmp_path / "experiment.py").runs
    experiment = SimpleNamespace(runs=[first, second, *left])
    shares = {first.name: 0.5, second.name: 0.0}
    monkeypatch.setattr(runner, "progress", lambda run: shares[run.name])
    active = [SimpleNamespace(run=run) for run in (first, second)]
    before = {}
    with runner._bar(4, 0) as bar:
        runner._show(bar, experiment, left, active, before)
        assert (bar.n, bar.initial) == (0.5, 0.5)
        shares[first.name] = 0.75
        runner._show(bar, experiment, left, active, before)
        assert (bar.n, bar.initial) == (0.75, 0.5)
        runner._show(bar, experiment, left, active[1:], before)  # the first is done
        assert (bar.n, bar.initial) == (1, 0.5)


def test_a_folder_of_nobody_knows_whom_is_moved_aside(tmp_path):
    write_experiment(tmp_path, dict(plain=dict()), seeds=[0])
    do(tmp_path)
    folder = tmp_path / "work/toy/plain/seed_0"
    (folder / "result.json").unlink()
    (folder / "state.json").write_text('{"digest": "')  # cut
    results, _ = do(tmp_path)
    assert results[0]["seconds"] is not None
    assert [start for *_, start in diary_of(tmp_path)] == [0, 0]  # nothing resumed
    assert (folder.with_name("seed_0.old1") / "epoch.txt").is_file()


def test_a_run_of_another_config_is_moved_aside(tmp_path):
    write_experiment(tmp_path, dict(plain=dict(options=dict(ap=0.25))), seeds=[0])
    do(tmp_path)
    write_experiment(tmp_path, dict(plain=dict(options=dict(ap=0.75))), seeds=[0])
    experiment = read_experiment(tmp_path / "experiment.py")
    assert [status(run) for run in experiment.runs] == ["not begun"]
    assert do(tmp_path)[0][0]["figures"]["AP"] == 0.75
    old = json.loads((tmp_path / "work/toy/plain/seed_0.old1/result.json").read_text())
    assert old["figures"]["AP"] == 0.25


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_runner_that_is_killed_goes_on_where_it_was(tmp_path, how):
    write_experiment(tmp_path, pause=0.3)
    process = start(tmp_path, processes=2)
    epochs = [
        tmp_path / f"work/toy/{name}/seed_0/epoch.txt" for name in ("plain", "rfs")
    ]
    wait_for(lambda: all(path.exists() for path in epochs))
    os.kill(process.pid, how)
    process.join(20)
    assert process.exitcode != 0
    wait_for(lambda: not living(str(tmp_path / "work")))  # its trainings end with it
    write_experiment(tmp_path, pause=0.3)
    results, _ = do(tmp_path, 2)
    assert figures_of(results) == ALL
    untimed = [(r["method"], r["seed"]) for r in results if not r["seconds"]]
    assert sorted(untimed) == [("plain", 0), ("rfs", 0)]
    resumed = [entry for entry in diary_of(tmp_path) if entry[2]]
    assert sorted(entry[:2] for entry in resumed) == [("plain", 0), ("rfs", 0)]


def test_two_runners_share_no_run_and_lose_none(tmp_path):
    write_experiment(tmp_path, seeds=range(4), pause=0.05)
    both = [start(tmp_path, processes=2) for _ in range(2)]
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    diary = diary_of(tmp_path)
    assert len(diary) == len(set(diary)) == 8
    outcomes = [json.loads(path.read_text()) for path in tmp_path.glob("outcome-*")]
    assert outcomes == [dict(results=8, failed=[])] * 2


def test_a_run_is_taken_as_long_as_its_training_lives(tmp_path):
    # Whoever has started it may be gone: the commands inherit the claim.
    claim = Claim.take(tmp_path / "run")
    copy = os.dup(claim.file.fileno())
    claim.release()
    assert Claim.take(tmp_path / "run") is None
    os.close(copy)
    with Claim.take(tmp_path / "run") as again:
        assert again is not None
