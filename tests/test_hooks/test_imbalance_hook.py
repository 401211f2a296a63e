"""The hook checks, counts, hands over, stores, and stops every rank alike."""

import functools
import json
import random
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import CachedMosaic
from mmdet.models import (
    DETRHead,
    HeuristicFusionHead,
    PanopticFPNHead,
)
from mmdet.registry import MODELS
from mmengine.hooks import Hook
from mmengine.model import BaseModule
from mmengine.registry import HOOKS
from torch import nn

from imb_det.checks import check_annotation_files, check_boxes, check_num_classes
from imb_det.core import CheckContext, FindingsError, raise_findings
from imb_det.hooks import EpochSeedHook, ImbalanceHook, epoch_seed_hook, imbalance_hook
from imb_det.losses import flushing
from imb_det.registry import DATASETS
from imb_det.runner_parts import modules_of, transforms_of
from imb_det.statistics import ClassStats, GroupLimits
from imb_det.statistics.description import describe
from tests import toys
from tests.tiny_sets import write_coco, write_voc
from tests.toy_runner import (
    BOTH_HOOKS,
    CAT,
    IMAGES,
    LISTENING,
    METAINFO,
    Listener,
    dataset_config,
    make_runner,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@HOOKS.register_module()
class AtStart(Hook):
    """Remembers what a loss with a gradient density knows at the first iteration."""

    def before_train_epoch(self, runner):
        if not hasattr(self, "density"):
            found = runner.model.bbox_head.loss_cls.density
            numbers = found.acc_sum if found.per_call else found.stats.mean
            self.density = float(numbers.sum())


def refuse_boxes(dataset, check=check_boxes):
    raise_findings(check(CheckContext(datasets=dict(train=dataset))))


def refuse_heads(model, dataset):
    raise_findings(check_num_classes(CheckContext(model, dict(train=dataset))))


STATS = ClassStats(("cat", "dog"), [4, 3], [5, 3], 5)


def standing(dataset, model=None, val_dataset=None, **loader):
    """Imitate a runner in front of its first iteration."""
    train = SimpleNamespace(dataset=dataset, sampler=None, batch_sampler=None)
    vars(train).update(loader)
    val = SimpleNamespace(dataset=val_dataset)
    return SimpleNamespace(
        model=model or nn.Identity(),
        iter=0,
        param_schedulers=None,
        train_dataloader=train,
        val_dataloader=val,
        val_loop=None if val_dataset is None else SimpleNamespace(evaluator=None),
    )


@pytest.fixture
def voc(tmp_path):
    return dataset_config(write_voc(tmp_path / "voc", IMAGES))


@pytest.fixture
def logged(monkeypatch):
    lines = []
    for module in (imbalance_hook, epoch_seed_hook):
        monkeypatch.setattr(module, "print_log", lambda line, **_: lines.append(line))
    return lines


@pytest.fixture
def logged_findings(monkeypatch):
    lines = []
    monkeypatch.setattr(
        "imb_det.core.finding.print_log", lambda text, **_: lines.append(text)
    )
    return lines


def test_counts_go_everywhere_once_into_the_checkpoint_and_out_again(tmp_path, voc):
    runner = make_runner(tmp_path / "run", voc, max_epochs=2)
    runner.train()
    assert runner.model.bbox_head.heard == [STATS]
    assert runner.val_loop.evaluator.metrics[0].heard == [STATS]
    runner.test()
    assert runner.test_loop.evaluator.metrics[0].heard == [STATS]
    assert runner.model.bbox_head.heard == [STATS]

    path = tmp_path / "run" / "epoch_2.pth"
    content = torch.load(path, weights_only=False)["imb_det"]
    assert content == {"class_stats": STATS.to_dict()}

    tester = make_runner(tmp_path / "test", voc, load_from=str(path))
    tester.test()
    assert tester.model.bbox_head.heard == [STATS]
    assert tester.test_loop.evaluator.metrics[0].heard == [STATS]
    assert isinstance(tester._train_loop, dict)  # no training set was read


def test_ranks_with_other_statistics_are_refused_before_training(
    tmp_path, voc, monkeypatch
):
    monkeypatch.setattr(flushing, "all_gather_object", lambda mine: [mine, [99]])
    runner = make_runner(tmp_path, voc, max_epochs=1)
    with pytest.raises(RuntimeError, match="other lengths on other ranks"):
        runner.train()
    assert runner.iter == 0


def test_a_test_without_counts_says_so(tmp_path, voc, logged):
    hooks = [dict(type="imb_det.ImbalanceHook")]
    runner = make_runner(tmp_path / "run", voc, hooks=hooks)
    runner.test()
    assert runner.model.bbox_head.heard == []
    assert [line.split(",")[0] for line in logged] == [
        "ImbalanceHook: ListeningHead asks for class statistics",
        "ImbalanceHook: ListeningMetric asks for class statistics",
    ]
    runner.train()
    assert runner.model.bbox_head.heard == [STATS]


def test_samplers_inside_a_batch_sampler_get_the_counts(voc, logged):
    first, second = Listener(), Listener()
    batches = SimpleNamespace(sampler=second)
    hook = ImbalanceHook()
    runner = standing(DATASETS.build(voc), sampler=first, batch_sampler=batches)
    hook.before_train(runner)
    hook.before_train(runner)
    assert first.heard == second.heard == [STATS]
    assert logged[0] == f"ImbalanceHook: training set of {describe(STATS)}"


def test_a_resume_on_other_data_is_noticed(voc, logged):
    hook = ImbalanceHook()
    other = ClassStats(("cat", "dog"), [1, 1], [1, 1], 1)
    hook.after_load_checkpoint(None, dict(imb_det=dict(class_stats=other.to_dict())))
    runner = standing(DATASETS.build(voc))
    runner.iter = 7
    hook.before_train(runner)
    assert "not the one of the checkpoint, which had 2 classes, 1 images" in logged[0]
    assert hook.class_stats == STATS
    hook.after_load_checkpoint(None, dict(state_dict={}))
    hook.before_train(runner)
    assert len(logged) == 3  # the same data: no second warning


def test_other_counts_are_handed_over_again(voc):
    listener, hook = Listener(), ImbalanceHook(check_images=False)
    other = ClassStats(("cat", "dog"), [1, 1], [1, 1], 1)
    hook.after_load_checkpoint(None, dict(imb_det=dict(class_stats=other.to_dict())))
    hook._inform([listener, None, listener])
    hook.before_train(standing(DATASETS.build(voc), sampler=listener))
    assert listener.heard == [other, STATS]


def test_missing_images_of_training_and_validation_stop_before_training(tmp_path, voc):
    val = DATASETS.build(dataset_config(write_voc(tmp_path / "val", IMAGES)))
    runner = standing(DATASETS.build(voc), val_dataset=val)
    ImbalanceHook().before_train(runner)
    missing = tmp_path / "val" / "JPEGImages" / "b.jpg"
    missing.unlink()
    with pytest.raises(
        FindingsError, match=rf"error image_missing: .*missing: 1\s*{missing}: no such"
    ):
        ImbalanceHook().before_train(runner)
    ImbalanceHook(check_images=False).before_train(runner)
    with pytest.raises(TypeError, match="check_images"):
        ImbalanceHook(check_images="no")


def test_plain_voc_boxes_without_area_are_refused_with_the_remedy(tmp_path):
    images = [
        [CAT, ("dog", (7, 7, 7, 20)), ("dog", (5, 5, 5, 5), "<difficult>1</difficult>")]
    ]
    arguments = write_voc(tmp_path, images)
    plain = DATASETS.build(dataset_config(arguments, type="mmdet.VOCDataset"))
    with pytest.raises(ValueError, match=r"imb_det\.VOCDataset") as error:
        ImbalanceHook().before_train(standing(plain))
    message = str(error.value)
    assert "error unusable_box: training boxes have no area" in message
    entry = f"{tmp_path}/Annotations/a.xml object[1]: dog (6, 6, 6, 19), read by "
    assert f"{entry}VOCDataset from {tmp_path}/list.txt" in message
    refuse_boxes(DATASETS.build(dataset_config(arguments)))


def test_plain_voc_boxes_outside_their_image_are_refused(tmp_path):
    arguments = write_voc(tmp_path, [[CAT], [CAT, ("dog", (101, 101, 121, 121))]])
    plain = DATASETS.build(dataset_config(arguments, type="mmdet.VOCDataset"))
    with pytest.raises(ValueError, match="lie outside their image") as error:
        refuse_boxes(plain)
    assert len(error.value.findings) == 1
    assert "b.xml object[1]: dog (100, 100, 120, 120)" in str(error.value)
    for info in plain.data_list:
        info["height"] = info.pop("width") and None
    refuse_boxes(plain)  # nobody knows the size
    plain.data_list[0]["instances"][0]["bbox"] = [-9, 0, 0, 5]
    with pytest.raises(ValueError, match=r"a\.xml object\[0\]: cat \(-9, 0, 0, 5\)"):
        refuse_boxes(plain)


def test_plain_coco_boxes_without_end_are_refused(tmp_path):
    boxes = [(1, 1, [1, 1, 9, 9])] + [(1, 2, [1, 1, float("inf"), 9], dict(area=4))] * 7
    config = dataset_config(write_coco(tmp_path, 1, boxes), type="mmdet.CocoDataset")
    with pytest.raises(
        ValueError, match=r"^7 errors[\s\S]*imb_det\.CocoDataset"
    ) as error:
        refuse_boxes(DATASETS.build(config), check_annotation_files)
    where = "ann.json: annotations[1] (id 2, image 1): dog bbox [1, 1, inf, 9]"
    assert where in str(error.value)
    assert str(error.value).splitlines()[-2] == "    ... and 2 more"


def test_heads_for_another_number_of_classes_are_refused(voc):
    box_head = MODELS.build(
        dict(
            type="Shared2FCBBoxHead",
            num_classes=3,
            in_channels=4,
            fc_out_channels=4,
            roi_feat_size=1,
        )
    )
    rpn_head = MODELS.build(dict(type="RPNHead", in_channels=4, feat_channels=4))
    mask_head = MODELS.build(
        dict(
            type="FCNMaskHead",
            num_classes=80,
            num_convs=1,
            in_channels=4,
            conv_out_channels=4,
            class_agnostic=True,
        )
    )
    roi_head = nn.ModuleDict(dict(bbox_head=box_head, mask_head=mask_head))
    model = nn.ModuleDict(dict(rpn_head=rpn_head, roi_head=roi_head))
    dataset = DATASETS.build(voc)
    with pytest.raises(
        ValueError, match=r"`roi_head\.bbox_head`.*=3.*2 classes"
    ) as error:
        refuse_heads(model, dataset)
    assert "['cat', 'dog']" in str(error.value)
    with pytest.raises(ValueError, match="num_classes=3"):
        ImbalanceHook().before_train(standing(dataset, model))
    box_head.num_classes = 2
    refuse_heads(model, dataset)
    mask_head.class_agnostic = False
    with pytest.raises(ValueError, match=r"roi_head\.mask_head.*num_classes=80"):
        refuse_heads(model, dataset)
    dataset.return_classes = True  # class names go to the model as text
    refuse_heads(model, dataset)


@pytest.mark.parametrize("by", ["save_best", "monitor"])
def test_a_figure_that_will_not_come_is_refused_before_training(tmp_path, voc, by):
    def runner(name, thresholds):
        rule = dict(rule="greater")
        watching = (
            dict(type="CheckpointHook", save_best="pascal_voc/APf", **rule)
            if by == "save_best"
            else dict(type="EarlyStoppingHook", monitor="pascal_voc/APf_50", **rule)
        )
        return make_runner(
            tmp_path / name,
            voc,
            hooks=[dict(type="imb_det.ImbalanceHook"), watching],
            val_evaluator=dict(type="imb_det.VOCMetric", group_thresholds=thresholds),
        )

    runner("more than two images", (1, 2)).train()
    refused = runner("more than a hundred", (10, 100))
    with pytest.raises(ValueError, match=r"APf.*VOCMetric.*2 rare"):
        refused.train()
    assert refused.iter == 0


def test_everything_that_is_wrong_is_in_one_error(tmp_path, voc, logged_findings):
    """Before the first iteration, also what only validation would meet."""
    images = [*IMAGES, [CAT, ("dog", (7, 7, 7, 20))]]
    train = dataset_config(
        write_voc(tmp_path / "train", images), type="mmdet.VOCDataset"
    )
    watching = dict(type="CheckpointHook", save_best="pascal_voc/APf", rule="greater")
    (tmp_path / "file").touch()
    metric = dict(type="imb_det.VOCMetric", table_dir=str(tmp_path / "file" / "tables"))
    runner = make_runner(
        tmp_path / "run",
        train,
        hooks=[dict(type="imb_det.ImbalanceHook"), watching],
        val_evaluator=metric,
    )
    for name, loader in (("val", "_val_dataloader"), ("test", "_test_dataloader")):
        config = dataset_config(write_voc(tmp_path / name, IMAGES), test_mode=True)
        setattr(runner, loader, {**getattr(runner, loader), "dataset": config})
        (tmp_path / name / "JPEGImages" / "b.jpg").unlink()
    (tmp_path / "train" / "JPEGImages" / "a.jpg").unlink()
    runner.model.bbox_head.num_classes = 3
    with pytest.raises(FindingsError) as error:
        runner.train()
    assert runner.iter == 0
    assert sorted(f.code for f in error.value.findings) == [
        *("image_missing", "image_missing", "num_classes", "unusable_box"),
        *("unwritable", "watched_figure"),
    ]
    lines = str(error.value).splitlines()
    assert lines[0] == "ImbalanceHook, before the first iteration: 6 errors"
    text = str(error.value)
    for what in (
        f"{tmp_path}/train/JPEGImages/a.jpg: no such file",
        f"{tmp_path}/val/JPEGImages/b.jpg: no such file",
        "`bbox_head` (ListeningHead): has num_classes=3, but the data set (train and",
        "f.xml object[1]: dog (6, 6, 6, 19)",
        f"VOCMetric of val, `table_dir`: {tmp_path}/file/tables: {tmp_path}/file is no",
        "`pascal_voc/APf`, VOCMetric: ",
    ):
        assert what in text
    # The training would do without its test set.
    (warnings,) = logged_findings
    assert "2 warnings" in warnings
    assert f"{tmp_path}/test/JPEGImages/b.jpg" in warnings
    assert "the data set (test) has 2 classes" in warnings


def test_hooks_tell_what_they_lack_in_the_same_error(tmp_path, voc):
    hooks = [
        dict(type="imb_det.ImbalanceHook"),
        dict(type="imb_det.PriorInitHook", head="other_head"),
        dict(type="imb_det.GradientHook"),
        dict(type="imb_det.ClassDifficultyHook", source="ap"),
        dict(type="imb_det.StageHook", stages=[dict(name="a", epochs=2)]),
    ]
    runner = make_runner(tmp_path / "run", voc, hooks=hooks)
    runner.model.bbox_head.loss_cls = None
    with pytest.raises(FindingsError) as error:
        runner.train()
    assert sorted({f.code for f in error.value.findings}) == [
        *("class_difficulty", "no_classifier", "prior_init", "stage_length")
    ]
    assert "PriorInitHook (head='other_head'): " in str(error.value)
    assert runner.iter == 0


def test_what_components_refuse_is_in_the_same_error(tmp_path, voc):
    loss = dict(use_sigmoid=True, class_weight=dict(bird=2.0))
    model = toys.retinanet_config(3)
    model.bbox_head.loss_cls = dict(type="imb_det.CrossEntropyLoss", **loss)
    hooks = [dict(type="imb_det.ImbalanceHook")]
    runner = make_runner(tmp_path / "run", voc, hooks=hooks, model=model)

    def crash(stats):
        raise KeyError("frequency")

    runner.val_loop.evaluator.metrics[0].set_class_stats = crash
    with pytest.raises(FindingsError) as error:
        runner.train()
    assert sorted(f.code for f in error.value.findings) == [
        *("num_classes", "set_class_stats_refused", "set_class_stats_refused")
    ]
    place = "`bbox_head.loss_cls.class_weight` (ClassVector): CrossEntropyLoss: "
    assert f"{place}`class_weight` names ['bird']" in str(error.value)
    assert "ListeningMetric: KeyError: 'frequency'" in str(error.value)
    assert str(error.value).startswith("ImbalanceHook, before the first iteration: 3")


def test_classes_in_another_order_are_refused(tmp_path, voc, logged_findings):
    """Every detection would be judged as one of another class."""
    swapped = dict(voc, metainfo=dict(classes=("dog", "cat")), test_mode=True)
    runner = make_runner(tmp_path / "run", voc)
    runner._test_dataloader = {**runner._test_dataloader, "dataset": swapped}
    runner.train()
    (warning,) = logged_findings
    assert "warning class_order: " in warning
    assert "`test_dataloader`: label 0 is 'cat' in the training, but 'dog'" in warning
    faulty = make_runner(tmp_path / "faulty", voc)
    faulty._val_dataloader = {**faulty._val_dataloader, "dataset": swapped}
    with pytest.raises(FindingsError, match=r"classes=\['cat', 'dog'\]") as error:
        faulty.train()
    assert [f.code for f in error.value.findings] == ["class_order"]
    path = str(tmp_path / "run" / "epoch_1.pth")
    tester = make_runner(tmp_path / "test", voc, load_from=path)
    tester._test_dataloader = {**tester._test_dataloader, "dataset": swapped}
    with pytest.raises(FindingsError, match="before the first image: 1 error"):
        tester.test()


def test_limits_come_from_one_hook(tmp_path, voc):
    other = dict(type="imb_det.ImbalanceHook", group_thresholds=(1, 2))
    runner = make_runner(tmp_path / "run", voc, hooks=[*BOTH_HOOKS, other])
    with pytest.raises(FindingsError, match="Keep one `ImbalanceHook`") as error:
        runner.train()
    assert [f.code for f in error.value.findings] == ["imbalance_hooks"]


def test_what_metrics_of_a_later_test_lack_is_a_warning(tmp_path, voc, logged_findings):
    (tmp_path / "file").touch()
    metrics = [
        dict(type="imb_det.VOCMetric", table_dir=str(tmp_path / "file" / "tables")),
        LISTENING,
    ]
    runner = make_runner(tmp_path / "run", voc, test_evaluator=metrics)
    runner.train()
    (warning,) = logged_findings
    assert "1 warning" in warning
    assert "VOCMetric of test, `table_dir`: " in warning
    # Neither built for good nor told of counts.
    assert runner._test_evaluator == metrics
    assert isinstance(runner._test_loop, dict)
    missing = dict(type="imb_det.CocoMetric", ann_file=str(tmp_path / "later.json"))
    make_runner(tmp_path / "run", voc, test_evaluator=missing).train()
    assert "warning test_metrics: `test_evaluator` cannot" in logged_findings[1]
    assert "later.json" in logged_findings[1]


@pytest.mark.parametrize("statistics", ["step", "call"])
def test_a_new_training_forgets_what_losses_have_counted(tmp_path, voc, statistics):
    def density(name, **kwargs):
        model = toys.retinanet_config(2)
        loss = dict(type="imb_det.GHMCLoss", use_sigmoid=True, statistics=statistics)
        model.bbox_head.loss_cls = loss
        hooks = [dict(type="imb_det.ImbalanceHook"), dict(type="AtStart")]
        runner = make_runner(tmp_path / name, voc, 2, hooks, model=model, **kwargs)
        runner.train()
        (start,) = (hook.density for hook in runner.hooks if hasattr(hook, "density"))
        return start

    assert density("first") == 0
    path = str(tmp_path / "first" / "epoch_1.pth")
    assert density("second", load_from=path) == 0
    assert density("third", load_from=path, resume=True) > 0


def test_a_test_set_that_is_not_there_yet_is_a_warning(tmp_path, voc, logged_findings):
    runner = make_runner(tmp_path / "run", voc)
    missing = dict(voc, ann_file="later.txt", test_mode=True)
    runner._test_dataloader = {**runner._test_dataloader, "dataset": missing}
    runner.train()
    (warning,) = logged_findings
    assert "warning test_data" in warning
    assert "later.txt" in warning
    assert runner.iter == 3
    runner = make_runner(tmp_path / "run", voc)
    runner._test_loop = None  # no test: nobody looks
    runner._test_dataloader = {**runner._test_dataloader, "dataset": missing}
    runner.train()
    assert len(logged_findings) == 1


def test_classes_that_cannot_be_counted_are_one_fault_among_others(voc):
    class Nameless(type(DATASETS.build(voc))):
        metainfo = MappingProxyType({})

    broken = DATASETS.build(dict(voc, type=Nameless))
    loss = MODELS.build(dict(type="imb_det.FocalLoss", use_sigmoid=True))
    head = nn.ModuleDict(dict(loss_cls=loss))
    head.use_sigmoid_cls = False
    hook = ImbalanceHook(check_images=False)
    with pytest.raises(FindingsError) as error:
        hook.before_train(standing(broken, nn.ModuleDict(dict(bbox_head=head))))
    codes = [finding.code for finding in error.value.findings]
    assert codes == ["class_counts", "activation"]


def test_limits_of_groups_are_given_once(tmp_path, voc, logged):
    """They go with the counts, into the checkpoint too."""
    limits = GroupLimits((2, 3))
    hook = dict(type="imb_det.ImbalanceHook", group_thresholds=(2, 3))
    runner = make_runner(tmp_path / "run", voc, hooks=[hook])
    runner.train()
    (heard,) = runner.model.bbox_head.heard
    assert heard == STATS.with_limits(limits) != STATS
    assert heard.same_counts(STATS)
    assert "rare (<= 2 images) 0, common (3 to 3) 1, frequent (> 3) 1" in logged[0]
    for options, expected in (
        ({}, limits),  # the checkpoint's
        (dict(group_thresholds=[1, 9]), GroupLimits((1, 9))),
        (dict(group_quantiles=[0.2, 0.5]), GroupLimits(quantiles=(0.2, 0.5))),
    ):
        tester = make_runner(
            tmp_path / "test",
            voc,
            hooks=[dict(type="imb_det.ImbalanceHook", **options)],
            load_from=str(tmp_path / "run" / "epoch_1.pth"),
        )
        tester.test()
        assert tester.model.bbox_head.heard == [STATS.with_limits(expected)]
    with pytest.raises(ValueError, match="`thresholds` must be two numbers"):
        ImbalanceHook(group_thresholds=(9, 3))
    # Other limits alone are not other data.
    plain = make_runner(
        tmp_path / "run",
        voc,
        2,
        hooks=[dict(type="imb_det.ImbalanceHook")],
        resume=True,
    )
    plain.train()
    assert plain.model.bbox_head.heard == [STATS]
    assert not any("not the one of the checkpoint" in line for line in logged)


def test_the_sampler_goes_by_the_limits_of_the_hook(tmp_path, voc, monkeypatch):
    lines = []
    monkeypatch.setattr(
        "imb_det.samplers.repeat_factor_sampler.print_log",
        lambda line, **_: lines.append(line),
    )
    written = []
    monkeypatch.setattr(
        "imb_det.samplers.receipt_files.print_log",
        lambda line, *_, **__: written.append(line),
    )
    hook = dict(type="imb_det.ImbalanceHook", group_thresholds=(1, 3))
    runner = make_runner(tmp_path / "run", voc, hooks=[hook])
    rule = dict(type="imb_det.RepeatFactorSampler", repeat_thr="auto", power=1)
    runner._train_dataloader["sampler"] = rule
    sampler = runner.train_dataloader.sampler
    # Without limits no class is frequent, and the highest frequency is that of cats.
    assert sampler.class_repeats.threshold == pytest.approx(4 / 5)
    length = len(sampler)
    runner.train()
    assert sampler.class_stats == STATS.with_limits(GroupLimits((1, 3)))
    assert sampler.class_repeats.threshold == pytest.approx(4 / 5)
    hook = ImbalanceHook(check_images=False, group_thresholds=(1, 2))
    hook.before_train(runner)
    # Dogs are frequent too now, and nothing is rarer than they are.
    assert sampler.class_repeats.threshold == pytest.approx(3 / 5)
    assert sampler.receipt().groups["frequent"].tolist() == [0, 1]
    assert len(sampler) == length
    assert "an epoch keeps its" in lines[-1]
    assert "`num_samples=5`" in lines[-1]
    receipt = json.loads((tmp_path / "run" / "sampling.json").read_text())
    assert receipt["groups"] == {"frequent": ["cat", "dog"]}
    # Once a start, though the batch sampler has it too.
    assert sum("receipt in" in line for line in written) == 2


def test_parts_that_differ_in_their_colours_alone(tmp_path):
    """Their concatenation has a list in place of one `metainfo`."""
    configs = [
        dataset_config(
            write_voc(tmp_path / name, IMAGES), metainfo=dict(METAINFO, palette=palette)
        )
        for name, palette in (("a", [(1, 2, 3)] * 2), ("b", [(4, 5, 6)] * 2))
    ]
    both = DATASETS.build(dict(type="mmdet.ConcatDataset", datasets=configs))
    assert isinstance(both.metainfo, list)
    head = QueryHead()
    model = nn.ModuleDict(dict(bbox_head=head))
    with pytest.raises(ValueError, match="num_classes=80"):
        refuse_heads(model, both)
    head.num_classes = 2
    refuse_heads(model, both)
    hook = ImbalanceHook()
    hook.before_train(standing(both))
    assert hook.class_stats.image_count.tolist() == [8, 6]


def test_transforms_of_the_training_get_the_counts(voc):
    inner, outer = Listener(), Listener()
    nested = SimpleNamespace(transforms=[SimpleNamespace(transforms=[inner]), None])
    dataset = DATASETS.build(voc)
    dataset.pipeline.transforms.append(nested)
    wrapped = SimpleNamespace(dataset=dataset, pipeline=[outer])
    hook = ImbalanceHook(check_images=False)
    hook._take(STATS)
    hook._inform(transforms_of(wrapped))
    hook._inform(transforms_of(wrapped))
    assert inner.heard == outer.heard == [STATS]


class Remembering(nn.Module):
    def __init__(self):
        super().__init__()
        self.memory = 7

    def forget_training(self):
        self.memory = 0


@pytest.mark.parametrize(("iteration", "memory"), [(0, 0), (5, 7)])
def test_only_a_new_training_forgets_the_one_before(voc, iteration, memory):
    runner = standing(DATASETS.build(voc), nn.ModuleDict(dict(rpn_head=Remembering())))
    runner.iter = iteration
    average = nn.ModuleList([Remembering()])
    runner.hooks = [SimpleNamespace(ema_model=average)]
    ImbalanceHook().before_train(runner)
    assert runner.model["rpn_head"].memory == average[0].memory == memory


class QueryHead(BaseModule):
    """Like DETRHead: a head that derives from no dense head."""

    num_classes = 80


@pytest.mark.parametrize("path", ["bbox_head", "roi_head.bbox_head.0", "query_head"])
def test_query_heads_are_checked(voc, path):
    dataset = DATASETS.build(voc)
    model = head = QueryHead()
    for name in reversed(path.split(".")):
        model = nn.ModuleDict({name: model})
    with pytest.raises(ValueError, match=rf"`{path}` \(QueryHead\): has num_cl.*=80"):
        refuse_heads(model, dataset)
    head.num_classes = 2
    refuse_heads(model, dataset)


def test_detr_and_its_relatives_are_checked(voc):
    head = DETRHead(num_classes=3, embed_dims=8)
    with pytest.raises(ValueError, match=r"`bbox_head` \(DETRHead\): has num_cl.*=3"):
        refuse_heads(nn.ModuleDict(dict(bbox_head=head)), DATASETS.build(voc))


@pytest.mark.parametrize(
    "path", ["rpn_head.stages.0", "backbone.head", "loss_cls", "bbox_head.loss_cls"]
)
def test_parts_that_are_no_detection_head_are_passed_over(voc, path):
    model = QueryHead()
    for name in reversed(path.split(".")):
        model = nn.ModuleDict({name: model})
    refuse_heads(model, DATASETS.build(voc))


def test_heads_of_panoptic_sets():
    things, stuff = ("cat", "dog"), ("sky",)
    classes = dict(classes=things + stuff)
    panoptic = dict(**classes, thing_classes=things, stuff_classes=stuff)
    box_head = QueryHead()
    fusion = HeuristicFusionHead(num_things_classes=2, num_stuff_classes=1)
    semantic = PanopticFPNHead(num_things_classes=2, num_stuff_classes=1)
    model = nn.ModuleDict(
        dict(bbox_head=box_head, panoptic_fusion_head=fusion, semantic_head=semantic)
    )

    def check(metainfo, num_classes):
        box_head.num_classes = num_classes
        leaf = SimpleNamespace(metainfo=metainfo, get_data_info=None)
        refuse_heads(model, leaf)

    check(panoptic, 2)
    check(panoptic, 3)
    check(classes, 3)
    with pytest.raises(ValueError, match=r"=4, but the data set .* has 2 classes"):
        check(panoptic, 4)
    with pytest.raises(ValueError, match=r"=2, but the data set .* has 3 classes"):
        check(classes, 2)
    with pytest.raises(ValueError, match=r"=2, but the data set .* has 3 classes"):
        check({**panoptic, "thing_classes": ("car", "bus")}, 2)
    box_head.num_stuff_classes = 0  # like MaskFormer's
    with pytest.raises(ValueError, match=r"=2, but the data set .* has 3 classes"):
        check(panoptic, 2)


# Resuming.


def draw():
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


def test_seeds_follow_from_run_epoch_iteration_and_rank(monkeypatch):
    def numbers(rank=0, **state):
        monkeypatch.setattr(epoch_seed_hook, "get_rank", lambda: rank)
        place = dict(seed=1, epoch=2, iter=3, train_dataloader=None) | state
        EpochSeedHook().before_train_epoch(SimpleNamespace(**place))
        return draw()

    first = numbers()
    assert numbers() == first
    others = [numbers(rank=1), numbers(seed=2), numbers(epoch=3), numbers(iter=4)]
    for column in zip(first, *others, strict=True):
        assert len(set(column)) == 5


def test_workers_get_a_new_seed_each_epoch():
    start = functools.partial(lambda worker_id, seed: None, seed=7)

    def seed_of(epoch, start=start):
        loader = SimpleNamespace(worker_init_fn=start)
        place = dict(seed=1, epoch=epoch, iter=5 * epoch, train_dataloader=loader)
        EpochSeedHook().before_train_epoch(SimpleNamespace(**place))
        return loader.worker_init_fn.keywords["seed"]

    seeds = [seed_of(epoch) for epoch in range(5)]
    assert len({*seeds, 7}) == 6
    assert [seed_of(epoch) for epoch in range(5)] == seeds
    assert all(0 <= seed < 2**31 for seed in seeds)


@pytest.mark.parametrize("hooks", [BOTH_HOOKS, BOTH_HOOKS[:1]])
def test_a_resumed_run_ends_with_the_weights_of_an_unbroken_one(tmp_path, voc, hooks):
    unbroken = make_runner(tmp_path / "a", voc, 3, hooks).train().state_dict()
    make_runner(tmp_path / "b", voc, 1, hooks).train()
    resumed = (
        make_runner(tmp_path / "b", voc, 3, hooks, resume=True).train().state_dict()
    )
    same = all(torch.equal(unbroken[name], resumed[name]) for name in unbroken)
    # Without EpochSeedHook other images are flipped after the resume.
    assert same == (hooks is BOTH_HOOKS)


def test_obstacles_to_an_exact_resume_are_logged(logged):
    loader = SimpleNamespace(num_workers=2, persistent_workers=True)
    runner = SimpleNamespace(train_dataloader=loader, train_loop=None)
    EpochSeedHook().before_train(runner)
    assert len(logged) == 1
    assert "`persistent_workers=True`" in logged[0]
    loader.persistent_workers = False
    EpochSeedHook().before_train(runner)
    assert len(logged) == 1
    loader.num_workers = 0
    loader.dataset = SimpleNamespace(pipeline=[CachedMosaic()])
    EpochSeedHook().before_train(runner)
    assert "CachedMosaic without workers" in logged[1]
    loader.dataset.pipeline = []
    EpochSeedHook().before_train(runner)
    assert len(logged) == 2


def test_a_teacher_beside_the_modules_is_told_too():
    """LAD's assigns the objects by its loss, whose numbers go by the counts."""
    model, teacher = nn.Linear(1, 1), nn.Linear(1, 1)
    model.register_module("student", nn.Linear(1, 1))
    object.__setattr__(model, "teacher_model", teacher)  # as mmdet keeps it
    runner = SimpleNamespace(model=model, hooks=[])
    assert modules_of(runner) == [model, model.student, teacher]
