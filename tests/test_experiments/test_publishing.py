"""What is committed of an experiment, and the tables that are made of it."""

import pytest

from imb_det.experiments import merge_results, publishing
from imb_det.experiments.publishing import Published, publish

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


def test_a_comparison_of_fewer_methods_does_not_replace_a_published_one(
    tmp_path,
    experiment,  # noqa: F811
    monkeypatch,
):
    from imb_det.experiments import compare_experiment

    said = []
    monkeypatch.setattr(publishing, "print_log", lambda text, *how: said.append(text))
    path = tmp_path / "experiment.py"
    every = [result_of(run) for run in experiment.runs]
    compare_experiment(experiment, every, resamples=20)
    publish(experiment, path, every)
    assert not said
    published = (tmp_path / "experiment.toy.json").read_text()
    some = [result for result in every if result["method"] != "other"]
    compare_experiment(experiment, some, resamples=20)
    publish(experiment, path, some)
    assert (tmp_path / "experiment.toy.json").read_text() == published
    assert "stays as it is: there are no predictions here of ['toy/other/" in said[0]
    assert "other" in Published(path).table("toy")
    # Nor one of fewer seeds.
    some = [r for r in every if (r["method"], r["seed"]) != ("other", 1)]
    compare_experiment(experiment, some, resamples=20)
    publish(experiment, path, some)
    assert (tmp_path / "experiment.toy.json").read_text() == published
    assert "['toy/other/seed_1/predictions.npz']" in said[1]


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
    monkeypatch,
):
    said = []
    monkeypatch.setattr(publishing, "print_log", lambda text, *how: said.append(text))
    path = tmp_path / "experiment.py"
    results = [result_of(run) for run in experiment.runs]
    publish(experiment, path, results)
    assert not said
    publish(experiment, path, [dict(results[0], digest="another")])
    assert len(said) == 1
    assert "those of today: ['toy/plain/seed_0']" in said[0]


def test_without_a_comparison_there_are_no_differences(published):
    assert "[" not in published.table("toy")
