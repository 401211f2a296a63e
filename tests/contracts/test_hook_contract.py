"""What every registered hook must hold, found by discovery."""

import copy
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.runner import get_priority

from imb_det.registry import HOOKS
from tests.tiny_sets import write_lvis, write_voc
from tests.toy_runner import IMAGES, dataset_config, lvis_config, make_runner

from .hook_cases import BAD, CASES, REFUSED, bare_model, detector, hooks_with
from .registered import check_all_have_cases, registered

each_case = pytest.mark.parametrize("case", CASES, ids=str)
#: None of the hooks looks at a validation here.
UNVALIDATED = dict(val_dataloader=None, val_cfg=None, val_evaluator=None)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Data sets of as many images by the form of their annotations."""
    voc, lvis = (tmp_path_factory.mktemp(name) for name in ("voc", "lvis"))
    return dict(
        VOC=dataset_config(write_voc(voc, IMAGES)), LVIS=lvis_config(write_lvis(lvis))
    )


def run(folder, sets, case, max_epochs, **kwargs):
    """Train; return the last checkpoint."""
    kwargs = UNVALIDATED | dict(model=detector(case)) | kwargs
    runner = make_runner(
        folder, sets[case.data], max_epochs, hooks_with(case), **kwargs
    )
    runner.train()
    return torch.load(folder / f"epoch_{max_epochs}.pth", weights_only=False)


def test_every_hook_has_cases():
    found = registered(HOOKS)
    where = "`CASES` of tests/contracts/hook_cases.py"
    check_all_have_cases("hooks", {case.name for case in CASES}, found, where)
    check_all_have_cases("hooks", BAD, found, where.replace("CASES", "BAD"))


@each_case
def test_it_is_built_from_the_text_of_a_config(case):
    text = Config(dict(custom_hooks=[case.config])).pretty_text
    (config,) = Config.fromstring(text, ".py").custom_hooks
    # As a runner of mmengine builds it.
    hook = MMENGINE_HOOKS.build(config)
    assert type(hook) is HOOKS.get(case.name)
    assert isinstance(hook, Hook)
    copy.deepcopy(hook)


@each_case
def test_it_says_when_it_runs_where_that_matters(case):
    hook = case.build()
    assert 0 <= get_priority(hook.priority) <= 100
    if get_priority(hook.priority) != get_priority("NORMAL"):
        words = " ".join(type(hook).__doc__.split())
        assert re.search(r"\bruns (before|after)\b", words)


@each_case
def test_unknown_arguments_are_named(case):
    with pytest.raises(TypeError, match=r"no_argument|takes no arguments"):
        case.build(no_argument=1)


@pytest.mark.parametrize(("name", "arguments"), REFUSED, ids=str)
def test_bad_arguments_are_named(name, arguments):
    (key,) = arguments
    case = next(case for case in CASES if case.name == name)
    with pytest.raises((ValueError, TypeError), match=rf"`{key}[`\[]"):
        case.build(**arguments)


@each_case
def test_a_resumed_training_equals_an_unbroken_one(case, sets, tmp_path):
    """So that what the hook keeps is saved, and comes back."""
    whole = run(tmp_path / "whole", sets, case, 2)
    # Sets of its own are in the checkpoint, of which nothing else is known.
    own = whole.get("imb_det", {})
    assert set(case.keys) <= set(own)
    first = tmp_path / "whole" / "epoch_1.pth"
    again = run(tmp_path / "again", sets, case, 2, resume=True, load_from=str(first))
    assert again.get("imb_det", {}) == own
    assert list(again["state_dict"]) == list(whole["state_dict"])
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, again["state_dict"][name]), name


@each_case
def test_without_its_subject_it_runs_or_says_what_is_missing(case, sets, tmp_path):
    if case.bare is None:
        run(tmp_path, sets, case, 1, model=bare_model())
        return
    with pytest.raises((ValueError, TypeError, RuntimeError), match=case.bare):
        run(tmp_path, sets, case, 1, model=bare_model())


@each_case
def test_a_test_needs_no_training(case, sets, tmp_path):
    runner = make_runner(
        tmp_path, sets[case.data], 1, hooks_with(case), model=detector(case)
    )
    assert runner.test() == {"toy/images": len(IMAGES)}


@each_case
def test_a_hook_trains_again_after_it_has_trained(case, sets, tmp_path):
    """Two trainings of one object, as a notebook does, are two trainings."""
    hook = case.build()
    for name in ("first", "second"):
        hooks = [each for each in hooks_with(case) if each != case.config]
        runner = make_runner(
            tmp_path / name,
            sets[case.data],
            1,
            [*hooks, hook],
            model=detector(case),
            **UNVALIDATED,
        )
        runner.train()
    left = [
        module
        for module in runner.model.modules()
        if module._forward_pre_hooks or module._forward_hooks
    ]
    assert not left, "it still listens to the model"
