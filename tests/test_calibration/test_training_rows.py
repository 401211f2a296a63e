"""Boxes that box heads would be trained on, and the logits of those."""

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from torch import nn

from imb_det.calibration.passes import logit_moments
from imb_det.calibration.training_rows import see_training_rows, with_labels
from tests import two_stages
from tests.contracts import detectors

SAMPLED = dict(num=16, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True)


class Loader:
    """One batch, as data loaders have it."""

    dataset = (0, 1)

    def __iter__(self):
        yield detectors.batch(2)


def detector(**changes):
    config = ConfigDict(dict(model=two_stages.model_config()))
    for name, value in changes.items():
        if name == "sampler":
            config.model.train_cfg.rcnn.sampler = {**SAMPLED, **value}
        elif name == "roi_head":
            config.model.roi_head.type = value
        else:
            config.model.train_cfg.rcnn[name] = value
    return two_stages.started(config.model)


#: Trainings whose samplers, or weights, go by the loss of each row.
BY_LOSS = {
    "OHEM": dict(sampler=dict(type="OHEMSampler")),
    "PISA": dict(
        sampler=dict(type="ScoreHLRSampler", k=0.5, bias=0.0),
        roi_head="PISARoIHead",
        isr=dict(k=2, bias=0),
        carl=dict(k=1, bias=0.2),
    ),
}


@pytest.mark.parametrize("name", BY_LOSS)
def test_rows_of_samplers_that_go_by_the_loss(name):
    """They classify candidates, which are not trained on."""
    model, seen = detector(**BY_LOSS[name]), []

    def see(loss, logits, labels):
        assert isinstance(loss, nn.Module)
        seen.append(logits)
        assert len(labels) == len(logits)

    see_training_rows(model, Loader(), "rows", see)
    (rows,) = seen
    assert 0 < len(rows) <= 2 * SAMPLED["num"]
    mean, std = logit_moments(model, Loader())
    np.testing.assert_allclose(mean, rows[:, :3].mean(0), rtol=1e-4, atol=1e-5)
    wanted = rows[:, :3].std(0, unbiased=False)
    np.testing.assert_allclose(std, wanted, rtol=1e-3, atol=1e-5)
    assert "forward" not in vars(model.roi_head.bbox_head.loss_cls)  # put back


@pytest.mark.parametrize("name", ["LoadAnnotations", "mmdet.LoadAnnotations"])
def test_boxes_are_loaded_once_before_they_are_resized(name):
    steps = ["LoadImageFromFile", "Resize", name, "PackDetInputs"]
    dataset = ConfigDict(dict(pipeline=[dict(type=step) for step in steps]))
    found = with_labels(torch.nn.Module(), dataset).pipeline
    assert [step["type"] for step in found] == [
        "LoadImageFromFile",
        "LoadAnnotations",
        "Resize",
        "PackDetInputs",
    ]
