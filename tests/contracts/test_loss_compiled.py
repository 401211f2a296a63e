"""Losses keep a GPU busy; compiled ones are one graph, and agree with eager ones."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch._inductor import config as inductor
from torch._inductor.cpp_builder import get_cpp_compiler

from imb_det.losses import compilation, flush_statistics
from imb_det.registry import MODELS

from .batches import (
    assert_finite,
    channels,
    forms_of_labels,
    gradient_of,
    make_batch,
    soft_targets,
    warm,
)
from .cases import (
    NUM_CLASSES,
    of_activation,
    one_of_each_kernel,
    one_of_each_loss,
)

GRAPH = dict(backend="aot_eager", fullgraph=True, dynamic=True)

#: Labels of two steps. A compiler takes equal numbers of rows and outputs for the same.
STEPS = (((0, 3, 2, 1, 3) * 3)[:11], ((3, 3, 0, 1, 1, 2) * 3)[:13])


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    for cached in (compilation.compiled, compilation._warn_once):
        cached.cache_clear()
    yield
    torch._dynamo.reset()
    for cached in (compilation.compiled, compilation._warn_once):
        cached.cache_clear()


def same_steps(case, found, wanted, dtype, forms=(False, True), **tolerance):
    """Compare two losses over two steps, without and with weights."""
    for seed, rows in enumerate(STEPS):
        logits, labels = make_batch(case, rows, seed, dtype)
        weight = torch.linspace(0, 2, len(rows)).to(dtype)
        for weighted in forms:
            batch = (labels, weight if weighted else None)
            values = [loss(logits, *batch, avg_factor=2.0) for loss in (found, wanted)]
            torch.testing.assert_close(*values, **tolerance)
            slopes = [gradient_of(value, logits) for value in values]
            torch.testing.assert_close(*slopes, **tolerance)
        for loss in (found, wanted):
            flush_statistics(loss)


def every_day_or_week(every_day, cases):
    """Some cases every day, the others once a week: a trace takes long."""
    return pytest.mark.parametrize(
        "case",
        [
            pytest.param(case, marks=() if case in every_day else pytest.mark.weekly)
            for case in cases
        ],
        ids=str,
    )


def traced_every_day():
    """One form of each loss, but those that ``one_graph_forward_and_backward`` has."""
    forms = {case.loss: case for case in one_of_each_loss()}.values()
    return [case for case in forms if case not in one_of_each_kernel()]


@every_day_or_week(traced_every_day(), of_activation("softmax", "sigmoid"))
def test_one_graph(case):
    # Without a compiler behind it, which would take several times as long.
    loss, _ = warm(case)
    traced = torch.compile(copy.deepcopy(loss), **{**GRAPH, "backend": "eager"})
    with torch._dynamo.config.patch(error_on_recompile=True):
        same_steps(case, traced, loss, torch.float64, forms=[True])


def that_draw():
    return [case for case in one_of_each_loss() if "sampled" in case.arguments]


@every_day_or_week([c for c in that_draw() if c.loss != "GumbelLoss"], that_draw())
def test_draws_are_part_of_the_graph(case):
    # Oracles draw nothing, so that the other tests do not either.
    loss = warm(case, sampled=True)[0]
    logits, labels = make_batch(case)
    traced = torch.compile(copy.deepcopy(loss), **{**GRAPH, "backend": "eager"})
    assert_finite(traced(logits, labels, avg_factor=2.0), logits)
    on_meta = logits.detach().to("meta").requires_grad_()
    assert loss.to("meta")(on_meta, labels.to("meta")).is_meta


@every_day_or_week(one_of_each_kernel(), of_activation("softmax", "sigmoid"))
def test_one_graph_forward_and_backward(case):
    loss, _ = warm(case)
    traced = torch.compile(copy.deepcopy(loss), **GRAPH)
    with torch._dynamo.config.patch(error_on_recompile=True):
        same_steps(case, traced, loss, torch.float64, forms=[True])


@pytest.mark.parametrize("case", of_activation("softmax", "sigmoid"), ids=str)
def test_no_number_is_read_back(case):
    assert_no_number_is_read_back(case)


@every_day_or_week(one_of_each_loss(), of_activation("softmax", "sigmoid"))
def test_no_number_is_read_back_for_rows(case):
    assert_no_number_is_read_back(case, reduction_override="none")


def assert_no_number_is_read_back(case, **extra):
    # A GPU would have to wait for it. On this device there is none to be read.
    loss = warm(case)[0].to("meta")
    logits, labels = make_batch(case)
    forms = [x.to("meta") for x in forms_of_labels(case, labels, soft_targets(case))]
    logits, weight = (
        logits.detach().to("meta").requires_grad_(),
        torch.ones(7).to("meta"),
    )
    for batch in (*((form,) for form in forms), (forms[0], weight)):
        value = loss(logits, *batch, avg_factor=weight.sum(), **extra)
        assert gradient_of(value, logits).shape == logits.shape
    loss.get_accuracy(logits, forms[0])
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


def compiled_every_day():
    """One form of each kernel, but those made of others, or of groups of one."""
    rest = ("FadingLoss", "BalancedGroupSoftmaxLoss")
    return [case for case in one_of_each_kernel() if case.loss not in rest]


@pytest.mark.usefixtures("compiler")
@every_day_or_week(compiled_every_day(), one_of_each_loss())
def test_compiled_equals_eager(case, said):
    eager, compiled = warm(case)[0], warm(case, compiled=True)[0]
    same_steps(case, compiled, eager, torch.float32, rtol=1e-5, atol=1e-6)
    assert said == []


@pytest.mark.weekly
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


def of_pairs(*losses):
    return [case for case in one_of_each_loss() if case.loss in losses]


@pytest.mark.usefixtures("compiler")
@every_day_or_week(
    of_pairs("QualityFocalLoss"), of_pairs("QualityFocalLoss", "GHMCLoss")
)
def test_compiled_pairs(case, said):
    eager, compiled = warm(case)[0], warm(case, compiled=True)[0]
    for rows in (7, 9):
        labels = torch.arange(rows) % 4
        logits, labels = make_batch(case, labels.tolist(), dtype=torch.float32)
        quality = torch.linspace(0, 1, rows)
        for label in ((labels, quality), labels):
            values = [loss(logits, label, avg_factor=2.0) for loss in (eager, compiled)]
            torch.testing.assert_close(*values, rtol=1e-5, atol=1e-6)
            slopes = [gradient_of(value, logits) for value in values]
            torch.testing.assert_close(*slopes, rtol=1e-5, atol=1e-6)
    assert said == []


@pytest.mark.parametrize("case", one_of_each_loss()[:1], ids=str)
def test_without_a_compiler(case, said, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    loss, eager = warm(case, compiled=True)[0], warm(case)[0]
    with inductor.patch({"cpp.cxx": ("no-such-compiler",)}):
        same_steps(case, loss, eager, torch.float32)
    assert len(said) == 1
    assert "eager" in said[0]


@pytest.mark.parametrize(
    "cases",
    [one_of_each_kernel, pytest.param(one_of_each_loss, marks=pytest.mark.weekly)],
)
def test_another_size_or_type_brings_no_second_compilation(cases, said, monkeypatch):
    # What is of a loss alone, ``test_one_graph`` sees at two sizes.
    made = []

    def compile_once(function, **kwargs):
        made.append(function)
        return torch.compile(function, **{**kwargs, "backend": "eager"})

    monkeypatch.setattr(compilation, "torch", SimpleNamespace(**vars(torch)))
    monkeypatch.setattr(compilation.torch, "compile", compile_once)
    every_type = (torch.float32, torch.bfloat16, torch.float64)
    of_kernels = one_of_each_kernel()
    with torch._dynamo.config.patch(error_on_recompile=True):
        for case in cases():
            loss = case.build(compiled=True)
            for dtype in every_type if case in of_kernels else every_type[:1]:
                after = []
                # The first is the number of nothing else, which a compiler would tie.
                for rows in (11, 2, 0, 1, 300):
                    labels = torch.arange(rows) % (NUM_CLASSES + 1)
                    logits = torch.zeros(rows, channels(case), dtype=dtype)
                    loss(logits.requires_grad_(), labels, avg_factor=2.0)
                    after.append(len(made))
                assert len(set(after)) == 1
            flush_statistics(loss)
    assert said == []
    assert len(made) > len(every_type)


def test_forms_of_one_loss_do_not_count_together(said, monkeypatch):
    # The compiler gives a function up after eight of them.
    monkeypatch.setattr(compilation, "torch", SimpleNamespace(**vars(torch)))
    monkeypatch.setattr(
        compilation.torch,
        "compile",
        lambda function, **kwargs: torch.compile(
            function, **{**kwargs, "backend": "eager"}
        ),
    )
    labels = torch.tensor([0, 3, 2, 1])
    with torch._dynamo.config.patch(error_on_recompile=True):
        for class_weight in (None, 2.0, [1.0, 2.0, 0.5]):
            for weight_negatives in (False, True):
                for bg_weight in (1.0, 0.5):
                    loss = MODELS.build(
                        dict(
                            type="imb_det.CrossEntropyLoss",
                            use_sigmoid=True,
                            class_weight=class_weight,
                            weight_negatives=weight_negatives,
                            bg_weight=bg_weight,
                            compiled=True,
                        )
                    )
                    loss(torch.zeros(4, 3, requires_grad=True), labels)
    assert said == []


@pytest.mark.parametrize(
    ("setting", "device", "wanted"),
    [
        (True, "cpu", True),
        (False, "cpu", False),
        ("auto", "cpu", False),
        ("auto", "meta", False),
    ],
)
def test_automatic_is_on_a_gpu(setting, device, wanted):
    logits = torch.zeros(5, 3, device=device)
    assert compilation.should_compile(setting, logits) is wanted
    assert not compilation.should_compile(setting, logits[:1])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_automatic_compiles_on_a_gpu():
    assert compilation.should_compile("auto", torch.zeros(5, 3, device="cuda"))
