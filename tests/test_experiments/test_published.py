"""The experiments of this repository, and the tables in its READMEs."""

from pathlib import Path

import pytest

from imb_det.experiments import read_experiment, read_results
from imb_det.experiments.published import Published
from tests.test_configs import without_pretrained
from tests.test_losses.test_losses_in_training import refuse_activations
from tests.toys import MODELS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "configs" / "experiments"
EXPERIMENTS = [p for p in sorted(FOLDER.glob("*.py")) if p.stem != "methods"]
PUBLISHED = [
    p.with_suffix("").with_suffix(".py") for p in FOLDER.glob("*.results.jsonl")
]
READMES = [
    ROOT / "README.md",
    ROOT / "configs/README.md",
    *sorted((ROOT / "configs").glob("*/README.md")),
]


def name_of(path):
    return path.stem


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name_of)
def test_experiments_are_whole(path, monkeypatch):
    monkeypatch.chdir(ROOT)  # where their commands are called
    experiment = read_experiment(path)
    assert experiment.runs
    for run in experiment.only(seeds=[experiment.runs[0].seed]).runs:
        without_pretrained(run.config.model)
        model = MODELS.build(run.config.model)
        refuse_activations(model)
        if run.config.model.type == "RetinaNet":  # mmdet's losses as well
            head, loss = model.bbox_head, model.bbox_head.loss_cls
            assert head.use_sigmoid_cls == getattr(loss, "use_sigmoid", True), run.name
    digests = [run.digest for run in experiment.runs]
    assert len(set(digests)) == len(digests), "two methods do the same"


def test_there_is_something_published():
    assert PUBLISHED


@pytest.mark.parametrize("path", PUBLISHED, ids=name_of)
def test_results_are_of_methods_that_there_are(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    known = {(r.dataset, r.method) for r in read_experiment(path).runs}
    results = read_results(path.with_suffix(".results.jsonl"))
    assert {(r["dataset"], r["method"]) for r in results} <= known


@pytest.mark.parametrize("path", PUBLISHED, ids=name_of)
def test_tables_are_those_of_the_results(path):
    published = Published(path)
    texts = [readme.read_text(encoding="utf-8") for readme in READMES]
    assert any(f"<!-- results of {path.stem}." in text for text in texts)
    for readme, text in zip(READMES, texts, strict=True):
        assert published.written_into(text) == text, (
            f"{readme} has other figures than {path.stem}.results.jsonl: "
            "tools/run_experiment.py --publish writes them"
        )
