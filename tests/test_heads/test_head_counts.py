"""Each head gets the counts of its own outputs."""

import pytest
import torch
from mmdet.models.dense_heads import YOLACTProtonet
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.models.roi_heads.mask_heads import FCNMaskHead, FusedSemanticHead
from mmdet.models.seg_heads import PanopticFPNHead
from torch import nn

from imb_det.checks import check_loss_callers, check_num_classes
from imb_det.core import CheckContext, FindingsError, HandOver, Severity
from imb_det.core.listener import ClassStatsListener
from imb_det.heads.head_counts import counts_of_heads
from imb_det.losses import CrossEntropyLoss
from imb_det.registry import MODELS
from imb_det.statistics import ClassStats, class_weights
from imb_det.statistics.class_slices import by_pixel, of_stuff, of_things
from tests.panoptic_toys import PIPELINE, panoptic_fpn
from tests.segmented_sets import (
    METAINFO,
    STUFF,
    build,
    stub_panopticapi,
    write_panoptic,
)
from tests.test_statistics.test_segments import STATS
from tests.toy_runner import make_runner

HOOK = (dict(type="imb_det.ImbalanceHook"),)


def own(kind, **arguments):
    return dict(type=f"imb_det.{kind}", **arguments)


def seg(**arguments):
    return own("CrossEntropyLoss", ignore_index=255, **arguments)


class Toy(nn.Module):
    """Heads as a check and a hook find them."""

    def __init__(self, **heads):
        super().__init__()
        for name, head in heads.items():
            setattr(self, name, head)

    def informed(self, stats=STATS):
        parts = [part for part in self.modules() if part is not self]
        own_counts = counts_of_heads(parts, stats)
        HandOver(ClassStatsListener, "set_class_stats")(parts, stats, own=own_counts)
        return self


def head(num_classes, loss, **attributes):
    made = nn.Module()
    made.num_classes, made.loss_cls = num_classes, MODELS.build(loss)
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def semantic(loss, num_things=2, num_classes=5):
    return PanopticFPNHead(
        num_things_classes=num_things,
        num_stuff_classes=num_classes - num_things,
        in_channels=4,
        inner_channels=2,
        norm_cfg=dict(type="GN", num_groups=1),
        loss_seg=loss,
    )


def weights_of(loss):
    parts = dict(loss.named_modules())
    (name,) = [name for name in parts if name.endswith("class_weight")]
    return parts[name].value


def test_slices_by_number_of_classes():
    rule = dict(class_weight="inverse")
    model = Toy(
        bbox_head=head(2, own("CrossEntropyLoss", use_sigmoid=False, **rule)),
        mask_head=head(2, own("CrossEntropyLoss", use_mask=True, **rule)),
        semantic_head=semantic(seg(**rule)),
        panoptic_head=head(
            5,
            own("CrossEntropyLoss", use_sigmoid=False, **rule),
            num_things_classes=2,
            num_stuff_classes=3,
        ),
        ade_head=head(5, own("PixelLoss", loss=own("CrossEntropyLoss", **rule))),
    ).informed()
    wanted = {
        model.bbox_head.loss_cls: of_things(STATS),
        model.mask_head.loss_cls: of_things(STATS),
        model.semantic_head.loss_seg: by_pixel(of_stuff(STATS)),
        model.panoptic_head.loss_cls: STATS,
        model.ade_head.loss_cls: by_pixel(STATS),
    }
    for loss, stats in wanted.items():
        rows = torch.tensor(class_weights(stats, "inverse"), dtype=torch.float32)
        torch.testing.assert_close(weights_of(loss), rows)


def test_one_thing_comes_last_where_it_is_joined():
    """With one thing both kinds of heads have as many outputs, in another order."""
    classes = ("cat", "sky", "sand")
    stats = ClassStats(
        classes,
        [2, 2, 1],
        [9, 4, 3],
        3,
        pixel_count=[9, 90, 900],
        thing_classes=["cat"],
    )
    rule = dict(class_weight="inverse")
    model = Toy(
        semantic_head=semantic(seg(**rule), 1, 3),
        overlap_head=semantic(own("DiceLoss", use_sigmoid=False, **rule), 1, 3),
        panoptic_head=head(
            3,
            own("CrossEntropyLoss", use_sigmoid=False, **rule),
            num_things_classes=1,
            num_stuff_classes=2,
        ),
    ).informed(stats)
    wanted = {
        model.semantic_head.loss_seg: by_pixel(of_stuff(stats)),
        model.overlap_head.loss_seg: of_stuff(stats),
        model.panoptic_head.loss_cls: stats,
    }
    for loss, own_stats in wanted.items():
        rows = torch.tensor(class_weights(own_stats, "inverse"), dtype=torch.float32)
        torch.testing.assert_close(weights_of(loss), rows)


