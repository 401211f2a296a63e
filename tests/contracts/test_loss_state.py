"""The state of every classification loss: when it moves, and where it lives."""

import copy
import io
import pickle

import pytest
import torch

from imb_det.losses import flush_statistics
from imb_det.registry import MODELS
from imb_det.statistics.class_vector import ClassVector

from .batches import gradient_of, make_batch, warm
from .cases import of_activation, one_of_each_loss

each = pytest.mark.parametrize("case", of_activation("softmax", "sigmoid"), ids=str)
each_loss = pytest.mark.parametrize("case", one_of_each_loss(), ids=str)
# Authors' ways of counting, offered for comparison, move with every call.
each_by_step = pytest.mark.parametrize(
    "case",
    [case for case in of_activation("softmax", "sigmoid") if not case.counts_calls],
    ids=str,
)


def state_of(loss):
    """All buffers, also those that checkpoints leave out."""
    return {name: buffer.clone() for name, buffer in loss.named_buffers()}


def assert_same_state(loss, state):
    now = state_of(loss)
    assert now.keys() == state.keys()
    for name, buffer in state.items():
        assert torch.equal(now[name], buffer), name


def step(loss, case, seed):
    """Train one step of two calls; return the losses and gradients of the calls."""
    results = []
    for call in range(2):
        logits, labels = make_batch(case, seed=10 * seed + call)
        value = loss(logits, labels, avg_factor=3.0)
        results += [value, gradient_of(value, logits)]
    flush_statistics(loss)
    return results


def assert_next_steps_equal(case, first, second):
    for seed in (1, 2):
        pairs = zip(step(first, case, seed), step(second, case, seed), strict=True)
        assert all(torch.equal(*pair) for pair in pairs)
    assert_same_state(second, state_of(first))


@each
def test_checkpoint_continues(case):
    loss, _ = warm(case)
    file = io.BytesIO()
    torch.save(loss.state_dict(), file)
    file.seek(0)
    resumed = case.build()
    if case.difficulty is not None:
        resumed.set_class_difficulty_weights(torch.ones(3))
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert_next_steps_equal(case, loss, resumed)


@each
def test_checkpoint_alone_suffices_for_another_loss(case):
    # As when a test loads a checkpoint without any hook: strict, without missing keys.
    loss, _ = warm(case)
    other = MODELS.build(case.config).eval()
    assert not any(other.load_state_dict(loss.state_dict()))
    logits, labels = make_batch(case)
    with torch.no_grad():
        found = other(logits, labels, reduction_override="none")
        wanted = loss(logits, labels, reduction_override="none")
    assert torch.equal(found, wanted)


def pickled(loss):
    return pickle.loads(pickle.dumps(loss))


@each_loss
@pytest.mark.parametrize("clone", [copy.deepcopy, pickled])
def test_copies_continue_on_their_own(case, clone):
    loss, _ = warm(case)
    before = state_of(loss)
    other = clone(loss)
    step(clone(loss), case, 5)
    assert_same_state(loss, before)
    assert_next_steps_equal(case, loss, other)


@each
def test_extra_calls_leave_the_state_alone(case):
    loss, _ = warm(case)
    logits, labels = make_batch(case)
    before = state_of(loss)
    with torch.no_grad():
        loss(logits, labels)
    loss(logits, labels, reduction_override="none")
    loss.get_activation(logits)
    loss.get_accuracy(logits, labels)
    assert_same_state(loss, before)
    flush_statistics(loss)
    assert_same_state(loss, before)


@each
def test_evaluation_leaves_the_state_alone(case):
    loss, _ = warm(case)
    loss.eval()
    before = state_of(loss)
    logits, labels = make_batch(case)
    loss(logits, labels)
    flush_statistics(loss)
    assert_same_state(loss, before)


@each_by_step
def test_state_moves_once_a_step(case):
    # During a step all calls see the same statistics: their order does not matter.
    one, other = warm(case)[0], warm(case)[0]
    batches = [make_batch(case, seed=seed) for seed in (3, 4)]
    values = [one(*batch) for batch in batches]
    turned = [other(*batch) for batch in reversed(batches)]
    assert torch.equal(torch.stack(values), torch.stack(turned[::-1]))
    for loss in (one, other):
        flush_statistics(loss)
    assert_same_state(one, state_of(other))


@each
def test_a_missing_hook_is_named(case):
    fresh = MODELS.build(case.config)
    vectors = [part for part in fresh.modules() if isinstance(part, ClassVector)]
    needs_hook = (
        case.progress is not None
        or any(isinstance(vector.spec, (str, dict)) for vector in vectors)
        or any(vector.balances_by for vector in vectors)
        or any(vector.told_by is not None for vector in vectors)
        or any(hasattr(part, "pending") for part in fresh.modules())
    )
    if needs_hook:
        with pytest.raises(RuntimeError, match=r"custom_hooks.*imb_det.ImbalanceHook"):
            fresh(*make_batch(case))
    else:
        assert fresh(*make_batch(case)).isfinite()


@each_loss
def test_no_graph_and_no_batch_stays_behind(case):
    loss, _ = warm(case)
    loss(*make_batch(case))
    assert not any(buffer.requires_grad for buffer in loss.buffers())
    kept = [
        name
        for part in loss.modules()
        for name, value in vars(part).items()
        if isinstance(value, torch.Tensor)
    ]
    assert kept == []
