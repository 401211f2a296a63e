"""Losses of the library in all heads of MMDetection: they train, or are refused."""

import pytest
import torch

from imb_det.checks import check_loss_callers
from imb_det.core import CheckContext

from . import mmdet_heads as heads
from . import query_heads

pytestmark = pytest.mark.filterwarnings("ignore")

SIGMOID = (
    *("CrossEntropyLoss", "FocalLoss", "GHMCLoss", "CDBLoss"),
    *("QualityFocalLoss", "VarifocalLoss"),
)


NOT_TOGETHER = {
    ("RPNHead", "CDBLoss"): "proposals have no classes",
    ("FSAFHead", "QualityFocalLoss"): "levels are chosen by losses of elements",
    ("PAAHead", "QualityFocalLoss"): "positives are chosen by losses of elements",
}
#: Heads that divide by objects of their own, or themselves: GHM-C's mean is no part.
DIVIDES = ("DINOHead", "FSAFHead", "PAAHead", "RTMDetSepBNHead", "YOLOXHead")


def config(kind, use_sigmoid=True):
    return dict(type=f"imb_det.{kind}", use_sigmoid=use_sigmoid)


def config_in(name, kind):
    """The loss as a head needs it."""
    given = config(kind, name not in heads.SOFTMAX)
    if kind == "GHMCLoss" and name in DIVIDES:
        given["average"] = "avg_factor"
    return given


def combinations():
    """Heads and losses: one loss of each head every day, the others once a week."""
    for number, name in enumerate(heads.TRAINED):
        kinds = ("CrossEntropyLoss", "CDBLoss") if name in heads.SOFTMAX else SIGMOID
        kinds = [k for k in kinds if (name, k) not in NOT_TOGETHER]
        for place, kind in enumerate(kinds):
            every_day = place == number % len(kinds)
            marks = () if every_day else pytest.mark.weekly
            yield pytest.param(name, kind, marks=marks)


@pytest.mark.parametrize(("name", "kind"), list(combinations()))
def test_trains(name, kind):
    head, losses = heads.step(name, config_in(name, kind))
    value = heads.total(losses)
    assert value.isfinite()
    value.backward()
    slopes = [p.grad for p in head.parameters() if p.grad is not None]
    assert all(slope.isfinite().all() for slope in slopes)
    assert list(check_loss_callers(CheckContext(model=head))) == []


@pytest.mark.parametrize("kind", ["QualityFocalLoss", "EqualizedQualityFocalLoss"])
@pytest.mark.parametrize("epoch", [0, 100], ids=["before", "after"])
def test_probabilities_train(kind, epoch):
    """TOOD has one loss in its first epochs and another one later."""
    losses = dict(
        loss_cls=dict(config(kind), activated=True),
        initial_loss_cls=dict(config("FocalLoss"), activated=True),
    )
    head = heads.build_dense("TOODHead", **losses)
    assert list(check_loss_callers(CheckContext(model=head))) == []
    value = heads.total(heads.dense_losses("TOODHead", head, epoch))
    assert value.isfinite()
    value.backward()


@pytest.mark.parametrize(
    "name", ["GFLHead", "RTMDetSepBNHead", "VFNetHead", "YOLOXHead"]
)
@pytest.mark.parametrize(
    "wrong",
    [
        dict(config("AlphaLoss")),
        dict(config("QualityFocalLoss"), activated=True),
        dict(config("CrossEntropyLoss", use_sigmoid=False)),
    ],
    ids=["needs classes", "probabilities", "softmax"],
)
def test_qualities_are_refused_where_there_is_no_loss_of_them(name, wrong):
    head = heads.build_dense(name)
    of_yolox = dict(reduction="sum") if name == "YOLOXHead" else {}
    head.loss_cls = heads.MODELS.build(dict(wrong, **of_yolox))
    (found,) = check_loss_callers(CheckContext(model=head))
    assert name in found.where
    words = "loss_cls=dict(type='imb_det."
    assert ("Leave `activated`" if wrong.get("activated") else words) in found.remedy


