"""Detectors with losses that count: two ranks hold what one process has."""

from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

from imb_det.losses import ImbalanceLoss
from imb_det.losses.flushing import flush_statistics
from tests.two_ranks import on_two_ranks

from . import detectors

pytestmark = [
    pytest.mark.dist,
    pytest.mark.weekly,
    pytest.mark.filterwarnings("ignore"),
]

#: A loss with statistics for each kind of head: points with qualities, points with
#: targets of overlaps, queries, queries with denoising, masks.
LOSSES = {
    "RTMDet": dict(type="imb_det.EqualizedQualityFocalLoss"),
    "YOLOX": dict(
        type="imb_det.GHMCLoss", average="avg_factor", reduction="sum", loss_weight=1.0
    ),
    "DeformableDETR": dict(
        type="imb_det.GHMCLoss", average="avg_factor", loss_weight=2.0
    ),
    "DINO": dict(type="imb_det.GHMCLoss", average="avg_factor", loss_weight=1.0),
    "Mask2Former": dict(type="imb_det.EBLLoss", loss_weight=2.0),
}


#: Statistics of which a loss takes ratios.
RATIOS = ("bbox_head.loss_cls.ratio.sums.mean",)
#: mmdet divides by the sum of all overlaps, or by 1 on each rank, where it is less.
FLOOR = {"RTMDet": 2}


def _model(name):
    config = detectors.config_of(name)
    head = detectors.head_of(name, config)
    head.loss_cls = dict(LOSSES[name])
    if name == "Mask2Former":
        head.type = "imb_det.Mask2FormerHead"
    else:
        head.loss_cls["use_sigmoid"] = True
    model = detectors.built(config)
    with torch.no_grad():  # classifiers that begin with zeros know no classes
        for weight in model.parameters():
            weight += 0.05 * torch.randn_like(weight)
    for part in model.modules():  # images of a batch are to know nothing of each other
        if isinstance(part, (nn.modules.batchnorm._BatchNorm, nn.Dropout)):
            part.eval()
        if isinstance(part, nn.MultiheadAttention):
            part.dropout = 0.0
    return model


def _same_points(*shape, generator=None, **options):
    """Random numbers that are the same for every image, in whatever batch."""
    shape = shape[0] if isinstance(shape[0], (tuple, list, torch.Size)) else shape
    one = np.random.default_rng(0).random(tuple(shape[1:]), np.float32)
    return torch.from_numpy(one).expand(tuple(shape)).clone()


def _step(name, seeds):
    """State of the losses after two steps, and the losses of classes of these."""
    model = _model(name)
    found = []
    for _ in range(2):
        images, samples = [], []
        for seed in seeds:
            data = detectors.batch(seed, with_masks=name == "Mask2Former")
            images += data["inputs"]
            samples += data["data_samples"]
        torch.manual_seed(0)
        data = model.data_preprocessor(
            dict(inputs=images, data_samples=samples), training=True
        )
        with mock.patch("torch.rand", _same_points):
            losses = model(**data, mode="loss")
        own = losses["loss_cls"]
        found.append(float(sum(own) if isinstance(own, (list, tuple)) else own))
        flush_statistics(model)
    state = {
        f"{place}.{key}": value.numpy()
        for place, part in model.named_modules()
        if isinstance(part, ImbalanceLoss)
        for key, value in part.state_dict().items()
    }
    return found, state


def _of_rank(rank, name):
    return _step(name, [rank])


@pytest.mark.parametrize("name", LOSSES)
def test_statistics_and_losses_are_those_of_one_process(name, tmp_path):
    ranks = on_two_ranks(tmp_path, _of_rank, name)
    losses, state = _step(name, [0, 1])
    assert state
    for _, own in ranks:
        assert own.keys() == state.keys()
        for key, value in state.items():
            if key.endswith("world_size"):
                continue
            # Sums of gradients are those of one process but for what they are divided
            # by, which is cut out where a loss takes their ratio.
            factor = own[key].sum() / value.sum() if key in RATIOS else 1.0
            assert own[key] / factor == pytest.approx(value, rel=1e-3, abs=1e-5), key
    means = [sum(pair) / 2 for pair in zip(*(found for found, _ in ranks), strict=True)]
    wanted = [loss / FLOOR.get(name, 1) for loss in losses]
    assert means == pytest.approx(wanted, rel=1e-3)
    assert losses[0] != pytest.approx(losses[1], rel=1e-6)  # what was counted acts
