"""Rules of merging: ends, references, and the parts around them."""

from argparse import Namespace
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from imb_det.merging import RULES, Parents, merge, ties, wise_ft
from imb_det.merging.options import read_parts, refuse_unused
from imb_det.merging.positioning import part_of, position
from imb_det.merging.recalibration import recount_norms
from imb_det.merging.rules import rule_of
from imb_det.merging.state_dicts import classes_of

numbers = st.lists(st.floats(-10, 10, width=32), min_size=4, max_size=4).map(
    lambda v: torch.tensor(v)
)


@given(base=numbers, tuned=numbers, other=numbers)
def test_ends_are_the_parents_bit_for_bit(base, tuned, other):
    assert torch.equal(wise_ft(base, tuned, 0.0), base)
    assert torch.equal(wise_ft(base, tuned, 1.0), tuned)
    assert torch.equal(merge([base, tuned, other], [0, 0, 1]), other)
    assert torch.equal(RULES["task_arithmetic"](base, [tuned], 1.0), tuned)
    assert torch.equal(RULES["task_arithmetic"](base, [tuned, other], 0.0), base)
    assert torch.equal(RULES["uniform"](None, [tuned, tuned.clone()], 1.0), tuned)


@given(base=numbers, tuned=numbers, alpha=st.floats(0, 1))
def test_between_the_ends(base, tuned, alpha):
    wanted = (1 - alpha) * base.double() + alpha * tuned.double()
    torch.testing.assert_close(wise_ft(base, tuned, alpha), wanted.float())


@given(
    base=numbers,
    states=st.lists(numbers, min_size=1, max_size=4),
    keep=st.sampled_from([0.25, 0.5, 1.0]),
    scale=st.sampled_from([0.5, 1.0]),
)
def test_ties_is_that_of_the_paper(base, states, keep, scale):
    vectors = np.array([(s.double() - base.double()).numpy() for s in states])
    kept = np.zeros_like(vectors)
    for row, own in zip(kept, vectors, strict=True):
        least = np.sort(np.abs(own))[-round(keep * 4)]
        row[np.abs(own) >= least] = own[np.abs(own) >= least]
    wanted = base.double().numpy().copy()
    for place in range(4):
        column = kept[:, place]
        sign = np.sign(column.sum())
        agreed = [v for v in column if v and np.sign(v) == sign]
        if agreed:
            wanted[place] += scale * np.mean(agreed)
    found = ties(base, states, scale, keep)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-5)


def test_ties_by_hand():
    base = torch.zeros(4)
    states = [torch.tensor([4.0, 1.0, -3.0, 0.1]), torch.tensor([1.0, -2.0, 3.5, 0.2])]
    # Half of each stays: (4, 0, -3, 0) and (0, -2, 3.5, 0); their sums have the signs
    # of 4, -2 and 0.5.
    found = ties(base, states, keep=0.5)
    assert found.tolist() == [4.0, -2.0, 3.5, 0.0]


@pytest.mark.parametrize("keep", [0, -0.1, 1.5, float("nan"), "all"])
def test_a_share_that_keeps_nothing_is_refused(keep):
    for make in (
        lambda: ties(torch.zeros(2), [torch.ones(2)], keep=keep),
        lambda: rule_of("ties", keep),
    ):
        with pytest.raises((TypeError, ValueError), match="`keep` must be"):
            make()


def test_ties_of_one_number_and_of_none():
    """Scales of dense heads have no dimension; untold numbers of classes are none."""
    found = ties(torch.tensor(1.0), [torch.tensor(2.0), torch.tensor(5.0)])
    assert found.shape == ()
    assert found == 3.5
    assert ties(torch.zeros(0), [torch.zeros(0)]).shape == (0,)


def test_the_share_of_ties_is_an_option():
    base, states = torch.zeros(4), [torch.tensor([4.0, 3.0, 2.0, 1.0])]
    assert RULES["ties"](base, states, 1.0).tolist() == [4, 0, 0, 0]
    assert rule_of("ties")(base, states, 1.0).tolist() == [4, 0, 0, 0]
    assert rule_of("ties", 0.5)(base, states, 2.0).tolist() == [8, 6, 0, 0]
    assert rule_of("uniform") is RULES["uniform"]


@pytest.mark.parametrize("alpha", [-0.1, 1.1])
def test_alpha_out_of_range(alpha):
    with pytest.raises(ValueError, match="`alpha` must be"):
        wise_ft(torch.ones(1), torch.ones(1), alpha)


