"""Trainings with unlabelled images: what they show, and who learns from it."""

import numpy as np
import pytest
from mmengine.dataset import ConcatDataset
from mmengine.registry import DATASETS
from torch import nn

from imb_det.core.finding import Severity
from imb_det.doctor.context import DoctorContext
from imb_det.doctor.data_checks.box_sizes import check_box_sizes
from imb_det.doctor.data_checks.head_priors import head_priors
from imb_det.doctor.foreground import dense_heads, shown_boxes
from imb_det.prior import foreground_prior
from imb_det.prior.blank_images import labelled_indices, run_blank_images
from imb_det.statistics import ClassStats
from tests import toys

FIELD = ["sup", "teacher", "student"]
LOAD = dict(type="LoadImageFromFile")
PACK = dict(type="PackDetInputs")
SUPERVISED = [
    LOAD,
    dict(type="LoadAnnotations", with_bbox=True),
    toys.RESIZE,
    dict(type="MultiBranch", branch_field=FIELD, sup=PACK),
]
UNLABELLED = [
    LOAD,
    dict(type="LoadEmptyAnnotations"),
    dict(type="MultiBranch", branch_field=FIELD, teacher=[PACK], student=[PACK]),
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("semi")
    toys.write_coco(folder, num_images=4)
    config = toys.coco_dataset_config(folder, serialize_data=False)
    parts = [dict(config, pipeline=steps) for steps in (UNLABELLED, SUPERVISED)]
    return ConcatDataset([DATASETS.build(part) for part in parts])


def teacher_and_student():
    config = toys.retinanet_config()
    model = nn.Module()
    model.student, model.teacher = toys.build_model(config), toys.build_model(config)
    model.teacher.requires_grad_(False)
    return model


def test_images_are_those_with_labels(dataset):
    of_parts = [len(part) for part in dataset.datasets]
    wanted = np.arange(of_parts[0], sum(of_parts))
    np.testing.assert_array_equal(labelled_indices(dataset), wanted)
    table = run_blank_images(dataset, lambda: None)
    plain = run_blank_images(dataset.datasets[1], lambda: None)
    assert len(table) == of_parts[1]
    np.testing.assert_array_equal(np.sort(table.labels), np.sort(plain.labels))
    np.testing.assert_array_equal(
        labelled_indices(dataset.datasets[0]), range(of_parts[0])
    )


def test_sizes_and_positives_are_known(dataset):
    model = teacher_and_student()
    stats = ClassStats.from_dataset(dataset)
    context = DoctorContext(model=model, datasets={"train": dataset}, class_stats=stats)
    found = next(check_box_sizes(context))
    assert found.severity is Severity.INFO
    assert "medians of sides" in found.evidence
    shown = shown_boxes(context)
    assert len(shown.boxes) == shown.of_images == len(dataset.datasets[1])
    counted = foreground_prior(dataset, model.student.bbox_head)
    assert counted.relative_error == 0.0


def test_the_teacher_learns_nothing():
    model = teacher_and_student()
    assert [path for path, _ in dense_heads(model)] == ["student.bbox_head"]
    assert [head.name for head in head_priors(model)] == [
        "student.bbox_head (RetinaHead)"
    ]
