"""Layers of second stages, and of box regression, against their formulas."""

import pytest
import torch
from torch import nn

from imb_det.layers import CABLinear, DisAlignLinear, ScaledLinear
from imb_det.registry import MODELS
from tests import toys
from tests.references import decoupled as reference

IN, OUT = 5, 8


def drawn(layer, seed=0):
    """The layer in float64 with all its numbers drawn."""
    generator = torch.Generator().manual_seed(seed)
    layer = layer.double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return layer


def rows(layer, x, slow, **names):
    given = {k: getattr(layer, v) for k, v in names.items()}
    given = {k: v.tolist() if torch.is_tensor(v) else v for k, v in given.items()}
    return torch.tensor([slow(row, **given) for row in x.tolist()]).double()


X = torch.randn(4, IN, generator=torch.Generator().manual_seed(1)).double()


def test_scaled_linear_is_its_formula():
    layer = drawn(ScaledLinear(IN, OUT))
    names = dict(weight="weight", bias="bias", scale="scale")
    torch.testing.assert_close(layer(X), rows(layer, X, reference.scaled, **names))
    by_hand = ScaledLinear(1, 2)
    with torch.no_grad():
        by_hand.weight.copy_(torch.tensor([[2.0], [3.0]]))
        by_hand.bias.copy_(torch.tensor([1.0, 0.0]))
        by_hand.scale.copy_(torch.tensor([0.5, 2.0]))
    assert by_hand(torch.ones(1, 1)).tolist() == [[1.5, 6.0]]


@pytest.mark.parametrize("background", [0, 1, 3])
def test_disalign_linear_is_its_formula(background):
    layer = drawn(DisAlignLinear(IN, OUT, background=background))

    def slow(x, weight, bias, alpha, beta):
        gate, shift = layer.confidence.weight[0].tolist(), layer.confidence.bias.item()
        return reference.aligned(x, weight, bias, alpha, beta, gate, shift)

    names = dict(weight="weight", bias="bias", alpha="align_scale", beta="align_bias")
    found = layer(X)
    torch.testing.assert_close(found, rows(layer, X, slow, **names))
    plain = nn.functional.linear(X, layer.weight, layer.bias)
    if background:
        assert torch.equal(found[:, -background:], plain[:, -background:])
    assert len(layer.align_scale) == OUT - background


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
def test_cab_linear_is_its_formula(alpha):
    layer = drawn(CABLinear(IN, OUT, alpha=alpha))

    def slow(x, weight, bias):
        shared, shift = layer.shared.weight.tolist(), layer.shared.bias.tolist()
        return reference.blended(x, weight, bias, shared, shift, alpha)

    found = layer(X)
    expected = rows(layer, X, slow, weight="weight", bias="bias")
    torch.testing.assert_close(found, expected)
    if alpha == 0:  # weights by class
        assert torch.equal(found, nn.functional.linear(X, layer.weight, layer.bias))
    if alpha == 1:  # all classes have the same boxes
        assert torch.equal(found[:, :4], found[:, 4:])


@pytest.mark.parametrize("kind", ["ScaledLinear", "DisAlignLinear"])
def test_at_the_start_they_are_linear_layers_bit_for_bit(kind):
    """Those of the head, with the head's own start and its classifier's bias."""

    def head(predictor):
        torch.manual_seed(3)
        built = MODELS.build(
            dict(
                type="mmdet.Shared2FCBBoxHead",
                in_channels=4,
                roi_feat_size=2,
                fc_out_channels=IN,
                num_classes=3,
                cls_predictor_cfg=dict(type=predictor),
            )
        )
        built.init_weights()
        return built

    own, plain = head(f"imb_det.{kind}"), head("Linear")
    own.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(6, 4, 2, 2)
    assert torch.equal(own(x)[0], plain(x)[0])
    own(x)[0].square().sum().backward()
    layer = own.fc_cls
    learnt = {
        "ScaledLinear": ["scale"],
        "DisAlignLinear": ["align_scale", "align_bias"],
    }
    for name in learnt[kind]:
        assert getattr(layer, name).grad.abs().sum() > 0
    assert toys.CLASSES


def test_scaled_linear_starts_anew_with_scales_of_one():
    layer = drawn(ScaledLinear(IN, OUT))
    layer.reset_parameters()
    assert torch.equal(layer.scale, torch.ones(OUT).double())


@pytest.mark.parametrize(
    ("layer", "arguments", "match"),
    [
        (DisAlignLinear, dict(background=8), "`background` must be from 0 to 7"),
        (DisAlignLinear, dict(background=0.5), "`background` must be a whole number"),
        (CABLinear, dict(alpha=1.5), "`alpha` must be in"),
        (CABLinear, dict(box_dim=3), "`box_dim` must divide the 8 outputs"),
        (CABLinear, dict(box_dim=8), "leaves nothing to share"),
        (CABLinear, dict(box_dim=4.0), "`box_dim` must be a whole number"),
    ],
)
def test_bad_arguments_are_named(layer, arguments, match):
    with pytest.raises((TypeError, ValueError), match=match):
        layer(IN, OUT, **arguments)
