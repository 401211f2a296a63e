"""Heads of queries: background in the divisor, and proposals without classes."""

import pytest
import torch
from mmengine.config import ConfigDict

from imb_det.checks import check_loss_callers
from imb_det.core import CheckContext
from imb_det.losses import bind_losses
from tests.contracts import query_heads
from tests.contracts.cases import STATS
from tests.contracts.head_batch import IMAGE, TRUTH
from tests.toys import MODELS

CLASSES, QUERIES = 3, 6


def losses_of(kind, loss, encoder=None, **more):
    """A head, and its losses of two decoder layers and, if wanted, the encoder."""
    torch.manual_seed(0)
    config = dict(type=kind, num_classes=CLASSES, embed_dims=8, **more)
    if loss is not None:
        config["loss_cls"] = loss
    head = MODELS.build(ConfigDict(config))
    bind_losses(head)
    generator = torch.Generator().manual_seed(1)
    shape = (2, 1, QUERIES)
    scores = torch.randn(*shape, head.cls_out_channels, generator=generator)
    boxes = torch.rand(*shape, 4, generator=generator) / 2 + 0.2
    if "Deformable" not in kind:
        return head, head.loss_by_feat(scores, boxes, [TRUTH], [IMAGE])
    of_encoder = (None, None)
    if encoder:
        of_encoder = (
            torch.randn(1, 9, head.cls_out_channels, generator=generator),
            torch.rand(1, 9, 4, generator=generator) / 2 + 0.2,
        )
    return head, head.loss_by_feat(scores, boxes, *of_encoder, [TRUTH], [IMAGE])


def softmax(kind="imb_det.CrossEntropyLoss", **options):
    return dict(type=kind, use_sigmoid=False, **options)


@pytest.mark.parametrize(
    "ours",
    [
        softmax(bg_weight=0.1),
        softmax(class_weight=[1.0, 1.0, 1.0, 0.1]),
        softmax("CrossEntropyLoss", class_weight=1.0, bg_cls_weight=0.1),
        None,
    ],
    ids=["weight", "list", "mmdet", "default"],
)
def test_neutral_losses_are_those_of_mmdet(ours):
    theirs = softmax("CrossEntropyLoss", class_weight=1.0, bg_cls_weight=0.1)
    _, wanted = losses_of("mmdet.DETRHead", theirs)
    head, found = losses_of("imb_det.DETRHead", ours)
    assert head.bg_cls_weight == pytest.approx(0.1)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value)


@pytest.mark.parametrize(
    ("weights", "codes"),
    [
        (dict(), ["background_of_queries"]),
        (dict(class_weight=[2.0, 1.0, 1.0]), ["background_of_queries"]),
        (dict(class_weight=[2.0, 1.0, 1.0], bg_weight=0.1), []),
        (dict(class_weight=[2.0, 1.0, 1.0, 0.1]), []),
        (dict(class_weight=[2.0, 1.0, 1.0], bg_cls_weight=0.1), []),
    ],
)
def test_background_that_weighs_as_much_as_an_object_is_a_warning(weights, codes):
    head, _ = losses_of("imb_det.DETRHead", softmax(**weights))
    found = list(check_loss_callers(CheckContext(model=head)))
    assert [x.code for x in found] == codes
    assert all("bg_weight=0.1" in x.remedy for x in found)


def test_one_number_of_mmdets_loss_is_that_of_background_too():
    theirs = softmax("CrossEntropyLoss", class_weight=2.0)
    head, wanted = losses_of("mmdet.DETRHead", theirs)
    ours, found = losses_of("imb_det.DETRHead", theirs)
    assert ours.bg_cls_weight == head.bg_cls_weight == 2
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value)


def test_losses_without_weights_divide_by_all_queries():
    head, _ = losses_of("imb_det.DETRHead", softmax("imb_det.AlphaLoss", alpha=1.0))
    assert head.bg_cls_weight == 1


