"""Two ranks whose data, settings, epochs or losses differ stop with one message."""

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.dist import get_rank
from mmengine.model import BaseModel
from mmengine.registry import DATA_SAMPLERS, MODELS

from imb_det.checks.rank_data import check_rank_data
from imb_det.core import FindingsError
from imb_det.registry import DATA_SAMPLERS as SAMPLERS
from imb_det.statistics.rank_agreement import compare_ranks
from tests.labelled_sets import LabelledDataset
from tests.tiny_sets import write_voc
from tests.toy_runner import IMAGES, dataset_config, loader_config, make_runner
from tests.two_ranks import on_two_ranks

pytestmark = [pytest.mark.dist, pytest.mark.slow]
SETS = [[0], [0, 1], [1], []]


@MODELS.register_module()
class SpoiledOnOneRank(BaseModel):
    """Its third loss on rank 1 is not a number, where it is told so."""

    def __init__(self, at=None):
        super().__init__(dict(type="DetDataPreprocessor"))
        self.weight = torch.nn.Parameter(torch.zeros(2))
        self.at, self.calls = at, 0

    def forward(self, inputs, data_samples=None, mode="tensor"):
        if mode != "loss":
            return data_samples
        self.calls += 1
        bad = get_rank() == 1 and self.calls == self.at
        return dict(loss_a=(self.weight**2).sum() + (float("nan") if bad else 1.0))


@DATA_SAMPLERS.register_module()
class ShortOnOneRank(DefaultSampler):
    """Says nothing about ending early on rank 1."""

    def __iter__(self):
        indices = list(super().__iter__())
        return iter(indices[:1] if self.rank == 1 else indices)


class Unreadable(LabelledDataset):
    def get_data_info(self, index):
        raise OSError("the disk is gone")


class Arrays(LabelledDataset):
    def get_data_info(self, index):
        info = super().get_data_info(index)
        boxes = [dict(i, bbox=np.array([i["bbox"]])) for i in info["instances"]]
        return dict(info, instances=boxes)


def message(act):
    """What a call is refused with, if it is."""
    try:
        act()
    except FindingsError as error:
        return str(error)
    return ""


def data_of(rank):
    """Data sets of a rank, by what is wrong with them."""
    sets = lambda *which: LabelledDataset([SETS[i] for i in which], 2)  # noqa: E731
    other_classes = sets(0, 1, 2, 3)
    if rank == 1:
        other_classes._metainfo = dict(classes=("b", "a"))
    cases = dict(
        same=[sets(0, 1, 2, 3)] * 2,
        labels=[sets(0, 1, 2, 3), sets(0, 1, 1, 3)],
        length=[sets(0, 1, 2, 3), sets(0, 1)],
        classes=[sets(0, 1, 2, 3), other_classes],
        arrays=[Arrays(SETS, 2), Arrays([*SETS[:3], [0]], 2)],
        unreadable=[sets(0, 1, 2, 3), Unreadable(SETS, 2)],
    )
    return {name: pair[rank] for name, pair in cases.items()}


def differing(rank, root):
    """Go through everything that may differ; the ranks stay together all the time."""
    seen = {}
    for name, dataset in data_of(rank).items():
        seen[name] = [str(found) for found in compare_ranks("here", dataset)]
    whole = data_of(rank)["same"]
    seen["settings"] = [str(f) for f in compare_ranks("here", whole, dict(seed=rank))]
    for key, arguments in dict(
        threshold=dict(repeat_thr=0.5 + rank / 10), seed=dict(seed=3 + rank)
    ).items():
        config = dict(type="imb_det.RepeatFactorSampler", dataset=whole, **arguments)
        seen[key] = message(lambda config=config: SAMPLERS.build(config))
    wrapper = dict(type="MMDistributedDataParallel", device_ids=None)

    def runner_of(name, folder=root, files="list.txt", sampler=None, at=None, **extra):
        dataset = dataset_config(
            dict(data_root=folder, ann_file=files, data_prefix=dict(sub_data_root=""))
        )
        loader = loader_config(dataset, True, **extra) | dict(batch_size=1)
        loader["sampler"] = sampler or dict(type="DefaultSampler")
        return make_runner(
            f"{root}/{name}",
            dataset,
            hooks=[dict(type="imb_det.ImbalanceHook")],
            model=dict(type="SpoiledOnOneRank", at=at),
            train_dataloader=loader,
            launcher="pytorch",
            cfg=dict(model_wrapper_cfg=wrapper),
            val_dataloader=None,
            val_cfg=None,
            val_evaluator=None,
            test_dataloader=None,
            test_cfg=None,
            test_evaluator=None,
        )

    files = ["list.txt", "back.txt"][rank]
    for name, options in dict(
        folder=dict(folder=[root, f"{root}/copy"][rank]),
        order=dict(files=files),
        batches=dict(sampler=dict(type="DefaultSampler", round_up=False)),
        early=dict(sampler=dict(type="ShortOnOneRank")),
        loss=dict(at=3),
    ).items():
        runner = runner_of(name, **options)
        seen[name] = message(runner.train), runner.iter
    # Trainings that are sound, whose ranks come to their ends together.
    seen["stopped"], seen["by iteration"] = sound_trainings(rank, root, wrapper)
    loader = runner.train_dataloader
    seen["equal loaders"] = check_rank_data(dict(train=loader, val=loader))
    return seen