def refused(name, loss):
    head = heads.build_dense(name)
    head.loss_cls = heads.MODELS.build(loss)
    return list(check_loss_callers(CheckContext(model=head)))


def test_heads_that_divide_themselves():
    """A mean, or a divisor of the loss's own, would be one too many."""
    ghm = config("GHMCLoss")
    assert not refused("GFLHead", ghm)
    for name in ("FSAFHead", "PAAHead", "RTMDetSepBNHead"):
        (found,) = refused(name, ghm)
        assert "average='avg_factor'" in found.remedy or name.startswith("RTM")
        assert not refused(name, dict(ghm, average="avg_factor"))
    head, _ = heads.query_losses("DINOHead", dict(ghm, average="avg_factor"))
    assert not list(check_loss_callers(CheckContext(model=head)))
    head.loss_cls = heads.MODELS.build(ghm)
    (found,) = check_loss_callers(CheckContext(model=head))
    assert "average='avg_factor'" in found.remedy
    for loss in (config("CrossEntropyLoss"), config("FocalLoss")):
        (found,) = refused("YOLOXHead", loss)
        assert "reduction='sum'" in found.remedy
        assert not refused("YOLOXHead", dict(loss, reduction="sum"))


def test_boxes_of_denoising_queries_have_a_mean_of_their_own():
    """Divided by the objects of matching queries, it would be many times too large."""
    focal = config("FocalLoss")
    for name, statistics, is_refused in (
        ("DINOHead", "step", True),
        ("DDQDETRHead", "step", True),
        ("DINOHead", "call", False),
        ("DABDETRHead", "step", False),
    ):
        boxes = dict(type="imb_det.GHMRLoss", statistics=statistics)
        head = query_heads.build(name, focal, loss_bbox=boxes)
        told = list(check_loss_callers(CheckContext(model=head)))
        assert len(told) == is_refused
        for found in told:
            assert "denoising queries" in found.evidence
            assert "loss_bbox=dict(type='mmdet.L1Loss'" in found.remedy


@pytest.mark.parametrize("name", ["DETRHead", "DINOHead"])
def test_a_loss_around_a_quality_focal_loss_is_refused(name):
    """mmdet asks for the class of the loss, which the one around it has not."""
    inside = config("QualityFocalLoss")
    around = dict(config("ABSGDLoss"), loss=inside)
    head, _ = heads.query_losses(name, around)
    (found,) = check_loss_callers(CheckContext(model=head))
    assert "passes qualities to a quality focal loss" in found.evidence
    head, _ = heads.query_losses(name, inside)
    assert not list(check_loss_callers(CheckContext(model=head)))
    plain = dict(config("ABSGDLoss"), loss=config("FocalLoss"))
    head, _ = heads.query_losses(name, plain)
    assert not list(check_loss_callers(CheckContext(model=head)))


def test_probabilities_are_for_tood_alone():
    head = heads.build_dense("RetinaHead")
    head.loss_cls = heads.MODELS.build(dict(config("FocalLoss"), activated=True))
    (found,) = check_loss_callers(CheckContext(model=head))
    assert "Leave `activated` out of `loss_cls`" in found.remedy


#: Heads with losses of qualities, and those of the library that are the same.
NEUTRAL = {
    "GFLHead": dict(loss_cls="QualityFocalLoss"),
    "RTMDetSepBNHead": dict(loss_cls="QualityFocalLoss"),
    "TOODHead": dict(loss_cls="QualityFocalLoss", initial_loss_cls="FocalLoss"),
    "VFNetHead": dict(loss_cls="VarifocalLoss"),
    "YOLOXHead": dict(loss_cls="CrossEntropyLoss"),
}


