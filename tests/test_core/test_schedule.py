"""Length and learning-rate steps of a training, against a real optimizer."""

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from imb_det.core import Schedule

PER_EPOCH = 5
EPOCHS = 12


def loop_of(kind):
    loop = object.__new__(kind)
    loop.dataloader = range(PER_EPOCH)
    loop._max_iters = PER_EPOCH * EPOCHS
    return loop


def steps_by_running(configs, by_epoch):
    """Build schedulers, run them, and note where the rate is divided by ten."""
    parameter = torch.nn.Parameter(torch.zeros(()))
    optimizer = OptimWrapper(torch.optim.SGD([parameter], lr=1.0))
    schedulers = [
        PARAM_SCHEDULERS.build(
            config,
            default_args=dict(optimizer=optimizer, epoch_length=PER_EPOCH),
        )
        for config in configs
    ]
    schedule = Schedule.of(
        loop_of(EpochBasedTrainLoop if by_epoch else IterBasedTrainLoop), schedulers
    )
    rates = []
    for iteration in range(PER_EPOCH * EPOCHS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in schedulers:
            is_over = (iteration + 1) % PER_EPOCH == 0
            if not scheduler.by_epoch or (by_epoch and is_over):
                scheduler.step()
    drops = [i for i in range(1, len(rates)) if rates[i] < rates[i - 1] / 9]
    return schedule, tuple(drops)


@pytest.mark.parametrize("by_epoch", [True, False])
@pytest.mark.parametrize(
    "configs",
    [
        [dict(type="MultiStepLR", milestones=[8, 11], gamma=0.1)],
        [dict(type="MultiStepLR", milestones=[8, 11, 12, 20], gamma=0.1)],
        [dict(type="MultiStepLR", milestones=[8], convert_to_iter_based=True)],
        [dict(type="MultiStepLR", milestones=[23, 41], by_epoch=False)],
        [dict(type="MultiStepLR", milestones=[2, 5], begin=3, end=7)],
        [dict(type="StepLR", step_size=4)],
        [dict(type="StepLR", step_size=17, begin=6, by_epoch=False)],
        [
            dict(type="LinearLR", start_factor=0.9, end=10, by_epoch=False),
            dict(type="MultiStepLR", milestones=[6]),
        ],
        [dict(type="CosineAnnealingLR", T_max=EPOCHS)],
        [dict(type="MultiStepMomentum", milestones=[6])],
        [],
    ],
    ids=lambda configs: configs[-1]["type"] if configs else "none",
)
def test_steps_are_where_the_rate_drops(configs, by_epoch):
    schedule, drops = steps_by_running(configs, by_epoch)
    assert schedule.lr_steps == drops
    assert schedule.iterations == PER_EPOCH * EPOCHS
    assert schedule.epoch_length == (PER_EPOCH if by_epoch else None)


def test_schedulers_of_several_optimizers():
    optimizer = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0))
    kinds = [PARAM_SCHEDULERS.get(name) for name in ("MultiStepLR", "StepLR")]
    one = kinds[0](optimizer, milestones=[3])
    other = kinds[1](optimizer, step_size=5)
    found = Schedule.of(loop_of(EpochBasedTrainLoop), dict(a=[one], b=[other]))
    assert found.lr_steps == (15, 25, 50)
    assert Schedule.of(loop_of(EpochBasedTrainLoop)).lr_steps == ()
