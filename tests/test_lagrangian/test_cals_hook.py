"""The hook measures on held-out images, hands over, stores, and changes no more."""

import numpy as np
import pytest
import torch

from imb_det.core import CheckContext
from imb_det.difficulty.held_out import build_held_out, run_held_out
from imb_det.lagrangian import CALSHook
from imb_det.lagrangian import cals_hook as module
from imb_det.lagrangian.margin_meter import MarginMeter, margin_losses
from imb_det.statistics import ClassStats
from tests.held_out_runs import (
    IMBALANCE,
    NUM_IMAGES,
    NUM_TRAINED,
    SEED,
    STATS,
    loader_config,
    model_config,
    standing,
    weights_of,
)
from tests.held_out_runs import make_runner as make
from tests.toys import MODELS, build_model, write_coco
from tests.two_ranks import on_two_ranks
from tests.wrapped_losses import CE

pytestmark = pytest.mark.usefixtures("one_thread")

#: Logits are small in a toy: their margin is, too.
LOSS = dict(type="imb_det.CALSLoss", loss=CE, use_sigmoid=False, margin=0.05)


def held_out(folder):
    return loader_config(folder, range(NUM_TRAINED, NUM_IMAGES), 1)


def make_runner(folder, name, epochs=2, extra=(SEED,), loss=LOSS, hook=None, **kwargs):
    own = dict(type="imb_det.CALSHook", held_out=held_out(folder), **(hook or {}))
    hooks = [IMBALANCE, own, *extra]
    kwargs.setdefault("custom_hooks", hooks)
    return make(folder, name, None, epochs, (), loss, **kwargs)


def hook_of(runner):
    return next(h for h in runner.hooks if isinstance(h, CALSHook))


@pytest.fixture
def root(tmp_path):
    write_coco(tmp_path, num_images=NUM_IMAGES)
    return tmp_path


def test_from_the_first_epoch_to_the_checkpoint(root, monkeypatch):
    told = []
    hand_over = module.CALSHook._hand_over

    def listen(hook, runner):
        hand_over(hook, runner)
        loss = runner.model.bbox_head.loss_cls
        told.append([v.value.tolist() for v in (loss.multiplier, loss.rho)])

    monkeypatch.setattr(module.CALSHook, "_hand_over", listen)
    runner = make_runner(root, "run", hook=dict(progress=0.0))
    runner.train()
    start = np.float32(1e-6)
    assert told[0] == [[start] * 4, [1.0] * 4]
    assert len(told) == 3
    multipliers = [np.array(each[0]) for each in told[1:]]
    assert all((each > start).any() for each in multipliers)
    assert len({tuple(each) for each in multipliers}) == 2
    assert max(told[-1][1]) == np.float32(1.2)  # no constraint comes down to 0
    content = torch.load(root / "run" / "epoch_2.pth", weights_only=False)["imb_det"]
    state = content["cals"]["bbox_head.loss_cls"]
    assert np.float32(state["multiplier"]).tolist() == told[2][0]
    assert state["updates"] == 2
    scalars = runner.message_hub.log_scalars
    found = scalars["train/cals_bbox_head_multiplier_max"].current()
    assert found == pytest.approx(max(told[-1][0]), rel=1e-6)
    log = next((root / "run").rglob("*.log")).read_text()
    assert "multipliers of bbox_head.loss_cls are found on 5 held-out images" in log
    assert log.count("CALSHook: multipliers of `bbox_head.loss_cls` from") == 2