def made_neutral(name, scope, **options):
    """A head with the losses of its config, of mmdet or of the library."""
    torch.manual_seed(0)
    own = heads.config_of(name)
    losses = {
        key: dict(own[key], type=f"{scope}.{kind}")
        for key, kind in NEUTRAL[name].items()
    }
    losses["loss_cls"].update(options)
    return heads.build_dense(name, **losses)


def step_of(name, head, epoch):
    torch.manual_seed(1)
    losses = heads.dense_losses(name, head, epoch)
    heads.total(losses).backward()
    return losses, [p.grad for p in head.parameters() if p.grad is not None]


@pytest.mark.parametrize("name", NEUTRAL)
@pytest.mark.parametrize("epoch", [0, 100], ids=["first epochs", "later"])
def test_neutral_losses_are_those_of_mmdet(name, epoch):
    wanted, slopes = step_of(name, made_neutral(name, "mmdet"), epoch)
    found, own_slopes = step_of(name, made_neutral(name, "imb_det"), epoch)
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-6)
    for slope, own in zip(slopes, own_slopes, strict=True):
        torch.testing.assert_close(own, slope, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["GFLHead", "RTMDetSepBNHead", "VFNetHead"])
def test_a_class_of_weight_0_pulls_nothing(name):
    """Its own elements: where it is absent they have the factor of negatives."""
    gradients = []
    for weight in (1.0, 0.0, 3.0):
        options = dict(class_weight=[weight, 1.0, 1.0])
        head = made_neutral(name, "imb_det", **options)
        seen = []

        def remember(module, args, output, seen=seen):
            args[0].retain_grad()
            seen.append((args[0], args[1]))

        head.loss_cls.register_forward_hook(remember)
        step_of(name, head, 100)
        rows = torch.cat([scores.grad for scores, _ in seen])
        own = torch.cat([own_class_of(target) for _, target in seen])
        gradients.append([rows[own == c, c] for c in (0, 1)])
    plain, none, heavy = gradients
    assert len(plain[0])
    assert (none[0] == 0).all()
    torch.testing.assert_close(heavy[0], 3 * plain[0])
    for other in (none, heavy):
        torch.testing.assert_close(other[1], plain[1])


def own_class_of(target):
    """Class of each row of a pair or a matrix, 3 for none."""
    if isinstance(target, tuple):
        label, quality = target
        return torch.where(quality > 0, label, 3)
    quality, label = target.max(1)
    return torch.where(quality > 0, label, 3)


@pytest.mark.parametrize("name", ["DINOHead", "DeformableDETRHead"])
@pytest.mark.parametrize("kind", ["QualityFocalLoss", "EqualizedQualityFocalLoss"])
def test_heads_of_queries_pass_qualities_where_they_are_asked_for(name, kind):
    def losses_of(type, **options):
        torch.manual_seed(0)
        loss = dict(type=type, use_sigmoid=True, **options)
        return heads.query_losses(name, loss)

    _, wanted = losses_of("mmdet.QualityFocalLoss")
    options = dict(scale=0.0) if kind.startswith("Equalized") else {}
    head, found = losses_of(f"imb_det.{kind}", **options)
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-6)
    _, classes = losses_of("imb_det.FocalLoss")
    assert not torch.allclose(classes["loss_cls"], found["loss_cls"])
    assert list(check_loss_callers(CheckContext(model=head))) == []


@pytest.mark.parametrize("kind", ["QualityFocalLoss", "FocalLoss"])
def test_queries_of_ddq_learn_classes(kind):
    options = dict(num_classes=3, embed_dims=8, num_pred_layer=2)
    head = heads.MODELS.build(
        dict(options, type="DDQDETRHead", loss_cls=config(kind), as_two_stage=True)
    )
    found = list(check_loss_callers(CheckContext(model=head)))
    codes = ["qualities_of_some"] * (kind == "QualityFocalLoss")
    assert [x.code for x in found] == codes


@pytest.mark.parametrize("name", ["FSAFHead", "PAAHead"])
def test_heads_that_choose_by_elements_refuse_losses_of_rows(name):
    head = heads.build_dense(name, loss_cls=config("QualityFocalLoss"))
    (found,) = check_loss_callers(CheckContext(model=head))
    assert "losses of single elements" in found.evidence


