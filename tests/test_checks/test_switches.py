"""Hooks that change the pipeline in mid-training do so, or are refused."""

from types import SimpleNamespace

import pytest
from mmcv.transforms import BaseTransform
from mmdet.registry import DATASETS, HOOKS
from mmengine.registry import init_default_scope
from mmengine.runner import IterBasedTrainLoop

from imb_det.checks import check_multi_image, check_switches
from imb_det.core import CheckContext, FindingsError
from imb_det.registry import TRANSFORMS
from imb_det.statistics import ClassStats
from tests import labelled_sets  # noqa: F401, registers its data set
from tests.mixed_sets import wrapped
from tests.tiny_sets import write_voc
from tests.toy_runner import IMAGES, dataset_config, make_runner

PACK = dict(type="PackDetInputs")
FLIP = dict(type="RandomFlip", prob=0.5)
OURS = dict(type="imb_det.Mosaic", img_scale=(32, 32))
THEIRS = dict(type="Mosaic", img_scale=(32, 32))
LEAF = dict(type="imb_det.LabelledDataset", labels_per_image=[[0]] * 4, num_classes=1)
MIXED = wrapped("MultiImageMixDataset", LEAF, pipeline=[THEIRS, PACK])
SKIPS = wrapped(
    "MultiImageMixDataset", LEAF, pipeline=[THEIRS, PACK], skip_type_keys=["Mosaic"]
)
SETS = {
    "leaf": LEAF,
    "mixed": MIXED,
    "skips": SKIPS,
    "repeated leaf": wrapped("RepeatDataset", LEAF, times=2),
    "repeated mixed": wrapped("RepeatDataset", MIXED, times=2),
    "joined": wrapped("ConcatDataset", [LEAF, MIXED]),
}


def loop_of(max_epochs=None):
    if max_epochs is not None:
        return SimpleNamespace(max_epochs=max_epochs)
    loop = object.__new__(IterBasedTrainLoop)
    loop._max_epochs = 1
    return loop


def found(hook, dataset="leaf", loop=None, check=check_switches):
    init_default_scope("mmdet")
    context = CheckContext(
        datasets=dict(train=DATASETS.build(SETS[dataset])),
        hooks=[HOOKS.build(hook)],
        train_loop=loop,
    )
    return [f"{each.severity.value} {each.code}: {each}" for each in check(context)]


def switch(scope, *steps, epoch=1):
    kind = f"{scope}PipelineSwitchHook"
    return dict(type=kind, switch_epoch=epoch, switch_pipeline=list(steps))


@pytest.mark.parametrize(
    ("dataset", "steps", "words"),
    [
        ("leaf", [FLIP, FLIP, PACK], None),
        ("mixed", [FLIP, PACK], None),
        ("mixed", [THEIRS, PACK], None),
        ("mixed", [FLIP, FLIP, PACK], "leave out all but the first 2 of 3"),
        ("mixed", [OURS, PACK], "Mosaic would not know the weights"),
        ("skips", [FLIP, PACK], "by the types of the old ones"),
        ("repeated leaf", [PACK], "RepeatDataset, has no pipeline of its own"),
        ("joined", [PACK], "ConcatDataset, has no pipeline of its own"),
    ],
)
def test_what_mmdets_hook_cannot_do_is_refused(dataset, steps, words):
    told = found(switch("", *steps), dataset)
    assert len(told) == (words is not None)
    for text in told:
        assert text.startswith("error no_switch")
        assert words in text
        assert "imb_det.PipelineSwitchHook" in text
    assert not found(switch("imb_det.", *steps), dataset)


def test_steps_of_the_new_pipeline_are_built_before_the_training():
    bad = dict(type="RandomFlip", prob=3)
    for scope in ("", "imb_det."):
        (told,) = found(switch(scope, FLIP, bad, PACK))
        assert told.startswith("error switch_step")
        assert "`switch_pipeline[1]` of PipelineSwitchHook" in told


@TRANSFORMS.register_module()
class RefusesClasses(BaseTransform):
    """A step that refuses the classes."""

    def set_class_stats(self, stats):
        raise ValueError(f"knows no {stats.classes[0]}")

    def transform(self, results):
        return results


def test_steps_of_the_new_pipeline_are_told_the_counts_before_the_training():
    init_default_scope("mmdet")
    bad = switch("imb_det.", dict(type="imb_det.RefusesClasses"), PACK)
    stats = ClassStats(("ant", "bee"), [1, 1], [1, 1], 2)
    dataset = DATASETS.build(SETS["mixed"])
    context = CheckContext(
        hooks=[HOOKS.build(bad)], datasets=dict(train=dataset), class_stats=stats
    )
    (told,) = check_switches(context)
    assert told.code == "switch_step"
    assert "knows no ant" in told.evidence


@pytest.mark.parametrize(
    ("dataset", "codes"),
    [("mixed", []), ("repeated mixed", []), ("leaf", ["multi"]), ("joined", ["multi"])],
)
def test_transforms_of_several_images_are_switched_to_in_wrappers_alone(dataset, codes):
    told = found(switch("imb_det.", OURS, PACK), dataset, check=check_multi_image)
    assert [text.split()[1].split("_")[0] for text in told] == codes


YOLOX = dict(type="YOLOXModeSwitchHook", num_last_epochs=3)


@pytest.mark.parametrize(
    ("hook", "max_epochs", "begins"),
    [
        (switch("imb_det.", PACK, epoch=4), None, "error switch_by_epoch"),
        (switch("", PACK, epoch=4), None, "error switch_by_epoch"),
        (YOLOX, None, "error switch_by_epoch"),
        (switch("imb_det.", PACK, epoch=4), 4, "error switches_never"),
        (switch("", PACK, epoch=4), 4, "warning switches_never"),
        (switch("imb_det.", PACK, epoch=0), 4, "warning switches_at_once"),
        (YOLOX, 4, "warning switches_at_once"),
        (YOLOX, 5, "info switches"),
        (switch("", PACK, epoch=4), 5, "info switches"),
        (switch("imb_det.", PACK, epoch=4), 5, "info switches"),
        (dict(type="SyncNormHook"), 5, ""),
    ],
)
def test_when_a_switch_comes(hook, max_epochs, begins):
    told = found(hook, "mixed", loop_of(max_epochs))
    assert [text.split(":")[0] for text in told] == [begins] * bool(begins)


def test_the_epoch_that_is_told_is_that_of_the_hook():
    (told,) = found(YOLOX, "mixed", loop_of(10))
    assert "from epoch 7 of 10 on" in told
    hook = HOOKS.build(YOLOX)
    model = SimpleNamespace(bbox_head=SimpleNamespace())
    dataset = SimpleNamespace(update_skip_type_keys=lambda keys: None)
    for epoch in range(10):
        runner = SimpleNamespace(
            epoch=epoch,
            max_epochs=10,
            model=model,
            logger=SimpleNamespace(info=lambda text: None),
            train_dataloader=SimpleNamespace(dataset=dataset),
        )
        hook.before_train_epoch(runner)
        assert hook._has_switched == (epoch + 1 >= 7)


def test_the_hook_stops_before_the_first_iteration(tmp_path):
    voc = dataset_config(write_voc(tmp_path / "voc", IMAGES))
    hooks = [dict(type="imb_det.ImbalanceHook"), switch("imb_det.", PACK, epoch=2)]
    runner = make_runner(tmp_path / "work", voc, max_epochs=2, hooks=hooks)
    with pytest.raises(FindingsError, match="switch_epoch=2, counted from 0"):
        runner.train()
    assert runner.iter == 0
