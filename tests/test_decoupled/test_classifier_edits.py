"""Classifiers that are edited: identities, numbers by hand, what stays."""

import pytest
import torch
from torch import nn

from imb_det.calibration import ClassifierOutput
from imb_det.decoupled.classifier_edits import nearest_class_mean, rows_of, tau_norm
from imb_det.layers import NormedLinear
from imb_det.merging.class_rows import ClassRows

ROWS = ClassRows(3, 1, 4)


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return nn.Linear(5, 4).double()


def test_tau_norm_by_hand():
    layer = nn.Linear(2, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 4.0], [0.0, 16.0], [1.0, 1.0]]))
        layer.bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    rows = ClassRows(2, 1, 3)
    tau_norm(layer, rows, 0.5)
    root5 = 5**0.5
    expected = torch.tensor([[3 / root5, 4 / root5], [0.0, 4.0], [1.0, 1.0]])
    torch.testing.assert_close(layer.weight.data, expected)
    assert layer.bias.tolist() == [0, 0, 3]


def test_tau_norm_identities(layer):
    before = layer.weight.clone(), layer.bias.clone()
    tau_norm(layer, ROWS, 0.0, keep_bias=True)
    assert torch.equal(layer.weight, before[0])
    assert torch.equal(layer.bias, before[1])
    tau_norm(layer, ROWS, 1.0, keep_bias=True, keep_scale=True)
    lengths, wanted = layer.weight.norm(dim=1), before[0].norm(dim=1)
    assert lengths[:3].tolist() == pytest.approx([wanted[:3].mean().item()] * 3)
    assert torch.equal(layer.weight[3], before[0][3])
    cosine = nn.functional.cosine_similarity(layer.weight, before[0])
    assert cosine.tolist() == pytest.approx([1.0] * 4)


def test_tau_norm_of_a_convolution_with_anchors():
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 6, 3)
    with torch.no_grad():
        layer.weight[4] = 0
    output = ClassifierOutput("cls", layer, 3, 3, False)
    rows = rows_of(output)
    assert rows == ClassRows(3, 2, 3)
    tau_norm(layer, rows, 1.0)
    lengths = layer.weight.flatten(1).norm(dim=1)
    assert lengths.tolist() == pytest.approx([1, 1, 1, 1, 0, 1])
    assert not layer.bias.any()


def test_other_classifiers_are_refused():
    output = ClassifierOutput("roi_head.fc_cls", NormedLinear(5, 4), 4, 3, True)
    with pytest.raises(TypeError, match=r"`roi_head\.fc_cls` is a NormedLinear"):
        rows_of(output)


MEANS = torch.tensor([[2.0, 0, 0, 0, 1], [0, 1, 0, 0, 0], [0, 0, 0, 5, 0]]).double()


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_the_class_of_the_nearest_mean_wins(layer, scale):
    before = nn.Linear(5, 4).double()
    before.load_state_dict(layer.state_dict())
    nearest_class_mean(layer, ROWS, MEANS, torch.tensor([4, 1, 9]), scale)
    x = 3 * torch.randn(200, 5).double()
    logits, old = layer(x), before(x)
    nearest = torch.cdist(x, MEANS).argmin(1)
    assert torch.equal(logits[:, :3].argmax(1), nearest)
    assert len(nearest.unique()) == 3
    assert torch.equal(logits[:, 3], old[:, 3])
    torch.testing.assert_close(logits[:, :3].mean(1), old[:, :3].mean(1))
    spread = [m.weight[:3] - m.weight[:3].mean(0) for m in (layer, before)]
    assert spread[0].norm().item() == pytest.approx(scale * spread[1].norm().item())


def test_a_class_without_boxes_keeps_its_row(layer):
    before = layer.weight.clone()
    nearest_class_mean(layer, ROWS, MEANS, torch.tensor([4, 0, 9]))
    assert torch.equal(layer.weight[1], before[1])
    assert not torch.equal(layer.weight[0], before[0])
    with pytest.raises(ValueError, match="1 classes have boxes"):
        nearest_class_mean(layer, ROWS, MEANS, torch.tensor([4, 0, 0]))
    bare = nn.Linear(5, 4, bias=False)
    with pytest.raises(TypeError, match="linear layer with a bias"):
        nearest_class_mean(bare, ROWS, MEANS, torch.tensor([4, 1, 9]))


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_means_that_do_not_differ_are_refused(layer, value):
    before = layer.weight.clone()
    with pytest.raises(ValueError, match="do not differ"):
        nearest_class_mean(layer, ROWS, MEANS * 0 + value, torch.tensor([4, 1, 9]))
    assert torch.equal(layer.weight, before)


@pytest.mark.parametrize("tau", [-0.1, 1.1, float("nan"), "1"])
def test_tau_out_of_range(layer, tau):
    with pytest.raises((ValueError, TypeError), match="`tau` must be"):
        tau_norm(layer, ROWS, tau)
