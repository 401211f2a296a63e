"""What every guided head must hold, head by head, found by discovery."""

import pytest
import torch

from tests.references.guided_loss import guided_ratio
from tests.test_heads.guided_cases import CASES, BoxCase, registered, total

NAMES = ["two", "one", "empty"]
pytestmark = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def run(case, names, type_=None, **settings):
    head = case.build(type_, **settings)
    inputs = case.inputs(head, names)
    return head, inputs, case.losses(head, inputs, names)


def all_losses(losses):
    return sum(total(losses, name) for name in losses if "loss" in name)


def regression_factor(case, names):
    """What our regression losses are of mmdet's, from the formulas."""
    if not isinstance(case, BoxCase):
        return case.box_factor
    labels = case.targets(names)[1]
    return len(labels) / (case.values_per_box * int((labels < 3).sum()))


def test_value_and_direction(case):
    _, _, theirs = run(case, NAMES, case.kind)
    plain = [total(theirs, name) for name in (case.classification, *case.regression)]
    factor = regression_factor(case, NAMES)
    head, inputs, losses = run(case, NAMES)
    sides = [total(losses, name) for name in case.regression]
    for ours, raw in zip(sides, plain[1:], strict=True):
        assert ours.item() == pytest.approx(factor * raw.item(), rel=1e-5)
    guide = sum(side.item() for side in sides) / len(sides)
    scale = 2 if isinstance(case, BoxCase) else 1
    scaled = total(losses, case.classification)
    assert scaled.item() == pytest.approx(scale * guide, rel=1e-5)
    prefix = "rpn_" if case.kind == "RPNHead" else ""
    ratio = losses[f"{prefix}guided_ratio"].item()
    assert ratio == pytest.approx(guided_ratio([plain[0].item()], [guide]), rel=1e-5)
    assert losses[f"{prefix}num_unscaled"].item() == head.num_unscaled.item() == 0
    ours = torch.autograd.grad(scaled, case.scores(inputs))
    _, inputs, theirs = run(case, NAMES, case.kind)
    raw = torch.autograd.grad(total(theirs, case.classification), case.scores(inputs))
    for new, old in zip(ours, raw, strict=True):
        torch.testing.assert_close(new, scale * ratio * old, rtol=1e-5, atol=1e-12)


def test_guided_by_some_of_the_losses(case):
    chosen = case.regression[:1]
    _, _, losses = run(case, NAMES, regression_losses=list(chosen))
    scale = 2 if isinstance(case, BoxCase) else 1
    guide = total(losses, chosen[0]).item()
    scaled = total(losses, case.classification).item()
    assert scaled == pytest.approx(scale * guide, rel=1e-5)
    for name in case.regression[1:]:
        _, _, theirs = run(case, NAMES, case.kind)
        assert total(losses, name).item() == pytest.approx(total(theirs, name).item())
    for wrong in ([], ["loss_cls"], ["loss_bbox", "loss_iou"]):
        with pytest.raises(ValueError, match=r"`regression_losses`.*got"):
            case.build(regression_losses=wrong)


@pytest.mark.parametrize("names", [["empty"], ["empty", "empty too"]], ids=len)
def test_without_positives(case, names):
    head, inputs, losses = run(case, names)
    assert head.num_unscaled.item() == 1
    loss = all_losses(losses)
    assert loss.isfinite()
    leaves = [leaf for levels in inputs for leaf in levels]
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    # Every output of the classifier takes part, and none gets nan.
    of_scores = gradients[: len(case.scores(inputs))]
    assert all(gradient.abs().sum() > 0 for gradient in of_scores)
    assert all(g.isfinite().all() for g in gradients if g is not None)
    _, _, theirs = run(case, names, case.kind)
    scale = 2 if isinstance(case, BoxCase) else 1
    wanted = scale * total(theirs, case.classification)
    assert total(losses, case.classification).item() == pytest.approx(wanted.item())


def test_frozen_ratio(case):
    head = case.build(freeze_after=2)
    resumed = case.build(freeze_after=2)
    ratios, scaled = [], []
    steps = [["two"], ["empty"], ["one"], ["other"], ["two", "other"], ["empty"]]
    for step, names in enumerate(steps):
        if step == 2:
            resumed.load_state_dict(head.state_dict())
        losses = case.losses(head, case.inputs(head, names), names)
        ratios.append(next(v.item() for k, v in losses.items() if "ratio" in k))
        if step >= 2:
            again = case.losses(resumed, case.inputs(head, names), names)
            scaled.append(total(losses, case.classification).item())
            assert scaled[-1] == total(again, case.classification).item()
    free = [
        next(v.item() for k, v in run(case, [name])[2].items() if "ratio" in k)
        for name in ("two", "one")
    ]
    frozen = sum(free) / 2
    wanted = [free[0], 1.0, free[1], frozen, frozen, 1.0]
    assert ratios == pytest.approx(wanted, rel=1e-5)
    assert head.num_unscaled.item() == ratios.count(1.0)


def test_learnt_weights(case):
    head, _, losses = run(case, NAMES, uncertainty=True)
    _, _, plain = run(case, NAMES)
    wanted = all_losses(plain).item() / 2
    loss = all_losses(losses)
    assert loss.item() == pytest.approx(wanted, rel=1e-6)
    loss.backward()
    # d/d(log s) of L / (2 s^2) + log s is 1 - L at s = 1.
    names = [case.classification, *case.regression]
    sizes = torch.stack([total(plain, name) for name in names])
    torch.testing.assert_close(
        head.log_sigmas.grad, (1 - sizes).float(), rtol=1e-5, atol=1e-6
    )
    # The optimum is s^2 = L for each.
    with torch.no_grad():
        head.log_sigmas.copy_(sizes.log() / 2)
        head.log_sigmas.grad = None
    all_losses(case.losses(head, case.inputs(head, NAMES), NAMES)).backward()
    torch.testing.assert_close(
        head.log_sigmas.grad, torch.zeros(len(names)), rtol=0, atol=1e-5
    )


def test_candidates_of_box_heads_are_counted(case):
    if not isinstance(case, BoxCase):
        return
    head = case.build(adaptive_thr=True)
    positive = total_count = 0
    for names in (NAMES, ["two"], ["empty"]):
        case.losses(head, case.inputs(head, names), names)
        labels = case.targets(names)[1]
        positive += int((labels < 3).sum())
        total_count += len(labels)
    counts = head.class_thresholds.num_candidates.tolist()
    assert counts == [positive, total_count]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("cls_loss_scale", 0),
        ("cls_loss_scale", float("nan")),
        ("momentum", 1.0),
        ("freeze_after", 0),
    ],
)
def test_arguments_out_of_range(case, setting, value):
    with pytest.raises(ValueError, match=f"{case.kind}.*`{setting}`.*{value}"):
        case.build(**{setting: value})


def test_frozen_and_running_exclude_each_other(case):
    with pytest.raises(ValueError, match="not both"):
        case.build(momentum=0.5, freeze_after=3)


def test_every_head_is_tested(case):
    assert registered() == {known.kind for known in CASES.values()}
