"""The benchmark of the evaluation at a tiny size."""

import re

import pytest

from tests.processes import run_tool


def run(*arguments):
    sizes = dict(images=20, mask_images=5, detections=30, classes=25)
    for name, size in sizes.items():
        arguments += (f"--{name.replace('_', '-')}", size)
    done = run_tool("benchmark_evaluation.py", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_only_ours():
    printed = run("--who", "ours")
    assert "bbox: 20 images, 25 classes, 12 objects and 30 detections" in printed
    assert "segm: 5 images" in printed
    rows = re.findall(r"^\| ours \| [\d.]+ \| [\d.]+ \| [\d.]+ \|", printed, re.M)
    assert len(rows) == 2
    assert "| lvis |" not in printed
    assert len(re.findall(r"\bAP 0\.[1-9]", printed)) == 2


@pytest.mark.slow
def test_bootstrap():
    printed = run("--resamples", "5")
    assert re.search(r"20 images, 30 .*: judged in [\d.]+ s, 5 resamples in ", printed)


@pytest.mark.slow
@pytest.mark.lvis
def test_figures_agree_with_others():
    peers = {
        "lvis": "lvis",
        "hotcoco": "hotcoco",
        "faster-coco-eval": "faster_coco_eval",
    }
    for module in peers.values():
        pytest.importorskip(module)
    printed = run()
    for who in peers:
        agreed = rf"^\d{{2}} figures agree with {who}, furthest apart"
        assert len(re.findall(agreed, printed, re.M)) == 2
        ratios = rf"^\| ours / {who} \|( [\d.-]+ \|){{3}} \|$"
        assert len(re.findall(ratios, printed, re.M)) == 2