def test_the_divisor_knows_the_weight_of_background():
    """The loss is a mean over rows, by their weights, whatever background weighs."""
    logits = torch.zeros(1, 1, QUERIES, CLASSES + 1)  # each row has log(4)
    for weight in (0.0, 0.1, 1.0, 5.0):
        loss = softmax("imb_det.CDBLoss", bg_weight=weight)
        head = MODELS.build(
            ConfigDict(
                type="imb_det.DETRHead",
                num_classes=CLASSES,
                embed_dims=8,
                loss_cls=loss,
            )
        )
        head.loss_cls.set_class_difficulty_weights(torch.ones(CLASSES))
        bind_losses(head)
        boxes = torch.rand(1, 1, QUERIES, 4) / 2 + 0.2
        found = head.loss_by_feat(logits, boxes, [TRUTH], [IMAGE])
        assert found["loss_cls"].item() == pytest.approx(1.38629, rel=1e-4)


@pytest.mark.parametrize("weight", ["inverse", [0.75, 0.75, 3.0], dict(cat=4.0)])
def test_weights_of_classes_in_every_form(weight):
    """An object of class 2 weighs as the config says; one of class 0 as well."""
    values = {}
    for name, given in dict(own=weight, none=None).items():
        loss = softmax(class_weight=given, bg_weight=0.1, reduction="none")
        config = dict(type="imb_det.DETRHead", num_classes=CLASSES, embed_dims=8)
        head = MODELS.build(ConfigDict(config, loss_cls=loss))
        for part in head.modules():
            if hasattr(part, "set_class_stats"):
                part.set_class_stats(STATS)
        values[name] = head.loss_cls(torch.zeros(4, 4), torch.tensor([0, 1, 2, 3]))
    wanted = [1.0, 1.0, 4.0, 0.1] if isinstance(weight, dict) else [0.75, 0.75, 3, 0.1]
    ratio = values["own"] / values["none"] * torch.tensor([1.0, 1.0, 1.0, 0.1])
    torch.testing.assert_close(ratio, torch.tensor(wanted))


@pytest.mark.parametrize("weight", ["inverse", [0.75, 0.75, 3.0], dict(cat=4.0)])
def test_the_background_of_mmdets_config_stays(weight):
    """Where a config changes the loss and its weights, and leaves the rest."""
    loss = softmax(class_weight=weight, bg_cls_weight=0.1)
    config = dict(type="imb_det.DETRHead", num_classes=CLASSES, embed_dims=8)
    head = MODELS.build(ConfigDict(config, loss_cls=loss))
    for part in head.modules():
        if hasattr(part, "set_class_stats"):
            part.set_class_stats(STATS)
    assert head.bg_cls_weight == pytest.approx(0.1)


def test_a_head_of_mmdet_is_told_no_weights_that_move():
    """Once, before the first iteration, where nobody has measured them yet."""
    loss = softmax("imb_det.CDBLoss", bg_weight=0.1)
    config = dict(num_classes=CLASSES, embed_dims=8, loss_cls=loss)
    for scope in ("mmdet", "imb_det"):
        head = MODELS.build(ConfigDict(config, type=f"{scope}.DETRHead"))
        found = list(check_loss_callers(CheckContext(model=head)))
        assert ["type='imb_det.DETRHead'" in x.remedy for x in found] == (
            [True] if scope == "mmdet" else []
        )


def test_an_encoder_with_a_softmax_is_refused():
    with pytest.raises(ValueError, match="`loss_enc_cls` must be a sigmoid loss"):
        losses_of("imb_det.DeformableDETRHead", FOCAL, loss_enc_cls=softmax(), **TWO)


FOCAL = dict(type="imb_det.FocalLoss", use_sigmoid=True, gamma=2.0)
TWO = dict(num_pred_layer=3, as_two_stage=True)


