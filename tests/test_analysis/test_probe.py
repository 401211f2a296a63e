"""A linear classifier on the features of true boxes."""

import numpy as np
import pytest
import torch

from imb_det.analysis.box_features import box_features
from imb_det.analysis.probe import probe, probe_table, ranking_ap
from imb_det.statistics import ClassStats
from tests import toys
from tests.processes import run_tool
from tests.toy_config import write_toy_config


def test_average_precision_of_a_ranking_by_hand():
    positive = np.array([True, False, True, False])
    # Ranked 2, 1, 0, 3: precision 1 at the first, 2 / 3 at the third.
    assert ranking_ap(np.array([0.2, 0.5, 0.9, 0.1]), positive) == pytest.approx(5 / 6)
    assert np.isnan(ranking_ap(np.ones(2), np.zeros(2, bool)))


def drawn(counts, generator):
    """Two classes along one of four noisy features."""
    labels = torch.arange(2).repeat_interleave(torch.tensor(counts))
    x = torch.randn(len(labels), 4, generator=generator)
    x[:, 0] += 1.5 * labels
    return x, labels


def test_a_rare_class_gets_its_names_back_and_its_ranking_stays():
    generator = torch.Generator().manual_seed(0)
    train, test = drawn([400, 20], generator), drawn([300, 300], generator)
    stats = ClassStats(["much", "rare"], [400, 20], [400, 20], 420)
    found = dict(probe(train, test, stats))
    plain, adjusted = found["plain"], found["logit adjustment"]
    assert adjusted.named_right[1] > plain.named_right[1] + 0.2
    assert found["inverse weights"].named_right[1] > plain.named_right[1] + 0.2
    # One number for all boxes of a class moves no rank of two classes.
    after = found["plain, adjusted afterwards"]
    np.testing.assert_allclose(after.ranking_ap, plain.ranking_ap, atol=1e-12)
    # Adding log(prior) in training or subtracting it afterwards: the bias takes it up.
    np.testing.assert_allclose(after.named_right, adjusted.named_right, atol=0.01)


@pytest.mark.filterwarnings("error")
def test_a_class_without_an_example_is_named_nowhere():
    generator = torch.Generator().manual_seed(0)
    train, test = drawn([400, 20], generator), drawn([30, 30], generator)
    stats = ClassStats(["much", "rare", "none"], [400, 20, 0], [400, 20, 0], 420)
    found = dict(probe(train, test, stats))
    after = found["plain, adjusted afterwards"].named_right
    np.testing.assert_allclose(
        after, found["logit adjustment"].named_right, atol=0.05, equal_nan=True
    )
    assert (after[:2] > 0.5).all()
    assert np.isnan(after[2])
    rows = probe_table(stats, found.items()).splitlines()
    assert rows[2].startswith("| plain | - | ")  # of the rare one alone


def test_features_of_a_mirrored_image_are_those_of_the_mirrored_box(tmp_path):
    toys.write_coco(tmp_path, num_images=3)
    model = toys.build_model(toys.retinanet_config())
    model.backbone.forward = lambda x: (x,)  # which has no left and right
    dataset = toys.build_dataset(toys.coco_dataset_config(tmp_path))
    boxes = [len(data["data_samples"].gt_instances) for data in dataset]
    once, labels = box_features(model, dataset)
    assert len(once) == len(labels) == sum(boxes)
    both, twice = box_features(model, dataset, flip=True)
    assert len(both) == 2 * len(once)
    at = 0
    for number in boxes:
        part, again = both[at : at + number], both[at + number : at + 2 * number]
        torch.testing.assert_close(part, again, rtol=1e-3, atol=1e-3)
        at += 2 * number
    assert sorted(twice.tolist()) == sorted(labels.tolist() * 2)


@pytest.mark.slow
def test_the_tool_prints_a_table(tmp_path):
    config = write_toy_config(tmp_path)
    text = config.read_text()
    loader = "test_dataloader = dict(train_dataloader)\n"
    config.write_text(text + loader)
    done = run_tool("probe_classifier.py", config, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("| classifier | named right: rare |") for line in lines)
    assert any(line.startswith("| logit adjustment | ") for line in lines)
    wrong = run_tool("probe_classifier.py", config, "--weight-decay", "0", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "--weight-decay must be > 0, got 0.0" in wrong.stderr
