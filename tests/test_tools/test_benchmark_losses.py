"""The benchmark of losses, on a size that takes no time."""

import importlib.util

import pytest
import torch

from imb_det.analysis.measuring import peak_memory


@pytest.fixture
def tool(repo_root):
    path = repo_root / "tools" / "benchmark_losses.py"
    spec = importlib.util.spec_from_file_location("benchmark_losses", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rows_compare_each_loss_with_its_peer(tool, monkeypatch):
    monkeypatch.setattr(tool, "HOW", ("eager",))  # nothing to wait for
    rows = tool.measure(tool.Case("tiny", 5000, 41, "softmax"), "cpu", rounds=3)
    by_name = {row["name"]: row for row in rows}
    peer = by_name["mmdet CrossEntropyLoss"]
    ours = by_name["CrossEntropyLoss, weighted, eager"]
    assert ours["to_peer"] == pytest.approx(ours["ms"] / peer["ms"])
    assert ours["to_plain"] == pytest.approx(
        ours["ms"] / by_name["F.cross_entropy"]["ms"]
    )
    assert by_name[tool.COPY]["memory"] < 0.01
    # log-probabilities, their gradient and that of the logits
    assert by_name["F.cross_entropy"]["memory"] == pytest.approx(3, abs=0.1)
    assert len(tool.table(rows).splitlines()) == 2 + len(rows)


def test_the_peak_is_that_of_what_is_held_at_once():
    def step():
        first = torch.empty(1000)
        del first
        second, third = torch.empty(1000), torch.empty(1000)
        del second, third

    assert peak_memory(step, "cpu") == pytest.approx(8000, rel=0.05)
