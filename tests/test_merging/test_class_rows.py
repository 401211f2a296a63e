"""Rows of classes, mapped by name."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from imb_det.merging import class_rows, with_classes
from imb_det.merging.class_rows import ClassRows, take_rows
from tests.toys import MODELS, retinanet_config

NAMES = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True)


@pytest.mark.parametrize(
    ("name", "rows", "classes", "extra", "wanted"),
    [
        ("roi_head.bbox_head.fc_cls.weight", 4, 3, 1, ClassRows(3, 1, 4)),
        ("roi_head.bbox_head.fc_reg.weight", 12, 3, 1, ClassRows(3, 1, 12, 4)),
        ("roi_head.bbox_head.fc_reg.bias", 4, 3, 1, None),  # of all classes
        ("roi_head.bbox_head.fc_reg.bias", 4, 2, 1, None),
        ("roi_head.bbox_head.fc_reg.bias", 4, 4, 1, None),
        ("roi_head.mask_iou_head.fc_mask_iou.bias", 3, 3, 1, ClassRows(3, 1, 3, 1)),
        ("semantic_head.conv_logits.weight", 9, 3, 1, None),
        ("roi_head.mask_head.conv_logits.weight", 3, 3, 1, ClassRows(3, 1, 3, 1)),
        ("mask_head.fc_logits.weight", 147, 3, 1, ClassRows(3, 1, 147, 49)),
        ("mask_head.fc_logits.weight", 49, 7, 1, None),  # of all classes
        ("bbox_head.retina_cls.weight", 27, 3, 0, ClassRows(3, 9, 3)),
        ("bbox_head.retina_cls.bias", 36, 3, 1, ClassRows(3, 9, 4)),
        ("bbox_head.retina_reg.weight", 36, 3, 0, None),
        ("bbox_head.rtm_cls.1.weight", 3, 3, 0, ClassRows(3, 1, 3)),
        ("bbox_head.cls_branches.2.bias", 3, 3, 0, ClassRows(3, 1, 3)),
        ("panoptic_head.cls_embed.weight", 4, 3, 1, ClassRows(3, 1, 4)),
        ("dn_query_generator.label_embedding.weight", 3, 3, 0, ClassRows(3, 1, 3)),
        ("rpn_head.rpn_cls.weight", 3, 3, 0, None),
        ("bbox_head.cls_convs.0.conv.weight", 9, 3, 0, None),
        ("bbox_head.retina_bbox_cls.weight", 9, 3, 0, None),
        ("neck.convs.0.weight", 3, 3, 0, None),
    ],
)
def test_which_rows_are_of_classes(name, rows, classes, extra, wanted):
    assert class_rows(name, rows, classes, extra) == wanted


@pytest.mark.parametrize(
    ("name", "repeats", "each", "extra"),
    [
        ("head.fc_cls.weight", 1, 1, 1),
        ("head.fc_reg.weight", 1, 4, 1),
        ("head.retina_cls.weight", 3, 1, 0),
        ("head.retina_cls.weight", 3, 1, 1),
    ],
)
@given(old=NAMES, new=NAMES, fill=st.sampled_from(["keep", "mean"]))
def test_rows_follow_their_names(name, repeats, each, extra, old, new, fill):
    """Each row holds its class, as a number, and its place in the class."""
    extra_rows = 0 if "fc_reg" in name else extra

    def tensor(classes, sign):
        blocks = []
        for repeat in range(repeats):
            for label in classes:
                for inner in range(each):
                    value = ord(label) if sign > 0 else -1
                    blocks.append([value, repeat, inner])
            blocks += [[sign * 1000, repeat, i] for i in range(extra_rows)]
        return torch.tensor(blocks, dtype=torch.float32)

    source, target = {name: tensor(old, 1)}, {name: tensor(new, -1)}
    made, kept = with_classes(source, target, old, new, extra, fill)
    assert kept == []
    rows = class_rows(name, len(target[name]), len(new), extra)
    for label, of_name in enumerate(new):
        found = made[name][rows.index(label)]
        if of_name in old:
            assert (found[:, 0] == ord(of_name)).all()
        elif fill == "keep":
            assert (found[:, 0] == -1).all()
        else:
            mean = sum(map(ord, old)) / len(old)
            torch.testing.assert_close(found[:, 0], torch.full((len(found),), mean))
    assert (made[name][rows.others(), 0] == 1000).all()  # background comes along


def test_a_detector_for_other_classes():
    torch.manual_seed(0)
    old, new = (MODELS.build(retinanet_config(num_classes=n)) for n in (3, 5))
    names = ("ant", "bee", "cat"), ("bee", "dog", "ant", "elk", "fox")
    made, kept = with_classes(old.state_dict(), new.state_dict(), *names)
    assert kept == []
    new.load_state_dict(made)
    maps = [torch.randn(1, 8, s, s) for s in (8, 4, 2)]
    before, after = old.bbox_head(maps)[0], new.bbox_head(maps)[0]
    for one, other in zip(before, after, strict=True):
        one = one.reshape(6, 3, *one.shape[2:])
        other = other.reshape(6, 5, *other.shape[2:])
        torch.testing.assert_close(other[:, 2], one[:, 0])
        torch.testing.assert_close(other[:, 0], one[:, 1])


@pytest.mark.parametrize(
    ("name", "old", "new", "rows", "extra"),
    [
        ("fc_cls.weight", "x", "xyz", (4, 4), 1),  # names of one class for three
        ("retina_cls.weight", "abc", "abz", (9, 27), 0),  # other anchors
        ("fc_cls.weight", "abcd", "abc", (4, 4), 1),  # sigmoids beside a softmax
        ("scale", "a", "b", (2, None), 0),  # none for many
    ],
)
def test_layers_of_another_form_stay(name, old, new, rows, extra):
    shapes = [(n, 2) if "weight" in name else (n,) if n else () for n in rows]
    source, target = {name: torch.ones(shapes[0])}, {name: torch.zeros(shapes[1])}
    made, kept = with_classes(source, target, old, new, extra)
    assert kept == [name]
    assert torch.equal(made[name], target[name])
    assert take_rows(target, source, old, new, [], extra) == []


def test_boxes_of_all_classes_stay_in_one_piece():
    box = torch.arange(4.0)
    for old, new in (("ab", "ba"), ("ab", "abcd"), ("x", "ab"), ("x", "abc")):
        made, kept = with_classes({"fc_reg.bias": box}, {"fc_reg.bias": -box}, old, new)
        assert kept == []
        assert torch.equal(made["fc_reg.bias"], box)


def test_numbers_of_losses_stay_with_their_classes():
    name = "roi_head.bbox_head.loss_cls.seen.value"
    source, target = {name: torch.ones(2)}, {name: torch.zeros(2)}
    made, kept = with_classes(source, target, "ab", "ba")
    assert kept == [name]
    assert torch.equal(made[name], target[name])
    made, kept = with_classes(source, target, "ab", "ab")
    assert kept == []
    assert torch.equal(made[name], source[name])


def test_points_stay_with_the_masks_that_they_refine():
    """Their layers have the masks of all classes, in their order, as inputs."""
    names = [f"roi_head.point_head.{layer}.weight" for layer in ("fcs.0", "fc_logits")]
    source = {name: torch.ones(2, 5, 1) for name in names}
    target = {name: torch.zeros(2, 5, 1) for name in names}
    made, kept = with_classes(source, target, "ab", "ba")
    assert kept == names
    assert not any(value.any() for value in made.values())
    assert take_rows(made, source, "ab", "ba", ["a"]) == []
    made, kept = with_classes(source, target, "ab", "ab")
    assert kept == []


def test_what_does_not_fit_is_told():
    source = {"a": torch.ones(2, 3), "b": torch.ones(2)}
    target = {"a": torch.zeros(2, 4), "b": torch.zeros(2), "c": torch.zeros(1)}
    made, kept = with_classes(source, target, ["x"], ["y"])
    assert kept == ["a", "c"]
    assert torch.equal(made["a"], target["a"])
    assert torch.equal(made["b"], source["b"])
