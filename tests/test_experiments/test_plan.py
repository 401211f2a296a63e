"""Experiments are read whole, and what is wrong in them is named."""

import pytest

from imb_det.experiments import read_experiment

from .fakes import write_experiment


def plan(folder, own=None, **spec):
    path = write_experiment(folder, own)
    # A later line of a config replaces an earlier one.
    with path.open("a") as file:
        file.writelines(f"{key} = {value!r}\n" for key, value in spec.items())
    return read_experiment(path)


def test_runs_come_seed_by_seed(tmp_path):
    experiment = plan(tmp_path)
    names = [run.name for run in experiment.runs]
    assert names == [
        "toy/plain/seed_0",
        "toy/rfs/seed_0",
        "toy/plain/seed_1",
        "toy/rfs/seed_1",
    ]
    assert [run.config.randomness.seed for run in experiment.runs] == [0, 0, 1, 1]
    assert len({run.digest for run in experiment.runs}) == 4


def test_options_come_on_top_of_those_of_the_base(tmp_path):
    methods = {
        "plain": dict(hooks=[dict(type="A")]),
        "longer": dict(options={"train_cfg.max_epochs": 9}),
        "both": dict(
            base="longer", options=dict(ap=0.75), hooks=[dict(type="B")], seeds=[7]
        ),
        "all": dict(base=["plain", "both"]),
    }
    runs = {run.name: run.config for run in plan(tmp_path, methods).runs}
    assert runs["toy/plain/seed_0"].train_cfg.max_epochs == 3
    assert runs["toy/plain/seed_0"].custom_hooks == [dict(type="A")]
    both = runs["toy/both/seed_7"]
    assert (both.train_cfg.max_epochs, both.ap) == (9, 0.75)
    assert both.custom_hooks == [dict(type="B")]
    assert "toy/both/seed_0" not in runs
    every = runs["toy/all/seed_0"]
    assert (every.train_cfg.max_epochs, every.ap) == (9, 0.75)
    assert every.custom_hooks == [dict(type="A"), dict(type="B")]


def test_a_method_is_for_no_data_set_that_its_base_is_not_for(tmp_path):
    methods = dict(a=dict(datasets=["other"]), b=dict(), c=dict(base=["a", "b"]))
    path = write_experiment(tmp_path, methods, seeds=[0])
    with path.open("a") as file:  # and a name of its own
        file.write("_toy = datasets['toy']\ndatasets = dict(toy=_toy, other=_toy)\n")
    names = [run.name for run in read_experiment(path).runs]
    assert names == [
        "toy/b/seed_0",
        "other/a/seed_0",
        "other/b/seed_0",
        "other/c/seed_0",
    ]


def test_a_digest_is_of_config_and_data_but_not_of_places(tmp_path):
    (tmp_path / "train.json").write_text("{}")
    options = {"train_dataloader.dataset.ann_file": str(tmp_path / "train.json")}
    methods = dict(plain=dict(options=options))

    def digest(**changes):
        return plan(tmp_path, methods, **changes).runs[0].digest

    first = digest()
    assert digest(work_dir=str(tmp_path / "elsewhere")) == first
    (tmp_path / "train.json").write_text("{ }")
    second = digest()
    assert second != first
    options["train_dataloader.batch_size"] = 4
    assert digest() not in (first, second)


def test_some_of_the_runs(tmp_path):
    experiment = plan(tmp_path)
    some = experiment.only(methods=["rfs"], seeds=[1])
    assert [run.name for run in some.runs] == ["toy/rfs/seed_1"]
    with pytest.raises(ValueError, match=r"no method \['rsf'\]; there are .*'rfs'"):
        experiment.only(methods=["rsf"])


def test_what_nothing_is_of_is_refused(tmp_path):
    experiment = plan(tmp_path, dict(a=dict(seeds=[1]), b=dict(seeds=[2])))
    with pytest.raises(ValueError, match="no run is of all that was asked for"):
        experiment.only(methods=["a"], seeds=[2])


@pytest.mark.parametrize(
    ("methods", "spec", "words"),
    [
        (None, dict(methods={}), "`methods` is missing or empty"),
        (
            None,
            dict(train_command=dict(ahead=["x"])),
            r"`train_command`: unknown \['ahead'\]; known are \['before', 'after'\]",
        ),
        (None, dict(seed=[0]), "unknown \\['seed'\\]; known are .*'seeds'"),
        (dict(a=dict(option={})), {}, "method 'a': unknown \\['option'\\]"),
        (dict(a=dict(base="b")), {}, "`base` of a is 'b': there is none"),
        (dict(a=dict(base="a")), {}, "is based on itself"),
        (
            dict(a=dict(datasets=["x"])),
            {},
            r"no data sets \['x'\]; there are \['toy'\]",
        ),
        (None, dict(seeds=3), "`seeds` must be a list or tuple, got 3"),
        (None, dict(seeds=[]), "`seeds` must be whole numbers"),
        (dict(a=dict(seeds=["0"])), {}, "method 'a': `seeds` must be whole numbers"),
        (None, dict(methods=["plain"]), r"`methods` must be a dict, got \['plain'\]"),
        (dict(a=3), {}, "method 'a': must be a dict, got 3"),
        (dict(a=dict(hooks=dict(type="A"))), {}, "`hooks` must be a list or tuple"),
        (dict(a=dict(datasets="toy")), {}, "`datasets` must be a list or tuple"),
        ({"a/b": {}}, {}, r"names in `methods` must be of letters.*'a/b'"),
        (dict(a=dict(config=dict(tyo="x.py"))), {}, r"no data sets \['tyo'\]"),
        (
            dict(a=dict(options={"train_cfg.max_epochs.x": 1})),
            {},
            "options of 'a' do not fit .*base.py: .*max_epochs",
        ),
        (dict(a=dict(title="A"), b=dict(title="A")), {}, "'a' and 'b' have one title"),
        (None, dict(datasets=dict(toy={})), r"lacks \['ann_file', 'config'\]"),
        (dict(a=dict(config="none.py")), {}, "no config 'none.py'"),
        (
            dict(a=dict(options=dict(test_dataloader=None))),
            {},
            r"base.py lacks \['test_dataloader'\]",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path, methods, spec, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        plan(tmp_path, methods, **spec)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no experiment"):
        read_experiment(tmp_path / "none.py")
