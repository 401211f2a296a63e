"""What every registered head must hold, found by discovery.

Values, gradients and two ranks are in ``tests/test_heads``, on the same cases.
"""

import copy
import pickle

import pytest
import torch
from mmengine.config import Config

from imb_det.registry import MODELS
from tests import toys

from .head_cases import CASES, NAMES, features, outputs, predict, registered_heads
from .registered import check_all_have_cases

pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")

each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def losses_of(case, head, names=NAMES):
    """Losses by name, each a list of levels."""
    found = case.losses(head, outputs(case, head, features(case, names)), names)
    return {k: v if isinstance(v, (list, tuple)) else [v] for k, v in found.items()}


def total(losses):
    return sum(sum(v) for name, v in losses.items() if "loss" in name)


def trained(case, steps=2):
    """The head after some steps."""
    head = case.build()
    optimizer = torch.optim.SGD(head.parameters(), lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        total(losses_of(case, head)).backward()
        optimizer.step()
    return head


def test_every_head_has_a_case():
    found = {name.removeprefix("SamplingFree") for name in registered_heads()}
    kinds = {case.kind for case in CASES.values()}
    where = "`CASES` of tests/test_heads/guided_cases.py"
    check_all_have_cases("heads", kinds, found, where)


@each_case
def test_it_is_built_from_the_text_of_a_config(case):
    configs = []
    build = toys.MODELS.build
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            toys.MODELS, "build", lambda c, **kw: configs.append(c) or build(c, **kw)
        )
        case.build()
    (config,) = (Config(dict(head=c)) for c in configs[:1])
    again = Config.fromstring(config.pretty_text, ".py").head
    prefix = getattr(case, "prefix", "SamplingFree")
    assert again.type == f"imb_det.{prefix}{case.kind.removeprefix(prefix)}"
    head = build(again)
    # It stands in for mmdet's own, in any place that asks for that.
    assert isinstance(head, MODELS.get(f"mmdet.{case.kind.removeprefix(prefix)}"))


@each_case
def test_a_step_trains_every_layer(case):
    head = case.build()
    before = copy.deepcopy(head.state_dict())
    losses = losses_of(case, head)
    for name, parts in losses.items():
        for part in parts:
            assert part.isfinite().all(), name
            # What is only logged does not train.
            assert part.requires_grad == ("loss" in name), name
    total(losses).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    after = trained(case, steps=1).state_dict()
    moved = {name: bool(p.grad.any()) for name, p in head.named_parameters()}
    for name, has_moved in moved.items():
        assert torch.equal(before[name], after[name]) != has_moved, name
        # What a level has for its boxes alone learns nothing where it has no positive.
        assert has_moved or ".1." in name or ".2." in name, name


@each_case
def test_images_without_objects(case):
    head = case.build()
    maps = features(case, ("empty",))
    losses = case.losses(head, outputs(case, head, maps), ("empty",))
    loss = total({k: v if isinstance(v, list) else [v] for k, v in losses.items()})
    assert loss.isfinite()
    loss.backward()
    # All is background, and that is something to learn.
    assert all(x.grad.isfinite().all() for x in maps)
    assert any(x.grad.abs().sum() > 0 for x in maps)
    grads = [p.grad for p in head.parameters() if p.grad is not None]
    assert all(grad.isfinite().all() for grad in grads)


@each_case
def test_predictions_are_boxes_of_the_image(case):
    head = trained(case).eval()
    state = copy.deepcopy(head.state_dict())
    results = predict(case, head)
    assert len(results) == len(NAMES)
    for found in results:
        assert len(found) == len(found.scores) == len(found.labels) <= 20
        assert ((found.scores >= 0) & (found.scores <= 1)).all()
        assert (found.bboxes >= 0).all()
        assert (found.bboxes <= 64).all()
        classes = 1 if case.kind == "RPNHead" else head.num_classes
        assert ((found.labels >= 0) & (found.labels < classes)).all()
        assert (found.scores.diff() <= 0).all()
    assert any(len(found) for found in results)
    # A test leaves no trace.
    assert all(torch.equal(state[k], v) for k, v in head.state_dict().items())


@each_case
@pytest.mark.parametrize("way", ["state dict", "copy", "pickle"])
def test_state_makes_the_same_head(case, way):
    head = trained(case)
    if way == "state dict":
        again = case.build()
        with torch.no_grad():
            for parameter in again.parameters():
                parameter.add_(1)
        missing = again.load_state_dict(head.state_dict())
        assert not any(missing)
    else:
        copied = copy.deepcopy(head)
        again = copied if way == "copy" else pickle.loads(pickle.dumps(copied))
    both = copy.deepcopy(head), again
    first, second = (losses_of(case, each) for each in both)
    assert list(first) == list(second)
    for name in first:
        for one, other in zip(first[name], second[name], strict=True):
            assert torch.equal(one, other), name
    first, second = (predict(case, each.eval()) for each in both)
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.bboxes, other.bboxes)
        assert torch.equal(one.scores, other.scores)


@each_case
def test_weights_of_mmdets_head_fit(case):
    if hasattr(case, "prefix"):
        pytest.skip("it has more classifiers than mmdet's")
    twin = case.build(f"mmdet.{case.kind}")
    head = case.build()
    missing, unexpected = head.load_state_dict(twin.state_dict(), strict=False)
    assert not unexpected
    assert not set(missing) & set(dict(twin.named_parameters()))
    assert not [name for name in missing if name in dict(head.named_parameters())]


@each_case
def test_unknown_arguments_are_named(case):
    with pytest.raises(TypeError, match="no_argument"):
        case.build(no_argument=1)