def test_a_resumed_run_ends_like_an_unbroken_one(root):
    unbroken = make_runner(root, "a", epochs=2)
    wanted = weights_of(unbroken)
    make_runner(root, "b", epochs=1).train()
    resumed = make_runner(root, "b", epochs=2, resume=True)
    found = weights_of(resumed)
    assert [name for name in wanted if not torch.equal(wanted[name], found[name])] == []
    states = [hook_of(runner).multipliers for runner in (unbroken, resumed)]
    (first, second) = (each["bbox_head.loss_cls"].to_dict() for each in states)
    assert first == second


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        (
            dict(custom_hooks=[IMBALANCE]),
            RuntimeError,
            r"nothing hands `multiplier` over; add `custom_hooks = .*imb_det.CALSHook",
        ),
        (dict(loss=CE), ValueError, r"no head has a CALSLoss\s+Write `loss_cls=dict"),
        (
            dict(train_cfg=dict(type="IterBasedTrainLoop", max_iters=2)),
            ValueError,
            r"IterBasedTrainLoop counts iterations\s+Set `by_epoch=False`",
        ),
    ],
    ids=["no-hook", "no-loss", "iterations"],
)
def test_what_is_missing_is_named_before_training(
    root,
    changes,
    error,
    match,
):
    runner = make_runner(root, "run", **changes)
    with pytest.raises(error, match=match):
        runner.train()
    assert runner.iter == 0


def test_a_head_of_things_alone_is_named():
    """As in Panoptic FPN: multipliers are of all classes of the data set."""
    model = torch.nn.Module()
    model.loss_cls, model.num_classes = MODELS.build(LOSS), 2
    context = CheckContext(
        model=torch.nn.ModuleDict(dict(head=model)),
        components=[*model.modules()],
        train_loop="a loop",
        class_stats=ClassStats(("cat", "dog", "sky"), *[[2, 1, 2]] * 2, 2),
    )
    hook = CALSHook(held_out=dict(dataset=None), by_epoch=False)
    (found,) = hook.findings(context)
    assert "classifies 3 classes" in found.evidence
    assert "Mask2FormerHead" in found.remedy


def test_a_hook_without_images_says_how_to_hold_them_out():
    with pytest.raises(ValueError, match=r"CALSHook: it needs `held_out`.*indices=lis"):
        CALSHook()


def test_without_counts_the_hook_that_is_missing_is_named(root):
    own = dict(type="imb_det.CALSHook", held_out=held_out(root))
    runner = make_runner(root, "run", custom_hooks=[own])
    with pytest.raises(RuntimeError, match=r"CALSHook has no counts.*ImbalanceHook"):
        runner.train()


def test_iterations_in_place_of_epochs(root):
    hook = dict(by_epoch=False, interval=2, rho_interval=None)
    loop = dict(type="IterBasedTrainLoop", max_iters=5)
    runner = make_runner(root, "run", hook=hook, train_cfg=loop, default_hooks={})
    runner._train_dataloader["sampler"] = dict(type="InfiniteSampler")
    runner.train()
    (multipliers,) = hook_of(runner).multipliers.values()
    assert multipliers.updates == 2
    assert multipliers.rho.tolist() == [1.0] * 4


def measure(folder):
    """Means of an untrained model over five images, which ranks share."""
    torch.manual_seed(0)
    model = build_model(model_config(LOSS))
    model.bbox_head.loss_cls.set_multipliers(torch.tensor(0.5), torch.tensor(2.0))
    runner = standing(folder, model)
    meter = MarginMeter(margin_losses(model, 3), 4, (0.6, 20.0))
    found = []
    for batch_size in (2, 3):
        part = loader_config(folder, range(NUM_TRAINED, NUM_IMAGES), batch_size)
        run_held_out(runner, model, build_held_out(part, STATS, runner), meter)
        meter.collect()
        (means,) = meter.means()
        found.append(np.array(means).tolist())
    return found


def two_ranks(rank, folder):
    return measure(folder)


@pytest.mark.dist
@pytest.mark.slow
def test_two_ranks_measure_what_one_does(root):
    wanted = measure(root)
    first, second = on_two_ranks(root, two_ranks, root)
    assert first == second
    # Five images on two ranks: the sixth is no more than company. Without a graph,
    # images in other batches are rounded otherwise.
    for found in (*first, wanted[1]):
        for numbers, one in zip(found, wanted[0], strict=True):
            assert numbers == pytest.approx(one, rel=1e-4)