def checkpoint(path, seed, classes=("ant", "bee"), **more):
    torch.manual_seed(seed)
    state = {
        "backbone.conv.weight": torch.randn(3, 2),
        "backbone.bn.num_batches_tracked": torch.tensor(seed),
        "roi_head.bbox_head.fc_cls.weight": torch.randn(len(classes) + 1, 4),
        **more,
    }
    meta = dict(dataset_meta=dict(classes=classes))
    torch.save(dict(state_dict=state, meta=meta), path)
    return state


def average(_, tensors):
    return merge(tensors, [1 / len(tensors)] * len(tensors))


def test_parents_of_different_classes(tmp_path):
    one = checkpoint(tmp_path / "a.pth", 1)
    other = checkpoint(tmp_path / "b.pth", 2, ("bee", "cat", "ant"))
    parents = Parents.read([tmp_path / "a.pth", tmp_path / "b.pth"], extra=1)
    made = parents.merged(average)
    key = "roi_head.bbox_head.fc_cls.weight"
    for row, other_row in ((0, 2), (1, 0), (2, 3)):
        wanted = (one[key][row] + other[key][other_row]) / 2
        torch.testing.assert_close(made[key][row], wanted)
    # Whole numbers are the first one's, and said to be.
    assert made["backbone.bn.num_batches_tracked"] == 1
    assert "whole numbers" in parents.text()


def test_what_is_not_shared_is_named(tmp_path):
    checkpoint(tmp_path / "a.pth", 1, only=torch.ones(2))
    checkpoint(tmp_path / "b.pth", 2, **{"backbone.conv.weight": torch.ones(3, 5)})
    parents = Parents.read([tmp_path / "a.pth", tmp_path / "b.pth"])
    assert parents.skipped["backbone.conv.weight"] == "(3, 2) and (3, 5)"
    assert "only in one of a.pth, b.pth" in parents.text()
    made = parents.merged(average)
    assert torch.equal(made["only"], torch.ones(2))


def test_more_in_a_parent_is_no_other_architecture(tmp_path):
    more = {f"mask_head.{i}": torch.ones(1) for i in range(9)}
    checkpoint(tmp_path / "a.pth", 1)
    checkpoint(tmp_path / "b.pth", 2, **more)
    parents = Parents.read([tmp_path / "a.pth", tmp_path / "b.pth"])
    assert parents.text().startswith("2 tensors are merged")
    assert "mask_head.0" in parents.text()


def test_strangers_are_told_of(tmp_path):
    """A part that is of another start is told of, however large the others are."""
    draws = torch.Generator().manual_seed(0)

    def weight(rows):
        return torch.randn(rows, 100, generator=draws)

    start = {"backbone.conv.weight": weight(500), "neck.conv.weight": weight(50)}
    start |= {"bbox_head.fc.weight": weight(50), "backbone.bn.weight": torch.ones(100)}
    checkpoint(tmp_path / "a.pth", 1, **start)
    near = {name: value + 0.01 for name, value in start.items()}
    checkpoint(tmp_path / "b.pth", 1, **near)
    checkpoint(tmp_path / "c.pth", 1, **near | {"bbox_head.fc.weight": weight(50)})
    other = {k: weight(len(v)) if v.dim() > 1 else v + 1 for k, v in start.items()}
    checkpoint(tmp_path / "d.pth", 1, **other | {"backbone.bn.var": torch.ones(9)})
    parents = Parents.read([tmp_path / f"{n}.pth" for n in "abcd"])
    alike, head, stranger = parents.likeness()
    assert alike.keys() == {"backbone", "neck", "head"}
    assert all(cosine > 0.99 for cosine in alike.values())
    assert head == alike | dict(head=pytest.approx(0, abs=0.1))
    # Factors of normalisation are alike in any two detectors.
    assert all(abs(cosine) < 0.1 for cosine in stranger.values())
    told = [line for line in parents.text().splitlines() if "hardly" in line]
    assert "c.pth" in told[0]
    assert "the head were hardly" in told[0]
    assert "the backbone and the neck and the head were hardly" in told[1]
    assert len(told) == 2


