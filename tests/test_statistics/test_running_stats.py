"""Running statistics: what a step adds, and what the mean makes of it."""

import pytest
import torch

from imb_det.losses import flush_statistics, flushing, manage_statistics
from imb_det.statistics.running_stats import RunningStats


def stats_of(*steps, momentum=0.75, **kwargs):
    stats = RunningStats(2, momentum, **kwargs)
    manage_statistics(stats)
    for calls in steps:
        for call in calls:
            stats.add(torch.tensor(call))
        flush_statistics(stats)
    return stats


def test_calls_of_a_step_add_up_and_the_first_step_counts_in_full():
    stats = stats_of([[1.0, 0.0], [3.0, 2.0]])
    assert stats.value.tolist() == [4.0, 2.0]
    assert stats.pending.tolist() == [0.0, 0.0]


def test_hand_worked_mean_of_two_steps():
    # m = 0.75 (0.25 * 4) + 0.25 * 8 = 2.75, over 1 - 0.75^2 = 0.4375.
    stats = stats_of([[4.0, 0.0]], [[8.0, 0.0]])
    assert stats.value[0].item() == pytest.approx(2.75 / 0.4375)


@pytest.mark.parametrize("spoil", [float("nan"), float("inf")])
@pytest.mark.parametrize("momentum", [0.75, None])
def test_a_step_that_overflows_leaves_the_mean_alone(spoil, momentum):
    stats = stats_of([[4.0, 2.0]], [[1.0, spoil]], momentum=momentum)
    assert stats.value.tolist() == [4.0, 2.0]
    assert stats.steps == 1
    assert stats.pending.tolist() == [0.0, 0.0]


def test_momentum_0_keeps_the_last_step():
    assert stats_of([[4.0, 1.0]], [[8.0, 2.0]], momentum=0).value.tolist() == [8, 2]


def test_a_step_without_anything_leaves_the_mean_alone():
    stats = stats_of([[4.0, 2.0]], [], [[0.0, 0.0]])
    assert stats.value.tolist() == [4.0, 2.0]
    assert stats.steps == 1


def test_values_are_zeros_before_the_first_step():
    assert stats_of().value.tolist() == [0.0, 0.0]


def test_the_mean_over_ranks_is_the_sum_over_their_number():
    for reduction, expected in (("sum", 6.0), ("mean", 3.0)):
        stats = RunningStats(1, 0.0, reduction)
        stats.commit(torch.tensor([6.0]).double(), world_size=2)
        assert stats.value.item() == expected


def test_pending_numbers_are_not_saved():
    assert set(RunningStats(2, 0.5).state_dict()) == {"mean", "steps", "world_size"}


def test_without_the_hook_the_first_addition_says_what_to_add():
    with pytest.raises(RuntimeError, match=r"custom_hooks = \[dict\(type='imb_det"):
        RunningStats(2, 0.5).add(torch.ones(2))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [((2, 1.0), "momentum"), ((2, -0.1), "momentum"), ((2, 0.5, "max"), "reduction")],
)
def test_bad_arguments(arguments, named):
    with pytest.raises(ValueError, match=f"`{named}` must be"):
        RunningStats(*arguments)


def test_a_sum_for_ever():
    stats = RunningStats(2, None)
    for total in ([1.0, 2.0], [0.0, 0.0], [3.0, 0.5]):
        stats.commit(torch.tensor(total).double(), world_size=1)
    assert stats.value.tolist() == [4.0, 2.5]
    assert stats.steps == 2


def test_a_size_that_is_known_later():
    stats = RunningStats(None, 0.5)
    assert stats.value.tolist() == []
    stats.resize(2)
    stats.commit(torch.tensor([1.0, 2.0]).double(), world_size=1)
    stats.resize(2)  # known already
    assert stats.value.tolist() == [1.0, 2.0]
    loaded = RunningStats(None, 0.5)
    loaded.load_state_dict(stats.state_dict())
    assert loaded.value.tolist() == [1.0, 2.0]
    assert len(loaded.pending) == 2
    stats.resize(3)  # other classes: the old numbers say nothing
    assert stats.value.tolist() == [0.0] * 3
    assert stats.steps == 0


def test_another_number_of_numbers_is_refused():
    for size, given in ((None, 1), (None, 3), (2, 1), (2, 3)):
        stats = RunningStats(size, None)
        stats.managed = True
        with pytest.raises(ValueError, match=r"of \d numbers got \(\d,\).*`resize`"):
            stats.add(torch.ones(given))


def test_ranks_with_other_lengths_are_refused(monkeypatch):
    found = [RunningStats(2, 0.5), RunningStats(3, None)]
    flushing.check_alike(found)
    monkeypatch.setattr(flushing, "all_gather_object", lambda mine: [mine, [2, 0]])
    with pytest.raises(RuntimeError, match=r"\[\[2, 3\], \[2, 0\]\]"):
        flushing.check_alike(found)
