"""The benchmark of losses, on a size that takes no time."""

import importlib.util

import pytest
import torch

from imb_det.analysis.loss_contestants import LONG_TAIL
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
    rows = tool.measure(tool.Case("tiny", 5000, 40), "cpu", rounds=3)
    by_name = {row["name"]: row for row in rows}
    peer = by_name["mmdet CrossEntropyLoss"]
    ours = by_name["CrossEntropyLoss, weighted, eager"]
    assert ours["to_peer"] == pytest.approx(ours["ms"] / peer["ms"])
    assert ours["to_cross_entropy"] == pytest.approx(
        ours["ms"] / by_name["F.cross_entropy"]["ms"]
    )
    assert {f"{name}, eager" for name in LONG_TAIL} < set(by_name)
    assert by_name[tool.COPY]["memory"] < 0.01
    # log-probabilities, their gradient and that of the logits
    assert by_name["F.cross_entropy"]["memory"] == pytest.approx(3, abs=0.1)
    assert len(tool.table(rows).splitlines()) == 2 + len(rows)


def test_one_loss_runs_with_those_it_is_compared_to(tool, monkeypatch):
    monkeypatch.setattr(tool, "HOW", ("eager",))
    case = tool.Case("dense, tiny", 50, 5)
    rows = tool.measure(case, "cpu", 1, share=1.0, only="EqualizedFocal")
    ours = rows[-1]
    assert [row["name"] for row in rows] == [
        tool.COPY,
        tool.PLAIN["sigmoid"],
        "FocalLoss, eager",
        "EqualizedFocalLoss, eager",
    ]
    assert ours["to_peer"] == pytest.approx(ours["ms"] / rows[2]["ms"])
    assert ours["to_cross_entropy"] is None


def test_losses_of_masks_are_held_to_those_of_mmdet(tool):
    case = tool.MASKS._replace(rows=3, classes=49)
    rows = {row["name"]: row for row in tool.measure(case, "cpu", 1)}
    ours, peer = rows["TverskyLoss"], rows["mmdet DiceLoss"]
    assert ours["to_peer"] == pytest.approx(ours["ms"] / peer["ms"])
    both = rows["CrossEntropyLoss + DiceLoss"]
    assert both["peer"] == "mmdet CrossEntropyLoss + DiceLoss"
    assert {tool.COPY, "LovaszLoss", "SpatialClassBalancedLoss"} < set(rows)


def test_the_peak_is_that_of_what_is_held_at_once():
    def step():
        first = torch.empty(1000)
        del first
        second, third = torch.empty(1000), torch.empty(1000)
        del second, third

    assert peak_memory(step, "cpu") == pytest.approx(8000, rel=0.05)