def sound_trainings(rank, root, wrapper):
    """Iterations of a training that is stopped early, and of one by iterations."""
    files = dict(ann_file="list.txt", data_prefix=dict(sub_data_root=""))
    dataset = dataset_config(dict(data_root=root, **files))
    stop = dict(
        type="EarlyStoppingHook", monitor="toy/images", rule="greater", patience=1
    )
    by_iter = dict(type="IterBasedTrainLoop", max_iters=7, val_interval=2)
    for name, hooks, train_cfg in (
        ("stopped", [stop], dict(by_epoch=True, max_epochs=9)),
        ("by iteration", [], by_iter),
    ):
        runner = make_runner(
            f"{root}/{name}",
            dataset,
            hooks=[dict(type="imb_det.ImbalanceHook"), *hooks],
            model=dict(type="SpoiledOnOneRank"),
            train_cfg=train_cfg,
            train_dataloader=loader_config(dataset, True) | dict(batch_size=1),
            launcher="pytorch",
            cfg=dict(model_wrapper_cfg=wrapper),
        )
        yield message(runner.train), runner.iter


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("differing")
    write_voc(folder, IMAGES)
    write_voc(folder / "copy", IMAGES)
    names = (folder / "list.txt").read_text().split()
    (folder / "back.txt").write_text("\n".join(names[::-1]) + "\n")
    first, second = on_two_ranks(folder, differing, str(folder))
    assert first == second
    return first


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("labels", "image 2 is '2.jpg' (id 2, labels [1]) on rank 0, '2.jpg' (id 2, "),
        ("length", "the number of images is 4 on rank 0, 2 on rank 1"),
        ("classes", "the list of classes is "),
        ("arrays", "image 3 is '3.jpg' (id 3, labels []) on rank 0, '3.jpg' (id 3, "),
        ("unreadable", "the data set is missing on rank 0, not to be read (OSError: "),
        ("settings", "here: seed is 0 on rank 0, 1 on rank 1"),
    ],
)
def test_what_differs_is_named_on_both_ranks(seen, case, told):
    (text,) = seen[case]
    assert text.startswith("error ranks_differ: ranks have different data or settings")
    assert told in text


def test_equal_ranks_have_nothing_to_say(seen):
    assert seen["same"] == seen["equal loaders"] == []
    # Machines may keep the same files in different folders.
    assert seen["folder"] == ("", 3)


def test_sound_trainings_come_to_their_end(seen):
    assert seen["stopped"] == ("", 6)  # two epochs of three batches
    assert seen["by iteration"] == ("", 7)


def test_samplers_compare_without_the_hook(seen):
    assert (
        "`rule` is RepeatRule(owner='RepeatFactorSampler', repeat_thr=0.5,"
        in (seen["threshold"])
    )
    assert "RepeatFactorSampler: seed is 3 on rank 0, 4 on rank 1" in seen["seed"]


@pytest.mark.parametrize(
    ("case", "iterations", "told"),
    [
        ("order", 0, "image 0 is 'a.jpg' (id 'a', labels [0]) on rank 0, 'e.jpg' (id"),
        ("batches", 0, "the number of batches is 3 on rank 0, 2 on rank 1"),
        ("early", 1, "rank 1: 1 batches, and rank 0 has more"),
        ("loss", 2, "epoch 1, iteration 3, rank 1: loss_a nan; learning rate 0.01"),
    ],
)
def test_trainings_stop_on_both_ranks(seen, case, iterations, told):
    text, done = seen[case]
    assert told in text
    assert done == iterations
