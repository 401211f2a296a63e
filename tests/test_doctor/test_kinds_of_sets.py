"""Sets of boxes, segments and pixels: each is told in its own words."""

import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from pycocotools.coco import COCO
from torch import nn

from imb_det.checks.concatenations import check_metainfo
from imb_det.core.finding import Severity
from imb_det.doctor.config_checks.foreground_checks import _of_lost
from imb_det.doctor.context import DoctorContext
from imb_det.doctor.data_checks.balance import (
    check_class_balance,
    check_untrained_classes,
)
from imb_det.doctor.data_checks.class_tables import is_thing
from imb_det.doctor.data_checks.company import check_company
from imb_det.doctor.data_checks.measurable import check_measurable
from imb_det.doctor.data_checks.objects import check_empty_images
from imb_det.doctor.failures import failed_part
from imb_det.doctor.foreground import HeadForeground
from imb_det.doctor.page_figures import class_bars
from imb_det.doctor.prescription import prescribe
from imb_det.doctor.quiet import quiet_libraries
from imb_det.prior.boxes import TrainingBoxes
from imb_det.statistics import ClassStats

LEAF = SimpleNamespace(
    ann_file="a.json",
    metainfo=dict(classes=("cat", "sky")),
    get_data_info=None,
    pipeline=None,
)
BOXES = ClassStats(("cat", "sky"), [200, 2], [300, 2], 200)
MAPS = ClassStats(("cat", "sky"), [2, 2], [2, 2], 3, pixel_count=[90, 5])
STUFF = replace(BOXES, thing_classes=("cat",), thing_images=200)


def table_of(*labels):
    number = len(labels)
    return TrainingBoxes(
        np.full((number, 2), 50),
        np.tile(np.float32([0, 0, 20, 20]), (number, 1)),
        np.array(labels, int),
        np.zeros(number, bool),
        np.arange(number),
    )


class OfTables(DoctorContext):
    """A context whose boxes are given."""

    boxes = None


def context_of(stats, metric="", model=None, **boxes):
    metrics = {"val": [type(metric, (), {})()]} if metric else {}
    datasets = dict.fromkeys(["train", *boxes], LEAF)
    context = OfTables(
        class_stats=stats, metrics=metrics, datasets=datasets, model=model
    )
    object.__setattr__(context, "boxes", boxes)
    return context


def test_pixels_are_no_boxes():
    (found,) = check_class_balance(context_of(MAPS, "SemSegMetric"))
    assert "the pixels of the training set" in found.what
    assert "95 pixels in 3 images" in found.evidence
    assert "imbalance ratio 18" in found.evidence
    assert "`type='imb_det.SemSegMetric'`" in found.remedy
    assert [bar["objects"] for bar in class_bars(context_of(MAPS))] == [90, 5]
    none = replace(MAPS, image_count=[2, 0], instance_count=[2, 0], pixel_count=[9, 0])
    (found,) = check_untrained_classes(context_of(none))
    assert found.what.startswith("classes without a pixel")
    text = prescribe(context_of(MAPS, model=nn.Module())).text()
    assert text.startswith("Prescription: none. Nothing was measured for maps")


@pytest.mark.parametrize(
    ("metric", "written"),
    [
        ("LVISMetric", "imb_det.LVISMetric"),
        ("VOCMetric", "imb_det.VOCMetric"),
        ("", "imb_det.CocoMetric"),
        ("CocoPanopticMetric", None),
    ],
)
def test_groups_are_read_by_the_metric_of_the_set(metric, written):
    (found,) = check_class_balance(context_of(BOXES, metric))
    assert f"`type='{written}'`" in found.remedy or (written, found.remedy) == (
        None,
        "",
    )


def test_stuff_has_segments_and_no_ap():
    context = context_of(STUFF, val=table_of(0, 0, 1))
    assert is_thing(context).tolist() == [True, False]
    (balance,) = check_class_balance(context)
    assert "302 segments" in balance.evidence
    (found,) = check_measurable(context)
    assert "1 of 1 classes with 2 boxes" in found.evidence


def test_a_loss_is_named_where_a_head_has_a_softmax():
    table = table_of(0, 1)
    table = replace(table, image=np.zeros(2, int))
    model = nn.Module()
    assert (
        "SeesawLoss" not in next(check_company(context_of(BOXES, train=table))).remedy
    )
    model.roi_head = nn.Module()
    told = next(check_company(context_of(BOXES, model=model, train=table)))
    assert "SeesawLoss" in told.remedy


def test_secret_objects_are_no_background():
    few_objects = replace(table_of(0, 1), image=np.zeros(2, int))  # the first has both
    leaf = SimpleNamespace(pipeline=None, get_data_info=lambda _: {}, metainfo={})
    leaf = type("Leaf", (), {**vars(leaf), "__len__": lambda _: 2})()
    for format_only in (False, True):
        context = context_of(None, test=few_objects)
        context.datasets["test"] = leaf
        judge = SimpleNamespace(format_only=format_only)
        object.__setattr__(context, "metrics", {"test": [judge]})
        assert len(list(check_empty_images(context))) == (not format_only)


def test_labels_without_one_name_have_their_number():
    positives = np.array([[1], [0]])
    found = HeadForeground("rpn_head", nn.Module(), None, table_of(0, 3), positives)
    told = next(_of_lost(SimpleNamespace(classes=()), found))
    assert "label 3 1 of 1" in told.evidence


@pytest.mark.parametrize(
    ("key", "remedy"), [("classes", "of all classes"), ("palette", "ignore_keys")]
)
def test_classes_that_differ_are_not_to_be_ignored(key, remedy):
    dataset = SimpleNamespace(metainfo=[{key: ["a"]}, {key: ["b"]}])
    context = SimpleNamespace(datasets={"train": dataset}, metrics={}, hooks=[])
    (found,) = check_metainfo(context)
    assert remedy in found.remedy


def test_a_file_that_is_not_there_says_from_where(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = failed_part("train_data", "`x`", FileNotFoundError(2, "No such file", "a"))
    assert found.severity is Severity.ERROR
    assert str(tmp_path) in found.remedy
    assert not failed_part("train_data", "`x`", PermissionError(1, "no", "a")).remedy


def test_libraries_are_quiet_for_a_while(capsys):
    with quiet_libraries():
        COCO().createIndex()
        warnings.warn("nothing", stacklevel=1)
    assert capsys.readouterr().out == ""
    COCO().createIndex()
    assert "index created" in capsys.readouterr().out
