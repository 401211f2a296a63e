"""Federated loss in heads of queries: the same classes in all calls of a step."""

import numpy as np
import pytest
import torch
from torch import nn

from imb_det.federated import FederatedHook
from imb_det.losses import flush_statistics
from tests.contracts import query_heads as heads
from tests.contracts.cases import NUM_CLASSES

LOSS = dict(type="imb_det.FederatedLoss", use_sigmoid=True)
BY_COUNTS = dict(LOSS, num=2, weight=[1.0, 1.0, 1.0])
CALLS = dict.fromkeys(heads.DENOISING, 2 * heads.LAYERS + 1)


class Detector(nn.Module):
    """What calls a head as a detector does."""

    def __init__(self, kind, head):
        super().__init__()
        self.kind, self.head = kind, head

    def forward(self, inputs, data_samples=None, mode="tensor"):
        return heads.losses_of(self.kind, self.head, inputs, data_samples)


def watched(loss):
    """A list that gets the logits, labels and loss of every call."""
    seen = []
    loss.register_forward_hook(lambda loss, args, value: seen.append((*args, value)))
    return seen


def batch_of(*classes):
    """Two images, with objects of these classes, and ids."""
    batch = heads.samples()
    for index, sample in enumerate(batch):
        labels = sample.gt_instances.labels
        sample.gt_instances.labels = torch.full_like(labels, classes[index])
        sample.set_metainfo(dict(img_id=10 + index))
    return batch


@pytest.mark.parametrize("kind", heads.KINDS)
def test_one_draw_of_classes_for_all_layers(kind):
    """Class 0 is in the batch; of the others one is drawn."""
    torch.manual_seed(0)
    head = heads.build(kind, BY_COUNTS)
    seen, drawn = watched(head.loss_cls), []
    for step in range(6):
        seen.clear()
        heads.losses_of(kind, head, step, batch_of(0, 0))
        flush_statistics(head)
        assert len(seen) == CALLS.get(kind, heads.LAYERS)
        of_calls = []
        for call in seen:
            logits, value = call[0], call[-1]
            (slope,) = torch.autograd.grad(value, logits, retain_graph=True)
            own = call[1][:, None] == torch.arange(NUM_CLASSES)
            of_calls.append((slope != 0).any(0).tolist())
            # Of classes in S the gradient is that of cross entropy, others have none.
            usual = logits.sigmoid() - own.float()
            counted = own | torch.tensor(of_calls[-1])
            scale = slope[own].sum() / usual[own].sum()
            torch.testing.assert_close(slope, scale * usual * counted)
        assert all(found == of_calls[0] for found in of_calls)
        assert of_calls[0][0]
        assert sum(of_calls[0]) == 2
        drawn.append(of_calls[0].index(True, 1))
    assert set(drawn) == {1, 2}  # each step draws once more


@pytest.mark.parametrize("kind", [*heads.KINDS, "imb_det.DeformableDETRHead"])
def test_verified_classes_of_an_image_in_all_calls(kind):
    scope, _, name = kind.rpartition(".")
    loss = dict(LOSS, source="annotation")
    head = heads.build(name, loss, scope or "mmdet")
    seen = watched(head.loss_cls)
    hook = FederatedHook()
    hook._num_classes = NUM_CLASSES
    hook._labels = {10: np.array([1]), 11: np.array([0, 2])}
    detector = Detector(name, head)
    hook._watch(detector)
    detector(0, data_samples=batch_of(0, 1), mode="loss")
    verified = torch.tensor([[0.0, 1, 0], [1, 0, 1]])
    assert len(seen) == CALLS.get(name, heads.LAYERS)
    for number, call in enumerate(seen):
        logits, labels, value = call[0], call[1], call[-1]
        (slope,) = torch.autograd.grad(value, logits, retain_graph=True)
        if name == "DDQDETRHead" and 0 < number < heads.LAYERS:
            image = heads.DISTINCT.nonzero()[:, 0]
        else:
            image = torch.arange(2).repeat_interleave(len(logits) // 2)
        own = labels[:, None] == torch.arange(NUM_CLASSES)
        assert torch.equal(slope != 0, own | (verified[image] > 0))
