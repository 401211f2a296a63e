"""What is frozen stays, bit for bit; what is not is trained, once anew."""

import pytest
import torch
from mmengine.hooks import Hook

from imb_det.core import FindingsError
from imb_det.decoupled import freeze_hook
from imb_det.decoupled.freeze_findings import of_ranks
from tests.test_decoupled.freezing_runs import (
    CLASSIFIER,
    HOOK,
    checkpoint,
    freezing_runner,
    model_config,
)
from tests.tiny_sets import write_voc
from tests.toy_runner import IMAGES, dataset_config

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    return dataset_config(write_voc(tmp_path_factory.mktemp("voc"), IMAGES))


class Watching(Hook):
    """Notes modes and weights in each iteration, and does something once."""

    priority = "LOW"

    def __init__(self, stop_at=None, act=lambda runner: None, act_at=None):
        self.stop_at, self.act, self.act_at = stop_at, act, act_at
        self.seen = []

    def before_train_iter(self, runner, *_, **__):
        if runner.iter == self.stop_at:
            raise KeyboardInterrupt
        if runner.iter == self.act_at:
            self.act(runner)
        model = runner.model
        self.seen.append(
            dict(
                state={k: v.clone() for k, v in model.state_dict().items()},
                training={n for n, m in model.named_modules() if m.training},
                learning={n for n, p in model.named_parameters() if p.requires_grad},
            )
        )


@pytest.fixture(scope="module")
def whole(voc, tmp_path_factory):
    """An unbroken training with a moving average: folder, runner, what was seen."""
    folder = tmp_path_factory.mktemp("whole")
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(freeze_hook, "print_log", lambda text, **_: lines.append(text))
        watching = Watching()
        runner = freezing_runner(folder, voc, dict(type="EMAHook"), watching)
        runner.train()
    return folder, runner, watching.seen, lines


def test_only_the_classifier_is_trained_in_its_stage(whole):
    _, runner, seen, lines = whole
    first, second = seen[:3], seen[3:]
    classifier = {f"{CLASSIFIER}.weight", f"{CLASSIFIER}.bias"}
    everything = {n for n, p in runner.model.named_parameters()}
    assert all(step["learning"] == everything for step in first)
    assert all(step["learning"] == classifier for step in second)
    last = runner.model.state_dict()
    for name, value in last.items():
        before = second[0]["state"][name]
        if name in classifier:
            assert not torch.equal(before, value), name
        else:
            assert torch.equal(before, value), name
        if name.endswith("running_mean"):
            assert not torch.equal(first[0]["state"][name], before), name
    assert "trains all" in lines[0]
    numbers = sum(last[name].numel() for name in classifier)
    assert f"trains {CLASSIFIER}.weight, {CLASSIFIER}.bias, {numbers:,} num" in lines[1]
    assert "in eval mode" in lines[1]
    assert "backbone, neck" in lines[1]
    assert f"started anew {CLASSIFIER}.weight" in lines[1]


def test_what_is_frozen_is_in_eval_mode_and_losses_are_not(whole):
    _, _, seen, _ = whole
    assert "backbone.bn1" in seen[2]["training"]
    at_work = {"", "bbox_head", CLASSIFIER, "bbox_head.loss_cls", "bbox_head.loss_bbox"}
    assert all(step["training"] == at_work for step in seen[3:])


def test_the_classifier_starts_as_its_head_says(whole):
    _, _, seen, _ = whole
    before, new = (seen[i]["state"][f"{CLASSIFIER}.bias"] for i in (0, 3))
    assert torch.equal(before, new)  # log(0.01 / 0.99), of the prior
    weights = [seen[i]["state"][f"{CLASSIFIER}.weight"] for i in (0, 3)]
    assert not torch.equal(*weights)
    assert weights[1].std() == pytest.approx(0.01, rel=0.2)


def test_moving_averages_have_the_same_features(whole):
    _, runner, _, _ = whole
    (average,) = [h.ema_model.module for h in runner.hooks if hasattr(h, "ema_model")]
    classifier = runner.model.bbox_head.retina_cls.weight
    assert not torch.equal(average.bbox_head.retina_cls.weight, classifier)
    own = dict(runner.model.named_parameters())
    for name, value in average.named_parameters():
        if CLASSIFIER not in name:
            assert torch.equal(value, own[name]), name


def test_all_is_free_again_after_the_training(whole):
    _, runner, _, _ = whole
    assert all(p.requires_grad for p in runner.model.parameters())


@pytest.mark.parametrize(
    "by_epoch", [True, pytest.param(False, marks=pytest.mark.weekly)]
)
def test_a_killed_training_goes_on_as_if_it_had_not_been(voc, tmp_path, by_epoch):
    """In the middle of the stage, after its begin, and right before it."""
    stages = [dict(name="features", epochs=1), dict(name="classifier", epochs=2)]
    options = dict(stages=stages, epochs=3)
    if not by_epoch:
        loop = dict(by_epoch=False, max_iters=6, val_interval=100)
        stages = [dict(name="features", iters=2), dict(name="classifier")]
        saving = dict(type="CheckpointHook", by_epoch=False, interval=1)
        options = dict(stages=stages, train_cfg=loop)
        options["default_hooks"] = dict(checkpoint=saving)
        # Random flips go on, and an iteration-based loop starts its order anew.
        options["train_dataloader"] = dict(
            batch_size=5,
            num_workers=0,
            sampler=dict(type="DefaultSampler", shuffle=False),
            dataset=dict(
                voc, pipeline=[s for s in voc["pipeline"] if "Flip" not in s["type"]]
            ),
        )
    average = dict(type="EMAHook")
    freezing_runner(tmp_path / "whole", voc, average, **options).train()
    name, ends = ("epoch", (1, 2)) if by_epoch else ("iter", (2, 4))
    last = checkpoint(tmp_path / "whole" / f"{name}_{3 if by_epoch else 6}.pth")
    assert last["imb_det"]["freeze"]["begun"] == ["features", "classifier"]
    for end in ends:
        path = str(tmp_path / "whole" / f"{name}_{end}.pth")
        again = freezing_runner(
            tmp_path / f"again{end}",
            voc,
            average,
            resume=True,
            load_from=path,
            **options,
        )
        again.train()
        found = checkpoint(
            tmp_path / f"again{end}" / f"{name}_{3 if by_epoch else 6}.pth"
        )
        assert found["imb_det"] == last["imb_det"]
        for key, value in last["state_dict"].items():
            assert torch.equal(value, found["state_dict"][key]), key


