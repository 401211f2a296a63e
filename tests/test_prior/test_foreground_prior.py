import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from imb_det.digits.longtail_digits import make_longtail_digits
from imb_det.digits.plan import DigitsOptions
from imb_det.prior import ForegroundPrior, foreground_prior, target_counts
from imb_det.prior.boxes import TrainingBoxes, annotated_boxes
from imb_det.prior.resizing import is_arithmetic
from imb_det.prior.target_counts import (
    _by_targets,
    count_targets,
    count_targets_of_boxes,
    uses_plain_max_iou,
)
from imb_det.prior.training_boxes import epoch_weights, training_boxes
from tests import toys
from tests.references.pipeline_count import count_candidates
from tests.test_heads.guided_cases import CASES

CLASSES = dict(num_classes=3)


def test_hand_worked_prior():
    # 1 positive of 100 candidates, 4 classes: pi = 1 / 400, b = -log(399)
    prior = ForegroundPrior(100, 1, 4, num_images=1)
    assert prior.prior == pytest.approx(0.0025)
    assert prior.bias == pytest.approx(-math.log(399))


@given(
    n=st.integers(2, 10**7), share=st.floats(1e-6, 0.9), classes=st.integers(1, 1300)
)
def test_prior_is_the_stationary_point(n, share, classes):
    foreground = max(1, int(n * share))
    prior = ForegroundPrior(n, foreground, classes, num_images=1)
    logit = torch.tensor(prior.bias, dtype=torch.float64, requires_grad=True)
    pi = logit.sigmoid()
    loss = -pi.log() - (n * classes / foreground - 1) * torch.log1p(-pi)
    (slope,) = torch.autograd.grad(loss, logit)
    # d/db: the positive term pulls with -(1 - pi), the negatives push as strongly
    assert abs(slope.item()) < 1e-6 * (1 - pi.item())
    assert pi.item() == pytest.approx(prior.prior, rel=1e-9)


@pytest.mark.parametrize(
    "counts", [(10, 0, 3), (10, 10, 1), (10, -1, 3), (10, 5, 0)], ids=str
)
def test_no_finite_bias(counts):
    with pytest.raises(ValueError, match=r"positive|num_classes"):
        ForegroundPrior(*counts, num_images=1)


@pytest.fixture(scope="module")
def toy_set(tmp_path_factory):
    root = tmp_path_factory.mktemp("toy")
    toys.write_coco(root, num_images=7, crowd=True)
    return root


@pytest.fixture(scope="module")
def model():
    return toys.build_model(toys.retinanet_config())


RESIZES = {
    "keep": dict(type="Resize", scale=(100, 90), keep_ratio=True),
    "enlarge": dict(type="Resize", scale=(333, 200), keep_ratio=True),
    "stretch": dict(type="Resize", scale=(77, 120), keep_ratio=False),
    "factor": dict(type="Resize", scale_factor=1.37, keep_ratio=True),
    "factors": dict(type="Resize", scale_factor=(0.8, 1.3), keep_ratio=False),
}


@pytest.mark.parametrize("name", RESIZES)
def test_boxes_are_those_of_the_real_pipeline(name, toy_set):
    dataset = toys.build_dataset(
        toys.coco_dataset_config(toy_set, transforms=[RESIZES[name]])
    )
    assert is_arithmetic(dataset)
    table = training_boxes(dataset)
    for index in range(len(dataset)):
        packed = dataset[index]
        sample = packed["data_samples"]
        part = table.select(np.array([index]))
        assert tuple(part.img_shape[0]) == packed["inputs"].shape[-2:]
        for flag, instances in (
            (False, sample.gt_instances),
            (True, sample.ignored_instances),
        ):
            rows = part.ignored == flag
            wanted = instances.bboxes.tensor.numpy()
            np.testing.assert_array_equal(part.boxes[rows], wanted)
            np.testing.assert_array_equal(part.labels[rows], instances.labels.numpy())


