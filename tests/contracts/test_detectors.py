"""Detectors that people train: with neutral losses of the library they are mmdet's."""

import math

import pytest
import torch

from . import detectors

pytestmark = pytest.mark.filterwarnings("ignore")

#: Losses of a family that the library has under the same name and options.
OURS = {
    "RTMDet": ("loss_cls",),
    "YOLOX": ("loss_cls", "loss_obj"),
    "DeformableDETR": ("loss_cls",),
    "DINO": ("loss_cls",),
    "Mask2Former": ("loss_cls",),
}


def with_own_losses(name):
    """Configuration with the losses of the library in place of mmdet's."""
    config = detectors.config_of(name)
    head = detectors.head_of(name, config)
    for key in OURS[name]:
        head[key].type = "imb_det." + head[key].type
    if name == "Mask2Former":
        head.type = "imb_det.Mask2FormerHead"
        for key in ("loss_mask", "loss_dice"):
            head[key] = dict(type="imb_det.InstanceWeightedLoss", loss=head[key])
    return config


@pytest.mark.parametrize("name", detectors.FAMILIES)
@pytest.mark.parametrize(
    "steps", [2, pytest.param(20, marks=pytest.mark.weekly)], ids=lambda n: f"{n} steps"
)
def test_curves_are_those_of_mmdet(name, steps):
    wanted = detectors.curve(detectors.built(detectors.config_of(name)), steps)
    found = detectors.curve(detectors.built(with_own_losses(name)), steps)
    assert wanted[0]["loss"] != wanted[-1]["loss"]
    for step, (one, other) in enumerate(zip(wanted, found, strict=True)):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert math.isclose(value, other[key], rel_tol=1e-3, abs_tol=1e-4), (
                f"step {step}, {key}: mmdet {value}, ours {other[key]}"
            )


@pytest.mark.parametrize("name", detectors.FAMILIES)
def test_predictions_are_those_of_mmdet(name):
    ours = detectors.built(with_own_losses(name))
    theirs = detectors.built(detectors.config_of(name))
    theirs.load_state_dict(ours.state_dict(), strict=False)
    found, wanted = (detectors.predicted(model) for model in (ours, theirs))
    for one, other in zip(found, wanted, strict=True):
        assert len(one) > 0
        torch.testing.assert_close(one.scores, other.scores)
        torch.testing.assert_close(one.bboxes, other.bboxes)
        assert one.labels.tolist() == other.labels.tolist()