def test_proposals_are_neutral_to_the_classes():
    _, plain = losses_of("imb_det.DeformableDETRHead", FOCAL, True, **TWO)
    theirs = dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25)
    _, wanted = losses_of("mmdet.DeformableDETRHead", theirs, True, **TWO)
    assert plain.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(plain[name], value)
    heavy = dict(FOCAL, alpha=[0.9, 0.25, 0.25])
    _, found = losses_of("imb_det.DeformableDETRHead", heavy, True, **TWO)
    torch.testing.assert_close(found["enc_loss_cls"], plain["enc_loss_cls"])
    assert not torch.equal(found["loss_cls"], plain["loss_cls"])
    head, same = losses_of(
        "imb_det.DeformableDETRHead", heavy, True, loss_enc_cls=heavy, **TWO
    )
    assert not torch.equal(same["enc_loss_cls"], plain["enc_loss_cls"])
    assert head.loss_cls is not head.loss_enc_cls


def test_mmdets_head_of_two_stages_is_refused_with_numbers_of_classes():
    heavy = dict(FOCAL, alpha=[0.9, 0.25, 0.25])
    head, _ = losses_of("mmdet.DeformableDETRHead", heavy, True, **TWO)
    (found,) = check_loss_callers(CheckContext(model=head))
    assert "imb_det.DeformableDETRHead" in found.remedy
    for kind, loss in (
        ("imb_det.DeformableDETRHead", heavy),
        ("mmdet.DeformableDETRHead", FOCAL),
    ):
        head, _ = losses_of(kind, loss, True, **TWO)
        assert not list(check_loss_callers(CheckContext(model=head)))
    head, _ = losses_of("mmdet.DeformableDETRHead", heavy, num_pred_layer=2)
    assert not list(check_loss_callers(CheckContext(model=head)))


@pytest.mark.parametrize("average", ["examples", "avg_factor"])
def test_an_encoder_has_no_part_in_statistics_of_queries(average):
    """It proposes many more, for which neither their number nor their density is."""
    ghm = dict(type="imb_det.GHMCLoss", use_sigmoid=True, average=average)
    for scope, is_refused in (("mmdet", True), ("imb_det", False)):
        head = MODELS.build(
            dict(type=f"{scope}.DeformableDETRHead", num_classes=3, loss_cls=ghm, **TWO)
        )
        told = list(check_loss_callers(CheckContext(model=head)))
        assert len(told) == is_refused
        for found in told:
            assert "statistics of these queries" in found.evidence
            assert "imb_det.DeformableDETRHead" in found.remedy


@pytest.mark.parametrize(
    ("scope", "kind"),
    [
        *(("mmdet", kind) for kind in query_heads.KINDS),
        ("imb_det", "DETRHead"),
        ("imb_det", "DeformableDETRHead"),
    ],
)
def test_difficulty_with_a_weight_of_background_has_mmdets_divisor(scope, kind):
    """In all heads, whose calls divide by objects and weighted background."""
    found = []
    for loss in (
        softmax("imb_det.CDBLoss", bg_weight=0.1),
        softmax("mmdet.CrossEntropyLoss", class_weight=[1.0, 1.0, 1.0, 0.1]),
    ):
        torch.manual_seed(0)
        ours = loss["type"].startswith("imb_det.")
        weights = loss.pop("class_weight", None)
        head = query_heads.build(kind, loss, scope if ours else "mmdet")
        if ours:
            bind_losses(head)
        else:  # what mmdet's DETRHead makes of `bg_cls_weight=0.1`
            head.loss_cls.class_weight, head.bg_cls_weight = weights, 0.1
        assert head.bg_cls_weight == pytest.approx(0.1)
        found.append(query_heads.losses_of(kind, head))
    own, wanted = found
    names = [name for name in wanted if "loss_cls" in name and "aux" not in name]
    assert len(names) >= query_heads.LAYERS
    for name in names:
        torch.testing.assert_close(own[name], wanted[name], rtol=1e-4, atol=1e-6)