def test_losses_of_elements_have_no_largest_rows():
    """YOLACT compares rows of background; elements would be compared within a row."""
    given = dict(config("CrossEntropyLoss"), reduction="none")
    (found,) = refused("YOLACTHead", given)
    assert "use_sigmoid=False, reduction='none'" in found.remedy
    softmax = dict(config("CrossEntropyLoss", use_sigmoid=False))
    assert refused("YOLACTHead", softmax)  # a mean has no rows at all
    of_rows = dict(config("QualityFocalLoss"), reduction="none")
    for right in (dict(softmax, reduction="none"), of_rows):
        assert not refused("YOLACTHead", right)


def test_qualities_of_rows_train_in_yolact():
    """A sigmoid loss of rows: the same rows as by hand."""
    loss = dict(config("QualityFocalLoss"), reduction="none")
    head = heads.build_dense("YOLACTHead", loss_cls=loss)
    seen = []
    head.loss_cls.register_forward_hook(
        lambda module, args, rows: seen.append((args[1], rows))
    )
    losses = heads.dense_losses("YOLACTHead", head)
    positives = sum((labels < 3).sum() for labels, _ in seen)
    for (labels, rows), found in zip(seen, losses["loss_cls"], strict=True):
        background = rows[labels == 3].sort(descending=True).values
        kept = background[: 3 * (labels < 3).sum()]
        wanted = (rows[labels < 3].sum() + kept.sum()) / positives
        torch.testing.assert_close(found.sum(), wanted)


def test_words_have_no_classes():
    words = dict(max_text_len=4, log_scale=0.0, bias=True)
    more = dict(num_classes=3, embed_dims=8, num_pred_layer=2, as_two_stage=True)
    given = dict(more, contrastive_cfg=words, loss_cls=config("FocalLoss"))
    head = heads.MODELS.build(dict(type="GroundingDINOHead", **given))
    (found,) = check_loss_callers(CheckContext(model=head))
    assert "logits of words" in found.evidence
    assert "type='mmdet.FocalLoss'" in found.remedy
    assert "imb_det.RepeatFactorSampler" in found.remedy


@pytest.mark.parametrize("name", heads.NO_PLACE)
def test_heads_without_a_place_for_a_loss_say_so_themselves(name):
    with pytest.raises(TypeError, match="loss_cls"):
        heads.MODELS.build(dict(type=name, loss_cls=config("FocalLoss")))


@pytest.mark.parametrize(("name", "attribute"), sorted(heads.ALSO))
def test_other_losses_train(name, attribute):
    head = heads.build_dense(name, **{attribute: config("CrossEntropyLoss")})
    value = heads.total(heads.dense_losses(name, head))
    assert value.isfinite()
    assert list(check_loss_callers(CheckContext(model=head))) == []


@pytest.mark.parametrize(("name", "attribute"), heads.REFUSED)
def test_is_refused(name, attribute):
    head = heads.build_dense(name, **{attribute: config("CrossEntropyLoss")})
    (found,) = check_loss_callers(CheckContext(model=head))
    assert name in found.where
    assert f"`{attribute}`, CrossEntropyLoss" in found.evidence
    text = heads.REFUSED[name, attribute]
    if text is None:  # nothing would be wrong with the form of the call
        return
    assert f"{attribute}=dict(type='mmdet." in found.remedy
    place = rf"CrossEntropyLoss \(`{attribute}` of {name}\): .*{text}.*{attribute}=dict"
    with pytest.raises((TypeError, ValueError), match=place):
        heads.dense_losses(name, head)


def test_no_head_of_mmdet_is_forgotten():
    refused = {name for name, attribute in heads.REFUSED if attribute == "loss_cls"}
    assert heads.heads_with_loss_cls() == {*heads.TRAINED, *refused, *heads.LEFT_OUT}