def test_a_change_of_what_is_frozen_is_an_error_with_its_name(voc, tmp_path):
    def spoil(runner):
        runner.model.backbone.bn1.running_mean.add_(1e-3)

    runner = freezing_runner(tmp_path, voc, Watching(act=spoil, act_at=4))
    with pytest.raises(RuntimeError, match=r"`backbone\.bn1\.running_mean` is frozen"):
        runner.train()


def test_a_checkpoint_that_was_changed_is_an_error(whole, voc, tmp_path):
    folder, *_ = whole
    content = checkpoint(folder / "epoch_2.pth")
    content["state_dict"]["neck.fpn_convs.0.conv.bias"] += 1
    content["message_hub"]["runtime_info"]["epoch"] = 1
    content["meta"].update(epoch=1, iter=3)
    torch.save(content, tmp_path / "changed.pth")
    runner = freezing_runner(
        tmp_path, voc, resume=True, load_from=str(tmp_path / "changed.pth")
    )
    with pytest.raises(RuntimeError, match=r"fpn_convs\.0\.conv\.bias` is frozen in"):
        runner.train()


@pytest.mark.parametrize(
    ("classifier", "match"),
    [
        (
            dict(train_only=["bbox_head.fc_cls"]),
            r"`bbox_head\.fc_cls`[\s\S]*retina_cls",
        ),
        (dict(freeze=["backbones"]), r"`backbones`[\s\S]*In the model there is"),
        (
            dict(train_only=["bbox_head"], reinit=["bbox_head.retina_cls.bias"]),
            r"no module of the model[\s\S]*`bbox_head\.retina_cls\.bias`",
        ),
        (dict(freeze=["backbone", "neck", "bbox_head"]), "a stage trains nothing"),
        (dict(freeze=["backbone"], recount_norms=2), None),
    ],
)
@pytest.mark.parametrize("counted", [True, False])
def test_what_does_not_fit_is_found_before_the_first_iteration(
    voc, tmp_path, classifier, match, counted
):
    hook = dict(HOOK, stages=dict(classifier=classifier))
    options = {}
    if match is None:  # group normalisation has no statistics
        options["model"], match = model_config("GN"), "there is no normalisation whose"
    runner = freezing_runner(tmp_path, voc, hook=hook, **options)
    if not counted:
        runner._hooks = [h for h in runner.hooks if type(h).__name__ != "ImbalanceHook"]
    with pytest.raises(FindingsError, match=match):
        runner.train()
    assert runner.iter == 0


@pytest.mark.parametrize("counted", [True, False])
def test_stages_must_be_announced(voc, tmp_path, counted):
    hook = dict(HOOK, stages=dict(later=dict(train_only=[CLASSIFIER])))
    runner = freezing_runner(tmp_path, voc, hook=hook)
    if not counted:
        runner._hooks = [h for h in runner.hooks if type(h).__name__ != "ImbalanceHook"]
    with pytest.raises(FindingsError, match="later"):
        runner.train()
    assert runner.iter == 0


def test_statistics_are_counted_again_when_the_stage_begins(voc, tmp_path):
    classifier = dict(train_only=[CLASSIFIER], recount_norms=5)
    hook = dict(HOOK, stages=dict(features=None, classifier=classifier))
    watching = Watching()
    runner = freezing_runner(tmp_path, voc, watching, hook=hook)
    runner.train()
    end, begin = (watching.seen[i]["state"] for i in (2, 3))
    name = "backbone.bn1.running_var"
    assert not torch.equal(end[name], begin[name])
    assert torch.equal(begin[name], runner.model.state_dict()[name])
    assert begin["backbone.bn1.num_batches_tracked"] == 3  # 5 images, 2 a batch
    content = checkpoint(tmp_path / "epoch_1.pth")
    again = freezing_runner(
        tmp_path / "again",
        voc,
        hook=hook,
        resume=True,
        load_from=str(tmp_path / "epoch_1.pth"),
    )
    again.train()
    for key, value in runner.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[key]), key
    assert content["imb_det"]["freeze"]["begun"] == ["features"]


class Wrapper(torch.nn.Module):
    """Says what a wrapper of ranks says."""

    find_unused_parameters = False

    def __init__(self, module):
        super().__init__()
        self.module = module


def test_ranks_that_would_wait_are_refused():
    stages = freeze_hook.FreezeHook(HOOK["stages"]).stages
    wrapper = Wrapper(torch.nn.Linear(1, 1))
    (found,) = of_ranks(stages, wrapper)
    assert "find_unused_parameters = True" in found.remedy
    wrapper.find_unused_parameters = True
    assert not list(of_ranks(stages, wrapper))
    wrapper.static_graph = True
    assert len(list(of_ranks(stages, wrapper))) == 1
