"""The examples of CONTRIBUTING.md, run, and held to the contracts of their kinds."""

import inspect
import itertools
import re
import sys
from math import log
from types import ModuleType, SimpleNamespace

import pytest
import torch
from mmengine.config import Config

from imb_det import registry
from imb_det.losses import flush_statistics, manage_statistics
from imb_det.statistics import ClassStats
from tests.conftest import ROOT
from tests.contracts import (
    cases,
    hook_cases,
    metric_cases,
    sampler_cases,
    test_head_contract,
    test_hook_contract,
    test_loss_contract,
    test_loss_edges,
    test_loss_precision,
    test_loss_reductions,
    test_loss_spoiled,
    test_loss_state,
    test_metric_contract,
    test_sampler_contract,
    test_transform_contract,
    transform_cases,
)
from tests.contracts.test_hook_contract import sets  # noqa: F401
from tests.contracts.test_transform_contract import quick_construction  # noqa: F401
from tests.test_heads import guided_cases


def losses_suite():
    """The tests of all suites of losses that are about one case, by name."""
    modules = (
        test_loss_contract,
        test_loss_edges,
        test_loss_precision,
        test_loss_reductions,
        test_loss_spoiled,
        test_loss_state,
    )
    return SimpleNamespace(
        **{
            name: test
            for module in modules
            for name, test in vars(module).items()
            if name.startswith("test_")
        },
        CASES=[],
    )


TEXT = (ROOT / "CONTRIBUTING.md").read_text()
#: Headings with the suite, the module of its cases, and the node that registers.
PAGES = {
    "A loss": (losses_suite(), cases, registry.MODELS),
    "A sampler": (test_sampler_contract, sampler_cases, registry.DATA_SAMPLERS),
    "A metric": (test_metric_contract, metric_cases, registry.METRICS),
    "A head": (test_head_contract, guided_cases, registry.MODELS),
    "A transform": (test_transform_contract, transform_cases, registry.TRANSFORMS),
    "A hook": (test_hook_contract, hook_cases, registry.HOOKS),
}


def blocks_of(heading):
    """The code of a page: the class, and its cases."""
    _, found, rest = TEXT.partition(f"\n### {heading}\n")
    assert found, f"CONTRIBUTING.md has no page `### {heading}`"
    return re.findall(r"```python\n(.*?)```", rest.partition("\n### ")[0], re.S)


@pytest.fixture(scope="module")
def example(request):
    """What a page adds: the name of its class, its cases, what must be refused."""
    code, of_cases, *_ = blocks_of(request.param)
    _, where, node = PAGES[request.param]
    known = set(node.module_dict)
    # A module that can be imported: samplers and heads are pickled.
    module = ModuleType(f"contributing_{request.param[2:]}")
    sys.modules[module.__name__] = module
    exec(code, vars(module))
    (name,) = set(node.module_dict) - known
    names = dict(vars(where), CASES=type(where.CASES)(), BAD={})
    exec(of_cases, names)
    cases = names["CASES"]
    if request.param == "A sampler":
        cases = [(name, arguments) for arguments in cases[name]]
    elif isinstance(cases, dict):
        cases = list(cases.values())
    yield SimpleNamespace(name=name, cases=cases, refused=names["BAD"].get(name, ()))
    node.module_dict.pop(name)
    sys.modules.pop(module.__name__)


def suite_of(heading):
    """Tests of a suite that are about one case; what is refused has its own below."""
    for name, function in vars(PAGES[heading][0]).items():
        if not name.startswith("test_") or name == "test_bad_arguments_are_named":
            continue
        if "case" in inspect.signature(function).parameters:
            yield heading, name


def kind_of(case):
    """What tests of losses choose their cases by."""
    return tuple(getattr(case, x, None) for x in ("activation", "needs_classes"))


def beside_cases(names, rows):
    """What a test takes together with a case, each combination once."""
    found = []
    for row in rows:
        values = dict(zip(names, getattr(row, "values", row), strict=True))
        values.pop("case")
        found += [] if values in found else [values]
    return found


