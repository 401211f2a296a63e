"""Two ranks train the same classifier, or are told why they would wait."""

import pytest
import torch

from imb_det.core import FindingsError
from tests.test_decoupled.freezing_runs import CLASSIFIER, freezing_runner
from tests.tiny_sets import write_voc
from tests.toy_runner import IMAGES, dataset_config
from tests.two_ranks import on_two_ranks

pytestmark = [pytest.mark.dist, pytest.mark.slow, pytest.mark.weekly]


def two_ranks(rank, root):
    """Train in two stages; then without what ranks need for it."""
    config = dataset_config(
        dict(data_root=root, ann_file="list.txt", data_prefix=dict(sub_data_root=""))
    )

    def runner_of(name, find):
        wrapper = dict(type="MMDistributedDataParallel", device_ids=None)
        wrapper["find_unused_parameters"] = find
        cfg = dict(model_wrapper_cfg=wrapper)
        seeds = dict(seed=3, diff_rank_seed=True)  # what ranks draw differs
        options = dict(launcher="pytorch", cfg=cfg, randomness=seeds)
        return freezing_runner(f"{root}/{name}", config, **options)

    runner = runner_of("run", True)
    runner.train()
    state = {n: p.tolist() for n, p in runner.model.module.named_parameters()}
    first = torch.load(f"{root}/run/epoch_1.pth", weights_only=False)["state_dict"]
    buffers = {n: b.tolist() for n, b in runner.model.module.named_buffers()}
    state |= {n: b for n, b in buffers.items() if "backbone" in n}
    kept = [n for n in state if torch.equal(first[n], torch.tensor(state[n]))]
    runner = runner_of("waiting", False)
    with pytest.raises(FindingsError) as error:
        runner.train()
    return state, kept, str(error.value), runner.iter


def test_ranks_have_the_same_classifier_and_the_features_of_before(tmp_path):
    write_voc(tmp_path, IMAGES)
    first, second = on_two_ranks(tmp_path, two_ranks, str(tmp_path))
    assert first == second
    state, kept, error, iterations = first
    assert set(state) - set(kept) == {f"{CLASSIFIER}.weight", f"{CLASSIFIER}.bias"}
    assert "Write `find_unused_parameters = True` into the config" in error
    assert iterations == 0