def test_what_stuff_is_weighed_by_can_be_chosen():
    images = dict(class_weight=dict(rule="inverse", by="images"))
    model = Toy(semantic_head=semantic(seg(**images))).informed()
    stuff = by_pixel(of_stuff(STATS))
    wanted = class_weights(stuff, "inverse", by="images")
    found = weights_of(model.semantic_head.loss_seg)
    torch.testing.assert_close(found.double(), torch.tensor(wanted), rtol=1e-6, atol=0)
    # Two images with sky, two with sand, three with things: not by their pixels.
    assert found[0] == found[1]
    assert (found[0] / found[3]).item() == pytest.approx(3 / 2)


def test_names_are_those_of_the_outputs():
    named = seg(class_weight=dict(sky=2.0, things=0.5))
    model = Toy(semantic_head=semantic(named)).informed()
    assert weights_of(model.semantic_head.loss_seg).tolist() == [2, 1, 1, 0.5]
    model = Toy(semantic_head=semantic(seg(class_weight=dict(cat=2.0))))
    with pytest.raises(FindingsError, match=r"names \['cat'\], which are no classes"):
        model.informed()
    for numbers in ([1.0] * 3, [1.0] * 5):
        model = Toy(semantic_head=semantic(seg(class_weight=numbers)))
        with pytest.raises(FindingsError, match=f"{len(numbers)} numbers, but there a"):
            model.informed()
    box = own("CrossEntropyLoss", use_sigmoid=True, class_weight=[1.0] * 5)
    with pytest.raises(FindingsError, match="5 numbers, but there are 2 classes"):
        Toy(bbox_head=head(2, box)).informed()


@pytest.mark.parametrize("kind", ["pixels", "maps"])
def test_heads_of_other_classes(kind):
    def told(**arguments):
        config = own("DiceLoss", use_sigmoid=False, **arguments)
        config = seg(**arguments) if kind == "pixels" else config
        fused = FusedSemanticHead(1, 0, num_classes=9, loss_seg=config)
        return Toy(semantic_head=fused).informed().semantic_head.criterion

    assert weights_of(told(class_weight=[1.0] * 9)).tolist() == [1.0] * 9
    told()
    for spec in ("inverse", dict(sky=2.0)):
        with pytest.raises(FindingsError, match="FusedSemanticHead has others than"):
            told(class_weight=spec)
    with pytest.raises(FindingsError, match="has 8 numbers, but FusedSemanticHead has"):
        told(class_weight=[1.0] * 8)


def test_heads_and_losses_must_fit():
    def codes(**heads):
        context = CheckContext(model=Toy(**heads))
        return [(f.code, f.remedy) for f in check_loss_callers(context)]

    pixels = seg()
    assert codes(a=semantic(pixels), b=FusedSemanticHead(1, 0, loss_seg=pixels)) == []
    boxes = own("CrossEntropyLoss")
    line = "`loss_seg=dict(type='imb_det.CrossEntropyLoss', ignore_index=255)`"
    found = codes(a=semantic(boxes), b=FusedSemanticHead(1, 0, loss_seg=boxes))
    assert found == [("loss_caller", f"Write {line}")] * 2
    hard = own("PixelLoss", loss=boxes)
    for loss in (pixels, hard):
        assert [code for code, _ in codes(a=head(3, loss))] == ["loss_of_pixels"]
    ((code, remedy),) = codes(a=FCNMaskHead(num_convs=1, loss_mask=hard))
    assert code == "loss_of_pixels"
    assert "the loss inside of PixelLoss" in remedy
    ((code, remedy),) = codes(a=FCNMaskHead(num_convs=1, loss_mask=boxes))
    assert code == "loss_caller"
    assert "use_mask=True" in remedy
    segm = own("CrossEntropyLoss", use_sigmoid=True)
    ((code, remedy),) = codes(a=YOLACTProtonet(3, loss_segm=segm))
    assert code == "loss_caller"
    assert "`loss_segm=dict(type='mmdet.CrossEntropyLoss'" in remedy


