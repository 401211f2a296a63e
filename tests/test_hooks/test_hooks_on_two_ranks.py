"""Two ranks get the same counts, stages and errors."""

import os
import shutil

import pytest
import torch

from imb_det.core import FindingsError
from imb_det.statistics import ClassStats
from tests.staged_toys import (
    COUNTING,
    Recorder,
    StagedHead,
    head_of,
    hook_of,
    numbers,
)
from tests.tiny_sets import write_voc
from tests.toy_runner import IMAGES, dataset_config, make_runner
from tests.two_ranks import on_two_ranks

pytestmark = [pytest.mark.dist, pytest.mark.slow]
#: 0.3 of 4 iterations is 1.
STAGES = [dict(name="plain", share=0.3), dict(name="reweighted")]


def refuse(stats):
    raise ValueError("not on this rank")


def two_ranks(rank, root):
    """Train to the middle of a stage, then to the end; then start with faults."""
    config = dataset_config(
        dict(data_root=root, ann_file="list.txt", data_prefix=dict(sub_data_root=""))
    )
    wrapper = dict(type="MMDistributedDataParallel", device_ids=None)
    distributed = dict(launcher="pytorch", cfg=dict(model_wrapper_cfg=wrapper))

    def runner_of(name, stop_at=None, counting=COUNTING, **options):
        hooks = [counting, dict(type="Recorder", stop_at=stop_at)]
        hooks.append(dict(type="imb_det.StageHook", stages=STAGES))
        runner = make_runner(
            f"{root}/{name}", config, 2, hooks, **distributed, **options
        )
        head_of(runner).__class__ = StagedHead
        return runner

    seen = []
    for options in (dict(stop_at=3), dict(resume=True)):
        runner = runner_of("run", **options)
        try:
            runner.train()
        except KeyboardInterrupt:
            torch.distributed.barrier()
        heard = [stats.to_dict() for stats in head_of(runner).heard]
        stages = hook_of(runner, Recorder).stages, head_of(runner).heard_stages
        seen.append((heard, *stages))
    torch.distributed.barrier()
    if rank == 0:
        os.remove(f"{root}/JPEGImages/c.jpg")
        shutil.rmtree(f"{root}/run")
    torch.distributed.barrier()
    runner = runner_of("faulty", counting=dict(type="imb_det.ImbalanceHook"))
    head_of(runner).num_classes = 7
    head_of(runner).stage_names = ("later",)
    if rank == 1:
        head_of(runner).set_class_stats = refuse
    with pytest.raises(FindingsError) as error:
        runner.train()
    return seen, str(error.value), runner.iter


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two_ranks")
    write_voc(folder, IMAGES)
    first, second = on_two_ranks(folder, two_ranks, str(folder))
    assert first == second
    return folder, *first


def test_both_ranks_get_the_counts(outcome):
    _, seen, _, _ = outcome
    stats = ClassStats(("cat", "dog"), [4, 3], [5, 3], 5)
    assert [heard for heard, *_ in seen] == [[stats.to_dict()]] * 2


def test_both_ranks_are_in_the_same_stage_also_after_a_resume(outcome):
    _, [(_, broken, heard), (_, resumed, heard_later)], _, _ = outcome
    assert broken == numbers(("plain", 1), ("reweighted", 2))
    assert heard == ["plain", "reweighted"]
    assert resumed == {2: "reweighted", 3: "reweighted"}
    assert heard_later == ["reweighted"]


def test_both_ranks_stop_with_all_that_is_wrong(outcome):
    folder, _, message, iterations = outcome
    assert iterations == 0
    assert "before the first iteration: 4 errors" in message
    assert f"{folder}/JPEGImages/c.jpg: no such file" in message
    assert "has num_classes=7" in message
    assert "`bbox_head` (StagedHead): not on this rank" in message
    assert "['later'], but the training has ['plain', 'reweighted']" in message