def test_the_same_checkpoint_twice_is_told_of(tmp_path):
    for name in "ab":
        checkpoint(tmp_path / f"{name}.pth", 1, weight=torch.ones(2, 2))
    checkpoint(tmp_path / "c.pth", 1, weight=torch.full((2, 2), 2.0))
    text = Parents.read([tmp_path / f"{n}.pth" for n in "cab"]).text()
    (line,) = (line for line in text.splitlines() if "has the numbers of" in line)
    assert line == f"{tmp_path / 'b.pth'} has the numbers of {tmp_path / 'a.pth'}"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_of_a_training_that_failed_are_refused(tmp_path, bad):
    mask = torch.tensor([0.0, -float("inf")])
    for name, value in (("a", 1.0), ("b", 1.0), ("c", bad)):
        weight = torch.tensor([value, 2.0])
        checkpoint(tmp_path / f"{name}.pth", 1, weight=weight, mask=mask)
    Parents.read([tmp_path / "a.pth", tmp_path / "b.pth"])
    with pytest.raises(ValueError, match=r"c\.pth has numbers .* in \['weight'\]"):
        Parents.read([tmp_path / f"{n}.pth" for n in "abc"])


def test_classes_that_a_parent_does_not_know_are_told_of(tmp_path):
    def write(name, **meta):
        state = {"bbox_head.fc_cls.weight": torch.ones(2, 2)}
        torch.save(dict(state_dict=state, meta=meta), tmp_path / f"{name}.pth")
        return tmp_path / f"{name}.pth"

    first = write("a", dataset_meta=dict(classes=["cat", "dog"]))
    other = write("b", dataset_meta=dict(classes=("Cat", "dog")))
    text = Parents.read([first, other]).text()
    assert "b.pth does not know ['cat'], whose rows stay as in" in text
    assert "perhaps the same: 'cat' and 'Cat'" in text
    assert "tells no classes" in Parents.read([first, write("c")]).text()
    same = Parents.read([first, write("d", CLASSES=("dog", "cat"))]).text()
    assert "does not know" not in same
    assert "tells no classes" not in same


@pytest.mark.parametrize(
    "meta",
    [
        dict(dataset_meta=dict(classes=("a", "b"))),
        dict(dataset_meta=dict(CLASSES=["a", "b"])),
        dict(CLASSES=("a", "b")),  # of mmdet 2
    ],
)
def test_classes_of_checkpoints(meta):
    assert classes_of(dict(meta=meta)) == ("a", "b")
    assert classes_of(dict(meta=dict(CLASSES="person"))) == ("person",)
    assert classes_of(dict(meta={})) is None
    assert classes_of({}) is None


def test_other_architectures_are_refused(tmp_path):
    torch.save(dict(state_dict=dict(a=torch.ones(1))), tmp_path / "a.pth")
    torch.save(dict(state_dict=dict(b=torch.ones(1))), tmp_path / "b.pth")
    with pytest.raises(ValueError, match="shares no parameter"):
        Parents.read([tmp_path / "a.pth", tmp_path / "b.pth"])
    with pytest.raises(ValueError, match="at least two"):
        Parents.read([tmp_path / "a.pth"])
    with pytest.raises(FileNotFoundError):
        Parents.read([tmp_path / "a.pth", tmp_path / "none.pth"])


def test_parents_of_other_types_lose_nothing():
    fine, coarse = torch.tensor([1.0, 1e-3]), torch.ones(2, dtype=torch.bfloat16)
    for made in (
        merge([coarse, fine], [0.5, 0.5]),
        ties(coarse, [fine], 0.5, keep=1.0),
    ):
        assert made.dtype == torch.float32
        torch.testing.assert_close(made, torch.tensor([1.0, 0.5005]), atol=1e-3, rtol=0)
    assert torch.equal(merge([coarse, fine], [1, 0]), coarse)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (dict(rule="uniform", values=[0.5]), "`--values` is for"),
        (dict(rule="greedy", parts=["head=1"]), "`--parts` is for"),
        (dict(rule="ties", steps=3), "`--steps` is for"),
        (dict(rule="wise_ft", keep=0.5), "`--keep` is for"),
        (dict(rule="ties", keep=0.5), None),
        (dict(rule="wise_ft", by_part=True), "`--by-part` is for"),
        (dict(rule="position", steps=0), "`--steps` must be at least 1"),
        (dict(rule="uniform", images=0), "`--images` must be at least 1"),
        (dict(rule="ties", values=[1.0], parts=["head=1"]), None),
    ],
)
def test_options_of_other_rules(given, match):
    nothing = dict.fromkeys(("values", "parts", "steps", "keep"))
    nothing |= dict(by_part=False, images=200)
    args = Namespace(**{**nothing, **given})
    with pytest.raises(ValueError, match=match) if match else nullcontext():
        refuse_unused(args)


