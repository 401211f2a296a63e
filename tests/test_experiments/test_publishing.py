"""What is committed of an experiment, and the tables that are made of it."""

import json

import pytest

from imb_det.experiments import merge_results, publishing
from imb_det.experiments.published import Published
from imb_det.experiments.publishing import publish

from .test_comparing import experiment, result_of  # noqa: F401

README = """# Results

<!-- results of experiment.toy -->
old
<!-- end of results -->

the rest
"""


def test_from_results_to_the_readme(tmp_path, experiment):  # noqa: F811
    from imb_det.experiments import compare_experiment

    (tmp_path / "README.md").write_text(README)
    results = [result_of(run) for run in experiment.runs]
    compare_experiment(experiment, results, resamples=20)
    path = tmp_path / "experiment.py"
    written = publish(experiment, path, results)
    assert [file.name for file in written] == [
        "experiment.results.jsonl",
        "experiment.toy.json",
        "experiment.toy.png",
        "README.md",
    ]
    table = Published(path).table("toy")
    assert table == (tmp_path / "work/toy/table.md").read_text()
    published = (tmp_path / "experiment.toy.json").read_text()
    assert str(tmp_path / "work") not in published
    assert '"toy/plain/seed_0/predictions.npz"' in published
    text = (tmp_path / "README.md").read_text()
    assert text == README.replace("old\n", table)
    publish(experiment, path, results)  # again: the same
    assert (tmp_path / "README.md").read_text() == text


@pytest.fixture
def said(monkeypatch):
    said = []
    monkeypatch.setattr(publishing, "print_log", lambda text, *how: said.append(text))
    return said


@pytest.fixture
def publish_runs(tmp_path, experiment):  # noqa: F811
    """Compare and publish those runs of the experiment whose predictions are here."""
    from imb_det.experiments import compare_experiment

    path = tmp_path / "experiment.py"

    def publish_runs(*here):
        results = [
            result_of(run)
            for run in experiment.runs
            if {run.method, (run.method, run.seed)} & set(here)
        ]
        compare_experiment(experiment, results, resamples=20)
        publish(experiment, path, results)
        return json.loads((tmp_path / "experiment.toy.json").read_text())

    return publish_runs


def test_rows_whose_predictions_are_elsewhere_stay(publish_runs, said):
    before = publish_runs("plain", "other", "unfinished")
    assert not said
    after = publish_runs("plain", "unfinished")  # of others there is nothing
    assert "not all predictions here of ['other'], whose rows stay" in said[0]
    assert list(after["methods"]) == ["plain", "other", "unfinished"]
    assert list(after["differences"]) == ["other", "unfinished"]
    for key in ("methods", "differences"):
        assert after[key]["other"] == before[key]["other"]
    # Nor is a row of all seeds replaced by one of fewer.
    again = publish_runs("plain", ("other", 1), "unfinished")
    assert again["differences"]["other"] == before["differences"]["other"]
    assert "['other'], whose rows stay" in said[1]
    whole = publish_runs("plain", "other", "unfinished")
    assert whole == {**before, "earlier": [], "kept": {}}
    assert len(said) == 2


def test_a_row_stays_beside_the_plain_training_of_its_time(publish_runs, tmp_path):
    file, path = tmp_path / "experiment.toy.json", tmp_path / "experiment.py"
    before = publish_runs("plain", "other")
    figures = before["methods"]["plain"]["figures"]
    figures["AP"]["seeds"] = [0.25, 0.25]  # trained elsewhere
    file.write_text(json.dumps(before))
    kept = publish_runs("plain", "unfinished")
    then = dict(figures=figures, cpu_seconds=[1.0, 1.0], memory_gb=[1.0, 1.0])
    assert kept["earlier"] == [then]
    assert kept["kept"] == {"other": 0}
    assert kept["methods"]["plain"]["figures"]["AP"]["seeds"] != [0.25, 0.25]
    table = Published(path).table("toy")
    assert "| other \u2020 | 2 |" in table
    assert "| unfinished | 2 |" in table
    assert "| plain \u2020 | 2 | 0.250 ± 0.000 | " in table
    assert table.count("| 1.00 | 1.00 |") == 4
    assert "\n\n\u2020: trained on another machine" in table
    again = publish_runs("plain", "unfinished")  # and for good
    assert {**again, "settings": None} == {**kept, "settings": None}
    assert publish_runs("plain", "other")["kept"] == {}
    assert "\u2020" not in Published(path).table("toy")


def test_a_comparison_without_its_plain_trainings_stays(publish_runs, said):
    before = publish_runs("plain", "other")
    assert publish_runs(("plain", 0), "other", "unfinished") == before
    assert "stays as it is: there are no predictions here of ['toy/plain/" in said[0]


@pytest.fixture
def published(tmp_path, experiment):  # noqa: F811
    path = tmp_path / "experiment.py"
    results = [result_of(run) for run in experiment.runs]
    merge_results(path.with_suffix(".results.jsonl"), results)
    return Published(path)


def test_a_table_of_some_methods(published):
    rows = published.table("toy", ["unfinished"]).splitlines()
    assert [row.split()[1] for row in rows[2:]] == ["plain", "unfinished"]
    text = "<!-- results of {} -->\nold\n<!-- end of results -->\n"
    whole, some = text.format("experiment.toy"), text.format("experiment.toy: other")
    foreign = text.format("another.toy")
    found = published.written_into(whole + foreign + some)
    assert found == (
        whole.replace("old\n", published.table("toy"))
        + foreign
        + some.replace("old\n", published.table("toy", ["other"]))
    )
    assert published.written_into(found) == found
    assert published.written_into("no place") == "no place"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<!-- results of a.b -->\n", "no line '<!-- end of results -->'"),
        (
            "<!-- results of a.b -->\n<!-- results of a.c -->\n<!-- end of results -->",
            "after '<!-- results of a.b -->'",
        ),
        ("<!-- end of results -->", "without one that begins"),
        (
            "<!-- results of experiment.toy: plain, other --><!-- end of results -->",
            "'<!-- results of experiment.toy: plain, other -->' must be",
        ),
        ("<!-- results of experiment.toys -->\n<!-- end of results -->", "'toys'"),
        (
            "<!-- results of experiment.toy: rsf -->\n<!-- end of results -->",
            r"no results of \['rsf'\] on 'toy'",
        ),
    ],
)
def test_a_place_that_is_wrong(published, text, words):
    with pytest.raises(ValueError, match=words):
        published.written_into(text)


def test_a_readme_without_a_place(tmp_path, experiment):  # noqa: F811
    readme = tmp_path / "OTHER.md"
    readme.write_text("# Nothing\n")
    with pytest.raises(
        ValueError, match=r"no line '<!-- results of experiment\.toy -->'"
    ):
        publish(experiment, tmp_path / "experiment.py", [], [readme])
    assert not (tmp_path / "experiment.results.jsonl").exists()
    other = tmp_path / "README.md"
    other.write_text(README)
    results = [result_of(run) for run in experiment.runs]
    written = publish(experiment, tmp_path / "experiment.py", results, [readme, other])
    assert other in written
    assert readme not in written


def test_results_of_other_configs_are_named(
    tmp_path,
    experiment,  # noqa: F811
    said,
):
    path = tmp_path / "experiment.py"
    results = [result_of(run) for run in experiment.runs]
    publish(experiment, path, results)
    assert not said
    publish(experiment, path, [dict(results[0], digest="another")])
    assert len(said) == 1
    assert "those of today: ['toy/plain/seed_0']" in said[0]


def test_without_a_comparison_there_are_no_differences(published):
    assert "[" not in published.table("toy")
