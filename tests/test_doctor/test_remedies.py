"""What is advised, read alone and followed as it is written."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config

from imb_det.doctor.building import build_context
from imb_det.doctor.config_checks.foreground_checks import _of_lost
from imb_det.doctor.config_checks.learning_rate import check_learning_rate
from imb_det.doctor.context import DoctorContext
from imb_det.doctor.data_checks.objects import check_ignored_objects
from imb_det.doctor.foreground import HeadForeground
from imb_det.doctor.prescription import Prescription, prescribe
from imb_det.experiments.guide import GUIDE
from imb_det.prior.boxes import TrainingBoxes


def rate(base=16, **loader):
    config = Config(
        dict(
            auto_scale_lr=dict(base_batch_size=base),
            train_dataloader=loader,
            optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.02)),
        )
    )
    return next(check_learning_rate(DoctorContext(config=config)), None)


def test_a_rate_for_more_ranks_says_for_how_many(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert "on 8 ranks it is right" in rate(batch_size=2).evidence
    assert "ranks it is" not in rate(batch_size=3).evidence
    monkeypatch.setenv("WORLD_SIZE", "2")  # told, so that nothing is guessed
    assert "it is right" not in rate(batch_size=2).evidence


def test_a_base_below_one_batch_is_doubted(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert rate(batch_size=32).remedy.startswith("See that the rate is for 16 images")


def test_a_rate_that_is_fitted_already_needs_another_number(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    remedy = rate(batch_size=2).remedy
    assert "(0.0025, if 0.02 is for 16)" in remedy
    assert remedy.endswith("`auto_scale_lr=dict(base_batch_size=2)`")
    assert rate(base=2, batch_size=2) is None


def test_boxes_that_a_filter_ignores_are_not_laid_to_their_file():
    flags = np.array([True, False])
    table = TrainingBoxes(
        np.array([[60, 80]]),
        np.array([[0, 0, 8, 8], [0, 0, 40, 40]], np.float32),
        np.zeros(2, int),
        flags,
        np.zeros(2, int),
    )
    leaf = SimpleNamespace(metainfo=dict(classes=("bee",)), get_data_info=None)
    context = SimpleNamespace(
        boxes={"train": table}, datasets={"train": leaf}, files=lambda _: "list.txt"
    )
    assert "iscrowd" in next(check_ignored_objects(context)).remedy
    leaf.bbox_min_size = 32
    found = next(check_ignored_objects(context))
    assert "bbox_min_size=32" in found.evidence
    assert found.remedy.startswith("Take `bbox_min_size=32` out of `filter_cfg`")


@pytest.mark.parametrize("number", [0, 7, "EMAHook", dict(type="EMAHook")])
def test_hooks_that_are_no_list(number):
    context, found = build_context(Config(dict(custom_hooks=number)))
    assert not context.hooks
    named = [f for f in found if f.code == "hook"]
    assert len(named) == (1 if number else 0)
    assert not named or "must be a list of hooks" in named[0].evidence


@pytest.mark.parametrize(
    ("side", "remedy"), [(100, "Look at their shapes"), (5, "Add smaller anchors")]
)
def test_objects_of_the_size_of_others_get_no_other_anchors(side, remedy):
    sides = np.array([*[100] * 9, side])[:, None]
    table = TrainingBoxes(
        np.array([[800, 800]]),
        np.concatenate([np.zeros((10, 2)), np.repeat(sides, 2, 1)], 1),
        np.zeros(10, int),
        np.zeros(10, bool),
        np.zeros(10, int),
    )
    positives = np.array([*[1] * 9, 0])[:, None]
    found = HeadForeground("rpn_head", torch.nn.Module(), None, table, positives)
    told = next(_of_lost(SimpleNamespace(classes=("bee",)), found))
    assert told.remedy.startswith(remedy)


def test_a_line_of_the_guide_can_be_read_alone():
    assert not any("the same" in advice.case for advice in GUIDE)
    beside = next(a for a in GUIDE if "balanced_sampler" in a.needs)
    text = Prescription((beside,), ("",)).text()
    assert "rare classes that get too little AP" in text


def test_nothing_is_called_needless_that_was_not_looked_at():
    text = prescribe(DoctorContext(config=Config({}))).text()
    assert "Prescription: none. The data or the model" in text
