"""From a training to its report, by the tools alone: nothing is unpickled or run."""

import pytest

from imb_det.evaluation.saved_predictions import SavedPredictions
from tests.processes import run_tool
from tests.toy_config import write_toy_config

pytestmark = pytest.mark.slow

TEST = """
test_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset={**train_dataloader['dataset'], 'test_mode': True},
)
test_dataloader['dataset']['pipeline'] = [
    *(step for step in test_dataloader['dataset']['pipeline']
      if step['type'] not in ('RandomFlip',)),
]
test_cfg = dict(type='TestLoop')
test_evaluator = dict(type='imb_det.CocoMetric', ann_file={ann_file!r})
"""


def test_from_training_to_report(tmp_path):
    config = write_toy_config(tmp_path, epochs=1)
    ann_file = str(tmp_path / "data" / "ann.json")
    config.write_text(config.read_text() + TEST.replace("{ann_file!r}", repr(ann_file)))
    work = tmp_path / "work"

    def run(tool, *arguments):
        done = run_tool(tool, *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    log = run("train.py", config)
    out = work / "predictions.npz"
    log += run("test.py", config, work / "epoch_1.pth", "--out", out, "--tta")
    # Our own checkpoints, log history and optimizer included, are weights enough.
    assert "holds more than weights" not in log
    saved = SavedPredictions.load(out)
    assert len(saved.image_ids) == 8
    assert len(saved.scores) > 0
    first = run("eval_results.py", config, out)
    (line,) = (line for line in first.splitlines() if "bbox_mAP:" in line)
    assert f"bbox_mAP: {float(line.split(': ')[1]):.4f}"[:-1] in log
    # The config is the one that mmengine wrote beside the checkpoint.
    assert "AP50" in run("report.py", work)
