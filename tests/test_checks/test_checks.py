"""Checks are a list that anyone can run, each to its end."""

import inspect
from types import SimpleNamespace

from imb_det import checks
from imb_det.checks import ALL_CHECKS, CHECKS, run_checks
from imb_det.core import CheckContext, Finding, Severity
from imb_det.registry import DATASETS
from imb_det.statistics import ClassStats
from tests.tiny_sets import write_voc
from tests.toy_runner import IMAGES, dataset_config

FOUND = Finding("code", Severity.WARNING, "what")
STATS = ClassStats(("ant", "bee"), [1, 1], [1, 1], 2)


def test_every_check_is_in_the_list_and_has_nothing_to_say_of_nothing():
    there = {n: c for n, c in vars(checks).items() if n.startswith("check_")}
    there = {n: c for n, c in there.items() if inspect.isfunction(c)}
    assert set(there.values()) == set(ALL_CHECKS)
    assert len(ALL_CHECKS) == len(CHECKS) + 1 > 9
    assert run_checks(CheckContext(), ALL_CHECKS) == []


def test_a_check_that_cannot_go_on_does_not_stop_the_others():
    def check_files(context):
        yield FOUND
        raise FileNotFoundError("no a.json")

    def check_again(context):
        return [FOUND]

    found = run_checks(CheckContext(), [check_files, check_again])
    assert found == [
        FOUND,
        Finding("check_files", Severity.ERROR, "a check cannot go on", "", "no a.json"),
    ]


def test_a_check_that_crashes_does_not_hide_what_others_find(monkeypatch):
    lines = []
    monkeypatch.setattr(
        "imb_det.core.finding.print_log", lambda text, **_: lines.append(text)
    )

    def check_sizes(context):
        return {}["width"]

    found = run_checks(CheckContext(), [check_sizes, lambda context: [FOUND]])
    assert [(f.code, f.evidence) for f in found] == [
        ("check_sizes", "KeyError: 'width'"),
        ("code", ""),
    ]
    assert 'return {}["width"]' in lines[0]  # the traceback


def test_components_are_asked_for_what_they_need():
    class Hook:
        def findings(self, context):
            assert context.class_stats == STATS
            yield FOUND

    hook = Hook()
    context = CheckContext(components=[hook, object()], hooks=[hook], class_stats=STATS)
    assert run_checks(context, CHECKS) == [FOUND]


def test_audits_of_all_data_sets(tmp_path):
    images = [*IMAGES, [("bird", (1, 1, 9, 9)), ("dog", (7, 7, 7, 20))]]
    config = dataset_config(write_voc(tmp_path, images))
    dataset = DATASETS.build(config)
    wrapped = SimpleNamespace(dataset=dataset)
    context = CheckContext(datasets=dict(train=wrapped, val=dataset))
    found = run_checks(context, ALL_CHECKS)
    assert [(f.code, f.severity.value) for f in found] == [
        ("no_objects", "info"),
        ("no_area", "warning"),
        ("unknown_class", "warning"),
    ]
    assert found[1].where == f"{tmp_path}/Annotations/f.xml object[1]"
    assert found[2].where == f"{tmp_path}/list.txt: 'bird'"
    assert found[2].evidence == f"1 objects, first in {tmp_path}/Annotations/f.xml"
