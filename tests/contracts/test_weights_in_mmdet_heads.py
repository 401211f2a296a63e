"""A class weight is in effect in every head of MMDetection that trains with a loss."""

import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from imb_det.losses import ImbalanceLoss

from . import mmdet_heads as heads
from .cases import NUM_CLASSES
from .test_loss_in_mmdet_heads import own_class_of

pytestmark = pytest.mark.filterwarnings("ignore")

#: Heads that pass qualities to other losses than cross entropy.
KINDS = {
    "GFLHead": "QualityFocalLoss",
    "RTMDetSepBNHead": "QualityFocalLoss",
    "VFNetHead": "VarifocalLoss",
}
#: Heads that are tested elsewhere, and why.
ELSEWHERE = {
    "DETRHead": "takes one number for all classes; `imb_det.DETRHead` takes more",
    "RPNHead": "proposals have no classes",
}
#: Heads that choose positives, or weigh them once more, by the loss itself.
CHOOSE_BY_LOSS = ("FSAFHead", "PAAHead", "PISARetinaHead")


@pytest.fixture
def calls():
    """Logits and targets of each call of a loss of the library."""
    seen = []

    def remember(module, args):
        if isinstance(module, ImbalanceLoss) and args[0].requires_grad:
            args[0].retain_grad()
            seen.append(args[:2])

    handle = register_module_forward_pre_hook(remember)
    yield seen
    handle.remove()


def slopes_of_own_class(name, weight, calls):
    """Slopes of the logits of their own class, of objects of class 0 and of others."""
    torch.manual_seed(0)
    calls.clear()
    reduction = dict(reduction="sum") if name == "YOLOXHead" else {}
    loss = dict(
        reduction,
        type=f"imb_det.{KINDS.get(name, 'CrossEntropyLoss')}",
        use_sigmoid=name not in heads.SOFTMAX,
        class_weight=[weight, 1.0, 1.0],
    )
    heads.total(heads.step(name, loss)[1]).backward()
    found = ([], [])
    for logits, target in calls:
        if logits.grad is None:
            continue
        labels = _classes(target)
        slopes, labels = logits.grad.flatten(0, -2), labels.flatten()
        foreground = (labels >= 0) & (labels < NUM_CLASSES)
        slopes, labels = slopes[foreground], labels[foreground]
        own = slopes.gather(1, labels[:, None].long())[:, 0]
        found[0].append(own[labels == 0])
        found[1].append(own[labels != 0])
    return [torch.cat(kept) for kept in found]


def _classes(target):
    """Class of each row, C for none."""
    if isinstance(target, tuple):
        return own_class_of(target)
    is_matrix = target.is_floating_point()
    return own_class_of(target.flatten(0, -2)) if is_matrix else target


@pytest.mark.parametrize("name", [n for n in heads.TRAINED if n not in ELSEWHERE])
def test_a_class_pulls_as_its_weight_says(name, calls):
    plain = slopes_of_own_class(name, 1.0, calls)
    heavy = slopes_of_own_class(name, 3.0, calls)
    assert min(len(slopes) for slopes in plain) > 0
    assert any(slopes.abs().max() > 0 for slopes in plain)
    if name in CHOOSE_BY_LOSS:
        assert heavy[0].abs().sum() > plain[0].abs().sum()
        return
    torch.testing.assert_close(heavy[0], 3 * plain[0])
    torch.testing.assert_close(heavy[1], plain[1])
