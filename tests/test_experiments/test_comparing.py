"""Finished runs are compared by their predictions."""

import json

import numpy as np
import pytest

from imb_det.analysis.run_comparison import compare_runs
from imb_det.experiments import check_truth, compare_experiment, read_experiment
from imb_det.statistics import ClassStats
from tests.coco_scenes import CLASSES, coco_content, data_samples, random_images
from tests.dumps import dump

from .fakes import write_experiment

COUNTS = ClassStats(CLASSES, [4, 40, 400], [9, 90, 900], 400)


def result_of(run):
    return dict(
        dataset=run.dataset,
        method=run.method,
        seed=run.seed,
        digest=run.digest,
        figures=dict(AP=0.5, APr=0.25, APc=None, APf=0.75),
        cpu_seconds=1.0,
        memory_gb=1.0,
    )


@pytest.fixture
def experiment(tmp_path):
    images = random_images(7, num_images=25)
    (tmp_path / "val.json").write_text(json.dumps(coco_content(images)))
    COUNTS.to_json(tmp_path / "train.json")
    hook = dict(type="imb_det.ImbalanceHook", group_quantiles=(0.4, 0.7))
    path = write_experiment(
        tmp_path,
        {name: dict(hooks=[hook]) for name in ("plain", "other", "unfinished")},
    )
    with path.open("a") as file:
        files = {
            k: str(tmp_path / f"{n}.json")
            for k, n in (("ann_file", "val"), ("train_ann", "train"))
        }
        config = str(tmp_path / "base.py")
        file.write(f"datasets = {dict(toy=dict(config=config, **files))!r}\n")
    found = read_experiment(path)
    rng = np.random.default_rng(0)
    for run in found.runs:
        run.work_dir.mkdir(parents=True)
        share = {"plain": 0.6, "other": 0.1, "unfinished": 0.5}[run.method]
        some = [(o, [d for d in f if rng.random() > share]) for o, f in images]
        dump(run.work_dir / "predictions.npz", data_samples(some), CLASSES)
    return found


def test_methods_are_compared_with_the_first(experiment, tmp_path):
    runs = [run for run in experiment.runs if run.method != "unfinished"]
    tables = compare_experiment(experiment, [result_of(r) for r in runs], resamples=50)
    folder = tmp_path / "work" / "toy"
    assert tables == {"toy": folder / "table.md"}
    found = json.loads((folder / "comparison.json").read_text())
    assert (folder / "comparison.png").is_file()
    files = {
        method: [
            folder / method / f"seed_{seed}" / "predictions.npz" for seed in (0, 1)
        ]
        for method in ("plain", "other")
    }
    wanted = compare_runs(
        tmp_path / "val.json",
        files,
        train=COUNTS,
        group_quantiles=(0.4, 0.7),
        resamples=50,
    )
    assert found == json.loads(json.dumps(wanted.to_dict()))
    difference = found["differences"]["other"]["AP"]
    text = tables["toy"].read_text()
    assert f"{difference['difference']:+.3f}" in text
    assert "unfinished" not in text


def test_what_to_compare_by_is_missed_before_anything_is_trained(experiment, tmp_path):
    check_truth(experiment)
    (tmp_path / "train.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"files .* not: \['.*train.json'\]"):
        check_truth(experiment)


def test_one_method_has_a_table_without_differences(experiment):
    every = [result_of(run) for run in experiment.runs]
    tables = compare_experiment(experiment, every, resamples=20)
    assert "[" in tables["toy"].read_text()
    results = [result for result in every if result["method"] == "plain"]
    tables = compare_experiment(experiment, results)
    assert "[" not in tables["toy"].read_text()
    assert not (tables["toy"].parent / "comparison.json").exists()
    assert compare_experiment(experiment, []) == {}