def arguments_of(function, cases):
    """All combinations of the arguments that a test takes, the cases among them."""
    choices = [[dict(case=case) for case in cases]]
    if "kind" in inspect.signature(function).parameters:
        choices = [[dict(case=c, kind=kind) for c in cases for kind in c.kinds]]
    for mark in getattr(function, "pytestmark", ()):
        names = mark.args[0] if mark.name == "parametrize" else "case"
        if names == "case" and mark.args:  # of losses: those of some kinds
            kinds = {kind_of(known) for known in mark.args[1]}
            choices[0] = [c for c in choices[0] if kind_of(c["case"]) in kinds]
        if names == "case":
            continue
        if "case" in names:
            choices.append(beside_cases(*mark.args))
            continue
        names = (names,) if isinstance(names, str) else names
        rows = [row if len(names) > 1 else (row,) for row in mark.args[1]]
        choices.append([dict(zip(names, row, strict=True)) for row in rows])
    for parts in itertools.product(*choices):
        yield {name: value for part in parts for name, value in part.items()}


@pytest.mark.filterwarnings("ignore:torch.meshgrid")
@pytest.mark.parametrize(
    ("example", "test"),
    [pair for heading in PAGES for pair in suite_of(heading)],
    indirect=["example"],
)
def test_examples_keep_the_contract(example, test, request, tmp_path_factory):
    heading = request.node.callspec.params["example"]
    function = getattr(PAGES[heading][0], test)
    wanted = set(inspect.signature(function).parameters)
    for given in arguments_of(function, example.cases):
        fixtures = {
            # Each call has folders of its own.
            name: tmp_path_factory.mktemp(test)
            if name in ("tmp_path", "folder")
            else request.getfixturevalue(name)
            for name in wanted - set(given)
        }
        function(**given, **fixtures)


@pytest.mark.parametrize("example", PAGES, indirect=True)
def test_examples_refuse_what_they_say(example, request):
    heading = request.node.callspec.params["example"]
    for arguments in example.refused:
        (key,) = arguments
        with pytest.raises((ValueError, TypeError), match=f"`{key}`"):
            build(heading, example, arguments)


def build(heading, example, arguments):
    name = example.name
    if heading == "A sampler":
        test_sampler_contract.build(
            (name, arguments), test_sampler_contract.long_tail()
        )
    else:
        PAGES[heading][2].build(
            {"type": f"imb_det.{name}", **example.cases[0].arguments, **arguments}
        )


@pytest.mark.parametrize("example", ["A loss"], indirect=True)
def test_the_config_of_a_loss_builds_it(example):
    config = blocks_of("A loss")[2].replace("../", f"{ROOT / 'configs'}/")
    model = Config.fromstring(config, ".py").model
    head = registry.MODELS.build(model.roi_head.bbox_head)
    assert type(head.loss_cls).__name__ == example.name


def test_a_loss_learns_from_gradients():
    names = {}
    exec(blocks_of("A loss")[3], names)
    registry.MODELS.module_dict.pop("GradientRatioLoss")
    loss = names["GradientRatioLoss"]()
    loss.set_class_stats(ClassStats(("ant", "bee"), [1, 1], [1, 1], 2))
    manage_statistics(loss)
    logits = torch.zeros(3, 2, requires_grad=True)  # all probabilities are 1/2
    labels = torch.tensor([0, 2, 2])
    assert loss(logits, labels, avg_factor=1.0).item() == pytest.approx(6 * log(2))
    flush_statistics(loss)
    # Gradients of the ant are 1/2 and 2/2, those of the bee 0 and 3/2.
    wanted = (1 + 2 * 1 / 2) * log(2)
    assert loss(logits, labels, avg_factor=1.0).item() == pytest.approx(wanted)


def test_pages_are_headed_by_what_can_be_added():
    headings = re.findall(r"^### (.*)$", TEXT, re.M)
    assert headings == [*PAGES]


def test_commands_exist():
    for path in re.findall(r"(?:bash|python) (tools/\S+\.(?:sh|py))", TEXT):
        assert (ROOT / path).is_file()
    help_text = (ROOT / "tools" / "run_tests.sh").read_text()
    for switch in re.findall(r"run_tests\.sh.*?(--[a-z]+)", TEXT):
        assert switch in help_text