def test_random_transforms_run_on_blank_images(toy_set):
    crop = dict(type="RandomCrop", crop_size=(64, 64))
    dataset = toys.build_dataset(toys.coco_dataset_config(toy_set, transforms=[crop]))
    assert not is_arithmetic(dataset)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    table = training_boxes(dataset)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
    assert len(table) == len(dataset)
    assert (table.img_shape == 64).all()
    assert 0 < len(table.boxes) <= len(annotated_boxes(dataset).boxes)
    np.testing.assert_array_equal(table.boxes, training_boxes(dataset).boxes)


SCALES = [(100, 90), (200, 110), (64, 300)]


@pytest.mark.parametrize("keep_ratio", [True, False])
def test_scales_from_a_list_are_drawn_for_each_image(toy_set, keep_ratio):
    choice = dict(type="RandomChoiceResize", scales=SCALES, keep_ratio=keep_ratio)
    dataset = toys.build_dataset(toys.coco_dataset_config(toy_set, transforms=[choice]))
    assert is_arithmetic(dataset)
    table = training_boxes(dataset)
    np.testing.assert_array_equal(table.boxes, training_boxes(dataset).boxes)
    fixed = [
        training_boxes(
            toys.build_dataset(
                toys.coco_dataset_config(
                    toy_set,
                    transforms=[dict(type="Resize", scale=s, keep_ratio=keep_ratio)],
                )
            )
        )
        for s in SCALES
    ]
    chosen = set()
    for index in range(len(table)):
        part = table.select(np.array([index]))
        of_scales = [one.select(np.array([index])) for one in fixed]
        (scale,) = [
            number
            for number, one in enumerate(of_scales)
            if np.array_equal(one.boxes, part.boxes)
            and np.array_equal(one.img_shape, part.img_shape)
        ]
        chosen.add(scale)
    assert len(chosen) > 1
    # The real one gives each image one of these sizes.
    for index in range(len(table)):
        size = dataset[index]["inputs"].shape[-2:]
        assert any(tuple(one.img_shape[index]) == size for one in fixed)
    # Another resizing class may do anything, and a number is a factor.
    choice["resize_type"] = "FixScaleResize"
    dataset = toys.build_dataset(toys.coco_dataset_config(toy_set, transforms=[choice]))
    assert not is_arithmetic(dataset)
    choice = dict(type="RandomChoiceResize", scales=[2], keep_ratio=True)
    dataset = toys.build_dataset(toys.coco_dataset_config(toy_set, transforms=[choice]))
    assert not is_arithmetic(dataset)


