"""Losses keep a GPU busy; compiled ones are one graph, and agree with eager ones."""

import copy

import pytest
import torch
from torch._inductor import config as inductor
from torch._inductor.cpp_builder import get_cpp_compiler

from imb_det.losses import compilation, flush_statistics

from .batches import gradient_of, make_batch, soft_targets, warm
from .cases import of_activation

GRAPH = dict(backend="aot_eager", fullgraph=True, dynamic=True)

each = pytest.mark.parametrize("case", of_activation("softmax", "sigmoid"), ids=str)


def one_of_each_sigmoid_loss():
    """The last case of each sigmoid loss, which has arguments."""
    return list({case.loss: case for case in of_activation("sigmoid")}.values())


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    compilation.compiled.cache_clear()
    yield
    torch._dynamo.reset()
    compilation.compiled.cache_clear()


def same_steps(case, found, wanted, dtype, **tolerance):
    """Compare two losses over a step of each form of labels and weights, twice."""
    for seed, rows in enumerate(((0, 3, 2, 1, 3), (3, 3, 0, 1, 1, 2, 3, 3))):
        logits, labels = make_batch(case, rows, seed, dtype)
        weight = torch.linspace(0, 2, len(rows)).to(dtype)
        for batch in ((labels, None), (labels, weight)):
            values = [loss(logits, *batch, avg_factor=2.0) for loss in (found, wanted)]
            torch.testing.assert_close(*values, **tolerance)
            slopes = [gradient_of(value, logits) for value in values]
            torch.testing.assert_close(*slopes, **tolerance)
        for loss in (found, wanted):
            flush_statistics(loss)


@each
def test_one_graph(case):
    loss, _ = warm(case)
    traced = torch.compile(copy.deepcopy(loss), **GRAPH)
    same_steps(case, traced, loss, torch.float64)


@each
@pytest.mark.parametrize("extra", [{}, dict(reduction_override="none")], ids=str)
def test_no_number_is_read_back(case, extra):
    # A GPU would have to wait for it. On this device there is none to be read.
    loss = warm(case)[0].to("meta")
    logits, labels = make_batch(case)
    soft = soft_targets(case).to("meta")
    logits, labels = logits.detach().to("meta").requires_grad_(), labels.to("meta")
    for batch in ((labels,), (soft,), (labels, torch.ones(7, device="meta"))):
        value = loss(logits, *batch, avg_factor=soft.sum(), **extra)
        assert gradient_of(value, logits).shape == logits.shape
    loss.get_accuracy(logits, labels)
    loss.get_activation(logits)
    flush_statistics(loss)


@pytest.fixture
def said(monkeypatch):
    """What the losses say when they cannot be compiled."""
    lines = []
    monkeypatch.setattr(compilation, "print_log", lambda text, **_: lines.append(text))
    return lines


@pytest.fixture
def compiler():
    try:
        get_cpp_compiler()
    except Exception:
        pytest.skip("there is no C++ compiler")


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("case", one_of_each_sigmoid_loss(), ids=str)
def test_compiled_equals_eager(case, said):
    eager, compiled = warm(case)[0], warm(case, compiled=True)[0]
    same_steps(case, compiled, eager, torch.float32, rtol=1e-5, atol=1e-6)
    assert said == []


@pytest.mark.usefixtures("compiler")
def test_compiled_edges(said):
    case = next(case for case in of_activation("sigmoid") if case.loss == "FocalLoss")
    eager, compiled = case.build(), case.build(compiled=True)
    logits, labels = make_batch(case, dtype=torch.float32)
    extreme = torch.tensor([0, 1, -20, 50, -90, 1e4, -65504])[:, None].repeat(1, 3)
    weight = torch.rand(7, 3)
    for batch in (
        (logits, soft_targets(case).float(), weight),
        (extreme.requires_grad_(), labels, weight),
        (logits[:1], labels[:1], weight[:1]),
        (logits[:0], labels[:0], weight[:0]),
    ):
        values = [loss(*batch, avg_factor=2.0) for loss in (compiled, eager)]
        torch.testing.assert_close(*values, rtol=1e-5, atol=1e-6)
        slopes = [gradient_of(value, batch[0]) for value in values]
        torch.testing.assert_close(*slopes, rtol=1e-5, atol=1e-6)
    assert said == []


@pytest.mark.parametrize("case", one_of_each_sigmoid_loss()[:1], ids=str)
def test_without_a_compiler(case, said, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(inductor.cpp, "cxx", ("no-such-compiler",))
    loss, eager = warm(case, compiled=True)[0], warm(case)[0]
    same_steps(case, loss, eager, torch.float32)
    assert len(said) == 1
    assert "eager" in said[0]


@pytest.mark.parametrize("case", of_activation("softmax"), ids=str)
def test_softmax_has_nothing_to_compile(case, said):
    loss, eager = warm(case, compiled=True)[0], warm(case)[0]
    assert torch.equal(loss(*make_batch(case)), eager(*make_batch(case)))
    assert said == []
