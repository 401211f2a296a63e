"""Positives of heads by object, class and level, counted without training."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.config import ConfigDict
from mmengine.dataset import ClassBalancedDataset
from torch import nn

from imb_det.core.finding import Severity
from imb_det.doctor.config_checks.foreground_checks import check_foreground
from imb_det.doctor.context import DoctorContext
from imb_det.doctor.foreground import foreground_of, shown_boxes
from imb_det.prior import foreground_prior
from imb_det.statistics import ClassStats
from tests import toys
from tests.contracts import mmdet_heads
from tests.contracts import query_heads as heads
from tests.doctor_configs import faster_rcnn


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("foreground")
    toys.write_coco(folder, num_images=6, crowd=True)
    return toys.build_dataset(toys.coco_dataset_config(folder, serialize_data=False))


def context_of(model, dataset):
    stats = ClassStats.from_dataset(dataset)
    return DoctorContext(model=model, datasets={"train": dataset}, class_stats=stats)


def found_by_code(context):
    found = list(check_foreground(context))
    assert len({f.code for f in found}) == len(found)
    return {f.code: f for f in found}


def test_prior_and_levels_of_a_dense_head(dataset):
    context = context_of(toys.build_model(toys.retinanet_config()), dataset)
    found = found_by_code(context)
    assert set(found) == {"foreground_prior", "positives"}
    assert "PriorInitHook" in found["foreground_prior"].remedy
    shown = shown_boxes(context)
    boxes = shown.boxes
    counted = foreground_of(context, "bbox_head", context.model.bbox_head, shown)
    assert counted.positives.sum() == counted.prior.num_foreground
    per_level = counted.positives.sum(0) / counted.positives.sum()
    assert f"stride 8 {per_level[0]:.1%}" in found["positives"].evidence
    mean = counted.positives.sum(1)[~boxes.ignored].mean()
    assert f"{mean:.1f} on average" in found["positives"].evidence


def test_a_part_of_the_images_says_so(dataset, monkeypatch):
    monkeypatch.setattr("imb_det.doctor.foreground._MOST", 4)
    context = context_of(toys.build_model(toys.retinanet_config()), dataset)
    shown = shown_boxes(context)
    assert (len(shown.boxes), shown.of_images) == (4, len(dataset))
    found = found_by_code(context)["foreground_prior"]
    assert "over 4 images (+-" in found.evidence
    # Of 1 and 3 of four: deviation 1.414, mean 2, two counted, half of them left.
    two = replace(shown, weights=np.ones(2, int), of_images=4)
    wanted = 2**0.5 / 2 / 2**0.5 * 0.5**0.5
    assert two.relative_error(np.array([1, 3])) == pytest.approx(wanted)


def test_repeated_images_count_as_often_as_they_are_shown(dataset):
    model = toys.build_model(toys.retinanet_config())
    repeated = ClassBalancedDataset(dataset, oversample_thr=0.9)
    context = context_of(model, repeated)
    head = model.bbox_head
    found = foreground_of(context, "bbox_head", head, shown_boxes(context))
    assert found.prior == foreground_prior(repeated, head)
    plain = context_of(model, dataset)
    once = foreground_of(plain, "bbox_head", head, shown_boxes(plain))
    assert found.prior.num_foreground > once.prior.num_foreground


def test_proposals_are_counted_before_their_sampler_picks(dataset):
    model = toys.build_model(ConfigDict(faster_rcnn()))
    kept = model.rpn_head.sampler
    found = found_by_code(context_of(model, dataset))
    assert "PriorInitHook" not in found["foreground_prior"].remedy
    assert "`rpn_head` (RPNHead)" in found["positives"].where
    assert model.rpn_head.sampler is kept
    assert model.rpn_head.num_classes == 1


def test_points_outside_of_all_ranges_leave_objects_without_positive(dataset):
    config = toys.retinanet_config()
    ranges = ((-1, 2), (2, 4), (4, 8))
    config.bbox_head = dict(
        type="FCOSHead",
        num_classes=3,
        in_channels=8,
        feat_channels=8,
        stacked_convs=1,
        norm_cfg=None,
        strides=[8, 16, 32],
        regress_ranges=ranges,
    )
    config.train_cfg = None
    found = found_by_code(context_of(toys.build_model(config), dataset))
    assert found["no_positive"].severity is Severity.WARNING
    assert "regress_ranges" in found["no_positive"].remedy
    assert "foreground_prior" in found or "no_positives" in found


def test_objects_beyond_the_queries(dataset):
    loss = dict(type="CrossEntropyLoss", use_sigmoid=True)
    model = nn.Module()
    model.bbox_head, model.num_queries = heads.build("DABDETRHead", loss), 1
    context = context_of(model, dataset)
    boxes = context.boxes["train"]
    counted = boxes.image[~boxes.ignored]
    per_image = np.bincount(counted, minlength=len(boxes))
    lost = np.maximum(per_image - 1, 0).sum()
    found = found_by_code(context)
    assert f"{lost} of {len(counted)}" in found["no_positive"].evidence
    assert f"num_queries={per_image.max()}" in found["no_positive"].remedy
    assert "foreground_prior" in found


def test_positives_by_predictions_are_said_so(dataset):
    model = nn.Module()
    model.bbox_head = mmdet_heads.build_dense("RTMDetSepBNHead")
    found = found_by_code(context_of(model, dataset))
    assert set(found) == {"positives_by_predictions"}
    assert "by its predictions" in found["positives_by_predictions"].evidence


def test_no_model_or_no_boxes_is_nothing_to_tell(dataset):
    assert not list(check_foreground(context_of(None, dataset)))
    context = SimpleNamespace(model=toys.build_model(toys.retinanet_config()))
    context.datasets = {}
    assert not list(check_foreground(context))