def test_a_random_part_of_a_large_set_goes_through_transforms(
    toy_set, model, monkeypatch
):
    crop = dict(type="RandomCrop", crop_size=(64, 64))
    dataset = toys.build_dataset(
        dict(
            type="RepeatDataset",
            times=10,
            dataset=toys.coco_dataset_config(toy_set, transforms=[crop]),
        )
    )
    whole = foreground_prior(dataset, model.bbox_head)
    assert (whole.num_images, whole.relative_error) == (70, 0)
    monkeypatch.setattr("imb_det.prior.blank_images.MAX_BLANK_IMAGES", 35)
    part = foreground_prior(dataset, model.bbox_head)
    assert part.num_images == 35
    # The error is that of 35 drawn from 70.
    boxes = training_boxes(dataset)
    head = model.bbox_head
    padded = -(-boxes.img_shape // 32) * 32
    positive, total = count_targets(head, boxes, padded)
    ratio = positive.sum() / total.sum()
    residual = positive - ratio * total
    variance = residual.var(ddof=1) / 35 * (1 - 35 / 70)
    expected = variance**0.5 / (ratio * total.mean())
    assert part.relative_error == pytest.approx(expected)
    assert part.prior == pytest.approx(whole.prior, rel=4 * expected)


def test_wrappers_count_each_image_once(toy_set, model):
    plain = toys.coco_dataset_config(toy_set)
    single = foreground_prior(toys.build_dataset(plain), model.bbox_head)
    nested = toys.build_dataset(
        dict(
            type="RepeatDataset",
            times=2,
            dataset=dict(type="ConcatDataset", datasets=[plain, plain]),
        )
    )
    double = foreground_prior(nested, model.bbox_head)
    assert double.num_candidates == 2 * single.num_candidates
    assert double.num_foreground == 2 * single.num_foreground


def test_repeated_images_count_as_often_as_an_epoch_shows_them(toy_set, model):
    balanced = toys.build_dataset(
        dict(
            type="ClassBalancedDataset",
            oversample_thr=0.9,
            dataset=toys.coco_dataset_config(toy_set),
        )
    )
    found = foreground_prior(balanced, model.bbox_head)
    positive, total = count_candidates(balanced, model)
    weights = epoch_weights(balanced)
    assert weights.sum() == len(balanced)
    assert len(set(weights.tolist())) > 1
    assert (found.num_foreground, found.num_candidates) == (positive, total)
    repeated = toys.build_dataset(
        dict(type="RepeatDataset", times=3, dataset=toys.coco_dataset_config(toy_set))
    )
    assert epoch_weights(repeated).tolist() == [1] * 7


@pytest.mark.parametrize("name", RESIZES)
def test_equals_the_real_pipeline(name, toy_set, model):
    dataset = toys.build_dataset(
        toys.coco_dataset_config(toy_set, transforms=[RESIZES[name]])
    )
    found = foreground_prior(dataset, model.bbox_head, pad_size_divisor=32)
    assert (found.num_foreground, found.num_candidates) == count_candidates(
        dataset, model
    )
    assert found.num_images == len(dataset)
    assert found.relative_error == 0


def test_both_ways_of_counting_agree(toy_set, model, monkeypatch):
    table = training_boxes(toys.build_dataset(toys.coco_dataset_config(toy_set)))
    pad_shape = -(-table.img_shape // 32) * 32
    positive, total = _by_targets(model.bbox_head, table, pad_shape)
    found = foreground_prior(None, model.bbox_head, boxes=table)
    assert found.num_foreground == positive.sum()
    assert found.num_candidates == total.sum()
    by_box, candidates = count_targets_of_boxes(model.bbox_head, table, pad_shape)
    monkeypatch.setattr(target_counts, "uses_plain_max_iou", lambda head: False)
    by_head, of_head = count_targets_of_boxes(model.bbox_head, table, pad_shape)
    np.testing.assert_array_equal(by_box, by_head)
    np.testing.assert_array_equal(candidates, total)
    np.testing.assert_array_equal(of_head, total)
    of_images = np.bincount(table.image, by_box.sum(1), minlength=len(table))
    np.testing.assert_array_equal(of_images, positive)
    assert not by_box[table.ignored].any()
    assert model.bbox_head.num_classes == 3


@pytest.mark.parametrize(
    "assigner",
    [
        dict(type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=(0.1, 0.4)),
        dict(
            type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.4, ignore_iof_thr=0.5
        ),
    ],
    ids=["negative-band", "ignore-crowd"],
)
def test_other_assigners_go_through_the_head(assigner, toy_set):
    config = toys.retinanet_config()
    config.train_cfg.assigner = assigner
    model = toys.build_model(config)
    assert not uses_plain_max_iou(model.bbox_head)
    dataset = toys.build_dataset(toys.coco_dataset_config(toy_set))
    found = foreground_prior(dataset, model.bbox_head)
    assert (found.num_foreground, found.num_candidates) == count_candidates(
        dataset, model
    )


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("FCOSHead", {}),
        ("FCOSHead", dict(center_sampling=True, center_sample_radius=1.0)),
        ("ATSSHead", {}),
        ("GFLHead", {}),
        ("RPNHead", {}),
    ],
    ids=["FCOS", "FCOS-centre", "ATSS", "GFL", "RPN"],
)
@pytest.mark.parametrize("prefix", ["", "imb_det.SamplingFree"])
def test_other_heads_go_through_their_own_targets(kind, settings, prefix, toy_set):
    config = toys.retinanet_config()
    head = dict(CASES[kind].config, in_channels=8, feat_channels=8, **settings)
    head.update({"type": prefix + kind, **({} if kind == "RPNHead" else CLASSES)})
    config.bbox_head, config.train_cfg = head, head.pop("train_cfg", None)
    model = toys.build_model(config)
    dataset = toys.build_dataset(toys.coco_dataset_config(toy_set))
    found = foreground_prior(dataset, model.bbox_head)
    wanted = count_candidates(dataset, model)
    assert (found.num_foreground, found.num_candidates) == wanted
    table = training_boxes(dataset)
    pad_shape = -(-table.img_shape // 32) * 32
    by_box, candidates = count_targets_of_boxes(model.bbox_head, table, pad_shape)
    assert by_box.sum() == found.num_foreground
    assert candidates.sum() == found.num_candidates


def test_proposals_know_one_class_by_their_own_targets_too(toy_set):
    config = toys.retinanet_config()
    head = dict(CASES["RPNHead"].config, type="RPNHead", in_channels=8, feat_channels=8)
    config.bbox_head, config.train_cfg = head, head.pop("train_cfg")
    config.train_cfg.assigner = dict(config.train_cfg.assigner, neg_iou_thr=(0.1, 0.4))
    model = toys.build_model(config)
    assert not uses_plain_max_iou(model.bbox_head)
    dataset = toys.build_dataset(toys.coco_dataset_config(toy_set))
    found = foreground_prior(dataset, model.bbox_head)
    wanted = count_candidates(dataset, model)
    assert (found.num_foreground, found.num_candidates) == wanted


def test_early_stop(model):
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(3000):
        corner = rng.uniform(0, 200, (2, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(15, 90, (2, 2))], 1)
        rows.append(((320, 320), boxes.tolist(), [0, 1], [0, 0]))
    table = TrainingBoxes.from_rows(rows)
    exact = foreground_prior(None, model.bbox_head, boxes=table)
    calls = []
    early = foreground_prior(
        None,
        model.bbox_head,
        boxes=table,
        max_relative_error=0.02,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert early.num_images < 3000
    assert 0 < early.relative_error < 0.02
    assert early.prior == pytest.approx(exact.prior, rel=4 * early.relative_error)
    assert calls[-1] == (early.num_images, 3000)
    with pytest.raises(ValueError, match="max_relative_error"):
        foreground_prior(None, model.bbox_head, boxes=table, max_relative_error=1.5)


@pytest.mark.slow
@pytest.mark.parametrize("images", [40, pytest.param(None, marks=pytest.mark.weekly)])
def test_bccd_equals_the_real_pipeline(bccd_root, images):
    config = Config.fromfile(
        "configs/sampling_free/retinanet_r18_fpn_sampling-free_bccd.py"
    )
    dataset_config = config.train_dataloader.dataset.dataset
    dataset_config.data_root = str(bccd_root) + "/"
    dataset_config.indices = images
    dataset_config.pipeline = [
        step for step in dataset_config.pipeline if step.type != "RandomFlip"
    ]
    dataset = toys.build_dataset(dataset_config)
    model = toys.build_model(config.model)
    found = foreground_prior(dataset, model.bbox_head)
    assert (found.num_foreground, found.num_candidates) == count_candidates(
        dataset, model
    )


@pytest.mark.slow
def test_digits_equal_the_real_pipeline(tmp_path):
    make_longtail_digits(tmp_path / "digits", DigitsOptions(num_train=60, num_val=40))
    config = Config.fromfile(
        "configs/sampling_free/retinanet_r18_fpn_sampling-free_longtail-digits.py"
    )
    dataset_config = config.train_dataloader.dataset
    dataset_config.data_root = str(tmp_path / "digits") + "/"
    dataset = toys.build_dataset(dataset_config)
    model = toys.build_model(config.model)
    found = foreground_prior(dataset, model.bbox_head)
    assert found.num_images == 60
    assert (found.num_foreground, found.num_candidates) == count_candidates(
        dataset, model
    )
