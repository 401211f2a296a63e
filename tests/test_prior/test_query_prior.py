"""The prior of queries, and heads of which none can be counted."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from imb_det.prior import PriorInitHook
from imb_det.prior.boxes import TrainingBoxes, annotated_boxes
from imb_det.prior.classification_bias import find_head
from imb_det.prior.query_prior import query_prior
from tests import toys
from tests.contracts import mmdet_heads
from tests.contracts import query_heads as heads

FOCAL = dict(type="FocalLoss", use_sigmoid=True)


@pytest.fixture
def dataset(tmp_path):
    toys.write_coco(tmp_path / "data")
    return toys.build_dataset(toys.coco_dataset_config(tmp_path / "data"))


def runner_of(model, dataset):
    """What the hook reads of a runner."""
    loader = SimpleNamespace(dataset=dataset)
    return SimpleNamespace(model=model, iter=0, train_dataloader=loader)


class Detector(nn.Module):
    """What the hook asks a detector for."""

    def __init__(self, head, num_queries=heads.QUERIES):
        super().__init__()
        self.bbox_head, self.num_queries = head, num_queries
        self.data_preprocessor = None


def probabilities(head):
    layers = [head.fc_cls] if hasattr(head, "fc_cls") else head.cls_branches
    return [layer.bias.sigmoid().unique().tolist() for layer in layers]


@pytest.mark.parametrize("kind", heads.KINDS[:-1])
def test_starts_at_the_share_of_matched_queries(kind, dataset):
    loss = dict(type="CrossEntropyLoss", use_sigmoid=True)
    head = heads.build(kind, loss)
    boxes = annotated_boxes(dataset)
    objects = np.bincount(boxes.image[~boxes.ignored], minlength=len(boxes))
    PriorInitHook(cache_dir=False).before_train(runner_of(Detector(head), dataset))
    share = objects.clip(max=7).sum() / (7 * len(boxes))
    wanted = share / 3
    if kind == "DINOHead":
        wanted = 2 * share / (1 + 2 * share) / 3
    found = probabilities(head)
    layers = heads.LAYERS if hasattr(head, "cls_branches") else 1
    for of_layer in found[:layers]:
        assert of_layer == [pytest.approx(wanted, rel=1e-5)]


def test_the_bias_is_where_the_loss_is_least():
    """All logits are the bias: on average no gradient at the prior."""
    head = heads.build("DABDETRHead", dict(type="CrossEntropyLoss", use_sigmoid=True))
    table = boxes_of(2, 1)
    prior = query_prior(table, None, Detector(head), head)
    torch.nn.init.zeros_(head.fc_cls.weight)
    torch.nn.init.constant_(head.fc_cls.bias, prior.bias)
    losses = heads.losses_of("DABDETRHead", head)  # images of two objects and of one
    (slope,) = torch.autograd.grad(losses["loss_cls"], head.fc_cls.bias)
    assert slope.sum().item() == pytest.approx(0, abs=1e-5)


def test_denoising_queries_are_a_loss_of_their_own():
    head = heads.build("DINOHead", dict(type="CrossEntropyLoss", use_sigmoid=True))
    prior = query_prior(boxes_of(2, 2), None, Detector(head), head)
    for layer in head.cls_branches:
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.constant_(layer.bias, prior.bias)
    batch = heads.samples()
    one = batch[0].gt_instances
    batch[1].gt_instances = one[[0, 1]]
    losses = heads.losses_of("DINOHead", head, batch=batch)
    both = losses["loss_cls"] + losses["dn_loss_cls"]
    (slope,) = torch.autograd.grad(both, head.cls_branches[heads.LAYERS - 1].bias)
    assert slope.sum().item() == pytest.approx(0, abs=1e-5)


def boxes_of(*counts):
    """Boxes of images with so many objects."""
    rows = [((64, 64), [[0, 0, 9, 9]] * n, [0] * n, [False] * n) for n in counts]
    return TrainingBoxes.from_rows(rows)


def test_counts_by_hand():
    """Three queries; images with 1, 5 and 0 objects, the last one shown twice."""
    head = heads.build("DETRHead", FOCAL)
    prior = query_prior(boxes_of(1, 5, 0), np.array([1, 1, 2]), Detector(head, 3), head)
    assert (prior.num_foreground, prior.num_candidates) == (4, 12)
    assert prior.bias == pytest.approx(-math.log(12 * 3 / 4 - 1))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("RTMDetSepBNHead", "by its predictions from the start"),
        ("YOLOXHead", "trains its classes on them alone"),
        ("TOODHead", "mean of two outputs"),
        ("CenterNetHead", "heatmaps"),
        ("YOLOV3Head", "on positives alone"),
    ],
)
def test_heads_that_cannot_be_counted_say_why(kind, words):
    model = Detector(mmdet_heads.build_dense(kind))
    with pytest.raises(TypeError, match=f"cannot count for {kind}.*{words}"):
        find_head(model, "bbox_head", None)


def test_queries_that_cannot_be_counted_say_why():
    softmax = dict(type="CrossEntropyLoss", use_sigmoid=False)
    for kind, loss, words in (
        ("DDQDETRHead", FOCAL, "distinct.*depends on predictions"),
        ("DETRHead", softmax, "classifies with softmax"),
    ):
        model = Detector(heads.build(kind, loss))
        with pytest.raises(TypeError, match=f"{kind}.*{words}"):
            find_head(model, "bbox_head", None)
    model = Detector(heads.build("DETRHead", FOCAL), None)
    with pytest.raises(ValueError, match="no `num_queries`"):
        find_head(model, "bbox_head", None)
    hook = PriorInitHook(layer="fc_cls", cache_dir=False)
    model = Detector(heads.build("DETRHead", FOCAL))
    with pytest.raises(ValueError, match=r"leave `layer='fc_cls'` out"):
        hook.before_train(runner_of(model, [0, 1]))