@pytest.mark.parametrize("kind", ["CrossEntropyLoss", "DiceLoss"])
def test_a_class_that_is_taken_for_void_is_told(kind):
    """Of 256 classes or more, the default label of void is one."""

    def found(**options):
        config = own(kind, use_sigmoid=False, ignore_index=255, **options)
        fused = FusedSemanticHead(1, 0, loss_seg=config, num_classes=256)
        context = CheckContext(model=Toy(semantic_head=fused))
        return [(f.code, f.severity) for f in check_loss_callers(context)]

    assert found() == [("class_ignored", Severity.WARNING)]


@pytest.fixture
def panoptic(tmp_path, monkeypatch):
    stub_panopticapi(monkeypatch)
    return {**write_panoptic(tmp_path / "set"), "pipeline": PIPELINE}


def runner_of(folder, dataset, model, **kwargs):
    return make_runner(folder / "work", dataset, hooks=HOOK, model=model, **kwargs)


def test_a_training_of_panoptic_fpn(panoptic, tmp_path):
    """From the hook to the gradient, and with the counts of the checkpoint alone."""
    box = own("CrossEntropyLoss", use_sigmoid=False, class_weight="inverse")
    mask = own("CrossEntropyLoss", use_mask=True, class_weight="inverse")
    pixels = seg(class_weight="sqrt_inverse", loss_weight=0.5)
    model = panoptic_fpn(box, pixels, mask)
    metric = dict(type="imb_det.SemSegMetric", group_thresholds=(1, 2))
    runner = runner_of(tmp_path, panoptic, model, val_evaluator=metric)
    runner.train()
    figures = runner.message_hub.log_scalars
    # Of cat and dog, rare, sky and sand, common, and snow, which nobody has seen.
    for key in ("mIoU", "IoUr", "IoUc", "Accc"):
        assert 0 <= figures[f"val/{key}"].current() <= 100
    heads = runner.model
    found = weights_of(heads.semantic_head.loss_seg)
    assert found.tolist() == pytest.approx(
        class_weights(by_pixel(of_stuff(STATS)), "sqrt_inverse").tolist()
    )
    for loss in (heads.roi_head.bbox_head.loss_cls, heads.roi_head.mask_head.loss_mask):
        wanted = class_weights(of_things(STATS), "inverse")
        assert weights_of(loss).tolist() == pytest.approx(wanted.tolist())
    assert isinstance(heads.semantic_head.loss_seg, CrossEntropyLoss)
    again = runner_of(
        tmp_path, panoptic, model, load_from=str(tmp_path / "work" / "epoch_1.pth")
    )
    again.test()
    assert torch.equal(weights_of(again.model.semantic_head.loss_seg), found)


def test_what_does_not_fit_stops_before_the_first_iteration(panoptic, tmp_path):
    box = own("CrossEntropyLoss", use_sigmoid=False, class_weight=[1.0] * 5)
    pixels = own("CrossEntropyLoss", class_weight=[1.0] * len(STUFF))
    runner = runner_of(tmp_path, panoptic, panoptic_fpn(box, pixels))
    with pytest.raises(FindingsError) as caught:
        runner.train()
    text = str(caught.value)
    assert "`roi_head.bbox_head.loss_cls.class_weight`" in text
    assert "5 numbers, but there are 2 classes" in text
    assert "ignore_index=255" in text
    order = dict(METAINFO, classes=("sky", "cat", "dog", "sand", "snow"))
    runner = runner_of(
        tmp_path, {**panoptic, "metainfo": order}, panoptic_fpn(box, seg())
    )
    with pytest.raises(FindingsError, match="need things first among the classes"):
        runner.train()


def test_heads_of_other_things_and_stuff_are_found(tmp_path):
    dataset = build(write_panoptic(tmp_path / "set"))

    def found(num_things):
        model = Toy(semantic_head=semantic(seg(), num_things))
        context = CheckContext(model=model, datasets=dict(train=dataset))
        return [(f.code, f.evidence) for f in check_num_classes(context)]

    assert found(2) == []
    ((code, evidence),) = found(3)
    assert code == "num_classes"
    assert "has num_things_classes=3 and num_stuff_classes=2, but the data" in evidence
    # Names of things that are left over from the class of the data set tell nothing.
    names = dict(METAINFO, thing_classes=("bus",), stuff_classes=("road",))
    model = Toy(bbox_head=Shared2FCBBoxHead(in_channels=1, num_classes=2))
    left = build(write_panoptic(tmp_path / "left"), metainfo=names)
    context = CheckContext(model=model, datasets=dict(train=left))
    assert list(check_num_classes(context)) == []
    dataset._metainfo["classes"] = ("sky", "cat", "dog", "sand", "snow")
    assert [code for code, _ in found(2)] == ["things_first"]
