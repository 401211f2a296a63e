"""Sessions of merging, on detectors that are not trained."""

import pytest
import torch

from imb_det.checkpoint_files import read_weights
from imb_det.merging.positioning import PARTS
from imb_det.merging.session import MergingSession
from tests.test_calibration.test_session import toy_config, write_weights


@pytest.fixture
def folder(tmp_path):
    config = toy_config(tmp_path)
    for seed, name in enumerate("ab"):
        write_weights(config, tmp_path / f"{name}.pth", seed)
    return tmp_path, config


def session_of(folder, names="ab", has_base=False, keep=None):
    root, config = folder
    files = [root / f"{name}.pth" for name in names]
    return MergingSession(config, files, root / "out", has_base, keep)


def test_what_a_rule_cannot_do_is_refused(folder, monkeypatch):
    session = session_of(folder, has_base=True)
    monkeypatch.setattr(session, "figures", None)  # before any image is looked at
    for rule, values, parts, match in (
        ("wise_ft", [0.2, 1.5], {}, "`alpha` must be"),
        ("wise_ft", [0.2], {"backbon": 0.1}, "`parts` must be one of"),
        ("wise_ft", [0.2], {"backbone": 1.1}, "`alpha` must be"),
        ("ties", [float("nan")], {}, "`ties` must be"),
        ("ties", [1, 2], dict.fromkeys(PARTS, 0.5), "numbers of their own"),
        ("ties", [1], dict.fromkeys(PARTS, 0.5), "numbers of their own"),
        ("uniform", [], {"head": 0.1}, "no number"),
        ("mean", [1.0], {}, "`rule` must be one of"),
    ):
        with pytest.raises(ValueError, match=match):
            session.best_of(rule, values, parts, 1)
    with pytest.raises(ValueError, match="`keep` must be"):
        session_of(folder, has_base=True, keep=2)
    without = session_of(folder)
    with pytest.raises(ValueError, match="needs a base"):
        without.best_of("ties", [], {}, 1)


def test_ties_keeps_the_share_that_is_given(folder):
    name = "bbox_head.retina_cls.weight"
    few, all_of_it = (
        session_of(folder, has_base=True, keep=keep).merged("ties")
        for keep in (None, 1.0)
    )
    base, tuned = (read_weights(folder[0] / f"{n}.pth")[1][name] for n in "ab")
    torch.testing.assert_close(all_of_it[name], tuned)
    assert (few[name] != base).float().mean() == pytest.approx(0.2, abs=0.01)


def test_parts_that_are_not_there_are_refused(folder, monkeypatch):
    session = session_of(folder, has_base=True)
    for state in session.parents.states:
        for name in [n for n in state if n.startswith("neck.")]:
            del state[name]
    with pytest.raises(ValueError, match="nothing that is merged is of the neck"):
        session.best_of("wise_ft", [0.5], {"neck": 0.1}, 1)


def test_positions_by_a_loss_that_goes_by_counts(folder, monkeypatch):
    """The parents were trained without: the counts are those of the config's set."""
    loss = dict(type="imb_det.LogitAdjustmentLoss", use_sigmoid=True)
    folder[1].model.bbox_head.loss_cls = loss
    made = session_of(folder, has_base=True).positioned(1, False)
    assert made.keys() == read_weights(folder[0] / "a.pth")[1].keys()


def test_the_best_is_taken_where_ap_is_not_defined(folder, monkeypatch, capsys):
    session = session_of(folder, has_base=True)
    found = iter([0.1, 0.1, float("nan"), 0.3, 0.2])
    monkeypatch.setattr(session, "figures", lambda state: {"AP": next(found)})
    made = session.best_of("wise_ft", [0.2, 0.4, 0.6], {}, 1)
    name = "bbox_head.retina_cls.weight"
    torch.testing.assert_close(made[name], session.merged("wise_ft", 0.4)[name])
    assert "wise_ft, 0.4" in capsys.readouterr().out


@pytest.mark.parametrize(("alpha", "place"), [(0.0, 0), (1.0, 1)])
def test_ends_are_the_parents_with_their_normalisation(
    folder, monkeypatch, alpha, place
):
    root, config = folder
    config.model.neck.norm_cfg = dict(type="BN")
    for number, name in enumerate("ab"):
        write_weights(config, root / f"{name}.pth", number)
    session = session_of(folder, has_base=True)
    (name, *_) = (n for n in session.parents.states[0] if n.endswith("running_mean"))
    for number, state in enumerate(session.parents.states):
        state[name] = torch.full_like(state[name], float(number))
    monkeypatch.setattr(session, "figures", lambda state: {"AP": 0.1})
    made = session.best_of("wise_ft", [alpha], {}, 1)
    parent = session.parents.states[place]
    assert all(torch.equal(made[key], parent[key]) for key in parent)
    between = session.best_of("wise_ft", [0.5], {}, 1)[name]
    assert not torch.allclose(between, torch.full_like(between, 0.5))


def test_parts_are_in_the_table(folder, monkeypatch, capsys):
    session = session_of(folder, has_base=True)
    monkeypatch.setattr(session, "figures", lambda state: {"AP": 0.1})
    session.best_of("wise_ft", [0.2], {"neck": 0.4}, 1)
    assert "wise_ft, 0.2, neck 0.4" in capsys.readouterr().out
    session.best_of("wise_ft", [], dict.fromkeys(PARTS, 0.1), 1)
    out = capsys.readouterr().out
    assert "wise_ft, backbone 0.1, neck 0.1, head 0.1" in out


def test_a_loader_without_batches_is_refused(folder):
    session = session_of(folder, has_base=True)
    session.config.train_dataloader.update(batch_size=1000, drop_last=True)
    with pytest.raises(ValueError, match="no batch of images"):
        session.positioned(1, False)


def test_greedy_with_ap_that_is_not_defined(folder, monkeypatch):
    session = session_of(folder)
    found = iter([float("nan"), 0.2, 0.1])
    monkeypatch.setattr(session, "figures", lambda state: {"AP": next(found)})
    counted, plain = [], session.recount
    monkeypatch.setattr(
        session, "recount", lambda *given: counted.append(given) or plain(*given)
    )
    made = session.greedy(1)
    assert [images for _, images in counted] == [1]  # the best is as it was tested
    name = "bbox_head.retina_cls.weight"
    assert torch.equal(made[name], session.parents.states[1][name])


def test_parents_that_lack_tensors(folder, capsys):
    root, _ = folder
    content, state = read_weights(root / "b.pth")
    del state["bbox_head.retina_cls.bias"]
    state["bbox_head.retina_reg.bias"] = torch.zeros(3)
    torch.save(dict(content, state_dict=state, ema_state_dict=1), root / "c.pth")
    session = session_of(folder, "ac")
    state = session.best_of("uniform", [], {}, 1)
    (row,) = (r for r in capsys.readouterr().out.splitlines() if r.startswith("c.pth"))
    assert row.split()[1:] == ["-"] * (len(row.split()) - 1)
    with pytest.raises(ValueError, match="`greedy` tests each by itself"):
        session.greedy(1)
    with pytest.raises(ValueError, match="does not fit the config: size mismatch"):
        session_of(folder, "ca")
    session.write(state, root / "made.pth")
    assert torch.load(root / "made.pth").keys() == {"state_dict"}


def test_heads_that_are_not_known_can_be_merged(folder, monkeypatch):
    """How classes lie in a head matters only where they differ."""

    def unknown(model):
        raise TypeError

    monkeypatch.setattr("imb_det.merging.session.extra_outputs", unknown)
    session_of(folder).merged("uniform")