def test_parts_of_the_command_line():
    assert read_parts(["backbone=0.2", "head=1"]) == dict(backbone=0.2, head=1.0)
    assert read_parts([]) == {}
    for text in ("backbone", "backbone=", "head=x"):
        with pytest.raises(ValueError, match=r"must be such as backbone=0\.2"):
            read_parts(["neck=1", text])
    with pytest.raises(ValueError, match="has 'neck' twice"):
        read_parts(["neck=1", "neck=0.5"])


class Toy(nn.Module):
    """Detector whose loss is the distance of its weights from 3."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(2, 2)
        self.bbox_head = nn.Linear(2, 1)
        self.bn = nn.BatchNorm1d(2)

    def data_preprocessor(self, data, training):
        return data

    def forward(self, inputs, data_samples=None, mode="tensor"):
        if mode == "tensor":
            return self.bn(inputs)
        away = sum((p - 3).square().sum() for p in self.backbone.parameters())
        away = away + sum((p + 1).square().sum() for p in self.bbox_head.parameters())
        return dict(loss=away)

    def parse_losses(self, losses):
        return losses["loss"], losses


def filled(model, backbone, head):
    state = {k: v.clone() for k, v in model.state_dict().items()}
    for key in state:
        if key.startswith(("backbone", "bbox_head")):
            state[key].fill_(backbone if key.startswith("backbone") else head)
    return state


def test_positions_go_where_the_loss_is_least():
    model = Toy()
    base, parents = filled(model, 0.0, 0.0), [filled(model, 6.0, 1.0)]
    names = [n for n in base if n.startswith(("backbone", "bbox_head"))]
    data = iter([dict(inputs=torch.zeros(1, 2))] * 400)
    options = dict(names=names, steps=200, lr=0.05)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    found = position(model, base, parents, data, by_part=True, **options)
    assert found["backbone"] == pytest.approx([0.5], abs=0.02)
    assert found["head"] == pytest.approx([-1.0], abs=0.05)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    # Checkpoints that were written in half precision have the same place.
    half = [{k: v.half() for k, v in state.items()} for state in (base, *parents)]
    data_again = iter([dict(inputs=torch.zeros(1, 2))] * 400)
    again = position(model, half[0], half[1:], data_again, by_part=True, **options)
    assert again == found
    with pytest.raises(ValueError, match="end after 1 of 200"):
        position(
            model, base, parents, iter([dict(inputs=torch.zeros(1, 2))]), **options
        )


def test_a_loss_that_is_not_finite_stops_positions():
    model = Toy()
    base, parents = filled(model, 0.0, 0.0), [filled(model, float("inf"), 1.0)]
    data = iter([dict(inputs=torch.zeros(1, 2))] * 2)
    with pytest.raises(ValueError, match="in step 1 of 2"):
        position(model, base, parents, data, names=list(base)[:4], steps=2)
    with pytest.raises(ValueError, match="`steps` must be"):
        position(model, base, parents, data, names=list(base)[:4], steps=0)
    with pytest.raises(ValueError, match="`most` must be"):
        recount_norms(model, data, most=0)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("backbone.layer1.weight", "backbone"),
        ("neck.convs.weight", "neck"),
        ("rpn_head.rpn_cls.weight", "head"),
        ("roi_head.bbox_head.fc_cls.weight", "head"),
    ],
)
def test_parts(name, part):
    assert part_of(name) == part


def test_normalisation_is_counted_over_the_images():
    model, values = Toy(), torch.randn(6, 4, 2) * 3 + 5
    model.bn.momentum = 0.2
    batches = [dict(inputs=value) for value in values]
    assert recount_norms(model, batches, most=12) == 1
    torch.testing.assert_close(model.bn.running_mean, values[:3].mean((0, 1)))
    torch.testing.assert_close(model.bn.running_var, values[:3].var(1).mean(0))
    assert model.bn.momentum == 0.2
    assert not model.training
    assert recount_norms(model, iter(()), skip=["bn"]) == 0
    # The path of another layer that begins alike is no part of this one.
    assert recount_norms(model, batches, most=12, skip=["b", "bn1"]) == 1


@pytest.mark.parametrize("rule", ["wise_ft", "task_arithmetic", "ties"])
def test_rules_that_need_a_base_say_so(rule):
    with pytest.raises(ValueError, match="needs a base"):
        RULES[rule](None, [torch.ones(2)], 0.5)
