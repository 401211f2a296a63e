"""The receipt of a config without training, and the benchmark on a small set."""

import json
import re

import pytest

from imb_det.statistics import ClassStats
from tests import toys
from tests.processes import run_tool


@pytest.fixture
def config(tmp_path):
    toys.write_coco(tmp_path, num_images=9)
    dataset = toys.coco_dataset_config(tmp_path)
    loader = dict(
        batch_size=2,
        num_workers=0,
        sampler=dict(type="DefaultSampler", shuffle=True),
        dataset=dataset,
    )
    path = tmp_path / "config.py"
    hook = dict(type="imb_det.ImbalanceHook", group_thresholds=(1, 2))
    path.write_text(f"train_dataloader = {loader!r}\ncustom_hooks = [{hook!r}]\n")
    return path


@pytest.mark.slow
def test_receipt_of_a_config(config, tmp_path):
    work = tmp_path / "work"
    sampler = "train_dataloader.sampler"
    done = run_tool(
        "sampling_receipt.py",
        config,
        "--work-dir",
        work,
        "--cfg-options",
        f"{sampler}.type=imb_det.RepeatFactorSampler",
        f"{sampler}.repeat_thr=auto",
    )
    assert done.returncode == 0, done.stderr
    # Of the limits in the config: the rarest class on more than 2 of the 9 images.
    shares = ClassStats.from_coco(tmp_path / "ann.json").image_frequency
    threshold = min(share for share in shares if share > 2 / 9)
    line = f"RepeatFactorSampler: repeat_thr={threshold:.4g} ('auto'), power=0.5"
    assert line in done.stdout
    assert threshold < max(shares)
    content = json.loads((work / "sampling.json").read_text())
    assert content["length_after"] > content["length_before"] == 9
    assert (work / "sampling.png").is_file()


@pytest.mark.slow
def test_a_sampler_that_changes_nothing_is_one_line(config, tmp_path):
    done = run_tool("sampling_receipt.py", config, cwd=tmp_path)
    assert done.returncode == 2
    *_, line = done.stderr.splitlines()
    assert line.startswith("sampling_receipt.py: error: `train_dataloader.sampler` is")
    assert "imb_det.RepeatFactorSampler" in line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("epoch", "message"), [(-1, "--epoch must be >= 0"), (1, "--epoch 1: CDBSampler")]
)
def test_an_epoch_that_cannot_be_told_is_one_line(config, tmp_path, epoch, message):
    done = run_tool(
        "sampling_receipt.py",
        config,
        "--epoch",
        epoch,
        "--cfg-options",
        "train_dataloader.sampler.type=imb_det.CDBSampler",
        cwd=tmp_path,
    )
    assert done.returncode == 2
    *_, line = done.stderr.splitlines()
    assert line.startswith("sampling_receipt.py: error:")
    assert message in line


@pytest.mark.slow
def test_benchmark_compares_with_the_wrapper_of_mmengine(tmp_path):
    sizes = ["--images", 2000, "--classes", 50, "--boxes", 9000]
    sizes += ["--rounds", 1, "--repeat-thr", 0.05]
    done = run_tool("benchmark_sampling.py", *sizes, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shares = dict(re.findall(r"\| (\w+).*\(([\d.]+) of the sum\)", done.stdout))
    assert float(shares["RepeatFactorSampler"]) == pytest.approx(1, abs=1e-3)
    assert float(shares["mmengine"]) > 1
