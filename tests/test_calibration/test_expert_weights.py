"""Weights of experts: the formula, what they are in effect for, and from the tool."""

import copy

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax

from imb_det.calibration import Calibration, ExpertWeights
from imb_det.calibration.expert_weights import fit_expert_weights
from imb_det.calibration.image_sets import test_loader as loader_of
from imb_det.calibration.session import CalibrationSession
from imb_det.calibration.training_rows import box_heads, see_training_rows, with_labels
from imb_det.heads.expert_losses import ExpertLosses
from tests import toys
from tests.two_stages import config_of, model_config, started, write_weights

CE = dict(type="imb_det.CrossEntropyLoss")
BCE = dict(CE, use_sigmoid=True)
EXPERTS = dict(
    type="imb_det.MultiExpertShared2FCBBoxHead", loss_cls=None, losses=[CE, CE, CE]
)


def rows_of(losses, average, seed=0, count=40):
    """Three experts of which the second knows best."""
    loss = ExpertLosses("test", losses, average)
    torch.manual_seed(seed)
    channels = loss.get_cls_channels(3) // len(losses)
    logits = torch.randn(count, len(losses), channels)
    labels = torch.randint(0, 4, (count,))  # 3 is background
    known = labels < 3
    logits[known, 1, labels[known]] += 1.5
    logits[~known, 1, :3] -= 1.5
    return loss, logits.flatten(1), labels


def nll(weights, loss, logits, labels, counts, balance):
    """The formula, row by row."""
    shares = [n**-balance for n in counts]
    scale = sum(counts) / sum(n * v for n, v in zip(counts, shares, strict=True))
    total = 0.0
    parts = logits.double().reshape(len(logits), len(loss.experts), -1).numpy()
    for z, y in zip(parts, labels.tolist(), strict=True):
        if loss.use_sigmoid:
            if loss.average == "logits":
                p = expit((weights[:, None] * z).sum(0))
            else:
                p = (weights[:, None] * expit(z)).sum(0)
            own = -sum(np.log(p[c] if c == y else 1 - p[c]) for c in range(3))
        elif loss.average == "logits":
            own = -log_softmax((weights[:, None] * z).sum(0))[y]
        else:
            p = (weights[:, None] * np.exp(log_softmax(z, axis=1))).sum(0)
            own = -np.log(p[y])
        total += own if y == 3 else scale * shares[y] * own
    return total / len(labels)


@pytest.mark.parametrize("average", ["logits", "probabilities"])
@pytest.mark.parametrize("losses", [[CE] * 3, [BCE] * 3], ids=["softmax", "sigmoid"])
@pytest.mark.parametrize("balance", [0.0, 1.0])
def test_no_weights_are_better(average, losses, balance):
    given = rows_of(losses, average)
    counts = given[2][given[2] < 3].bincount().tolist()
    found = np.array(fit_expert_weights([given], balance))
    assert found.sum() == pytest.approx(1)
    assert found.argmax() == 1
    best = nll(found, *given, counts, balance)
    random = np.random.default_rng(0)
    tried = [random.dirichlet([0.5] * 3) for _ in range(60)]
    tried += [0.98 * found + 0.02 * corner for corner in np.eye(3)]
    assert all(nll(w, *given, counts, balance) >= best - 1e-6 for w in tried)


def test_background_counts():
    """An expert that takes background for an object is not trusted with it."""
    loss, logits, labels = rows_of([CE] * 3, "logits")
    eager = logits.unflatten(1, (3, -1)).clone()
    eager[labels < 3, 2, labels[labels < 3]] += 3  # knows objects even better
    eager[labels == 3, 2, 0] += 20
    eager = eager.flatten(1)
    alone = fit_expert_weights([(loss, eager[labels < 3], labels[labels < 3])])
    whole = fit_expert_weights([(loss, eager, labels)])
    assert alone[2] > 0.5
    assert whole[2] < 0.1


def test_what_cannot_be_fitted():
    loss, logits, labels = rows_of([CE] * 3, "logits")
    for given in ([], [(loss, logits, torch.full_like(labels, 3))]):
        with pytest.raises(ValueError, match="no box of the held-out images"):
            fit_expert_weights(given)
    with pytest.raises(ValueError, match="`balance` must be"):
        fit_expert_weights([(loss, logits, labels)], 1.5)
    for weights in ([], [0, 0], "ab", [1, -1]):
        with pytest.raises((TypeError, ValueError), match="`weights` must be"):
            ExpertWeights(weights)
    with pytest.raises(TypeError, match="no head with several experts"):
        Calibration([ExpertWeights([1, 1])]).attach(started(model_config()))
    model = started(model_config(**EXPERTS))
    with pytest.raises(ValueError, match="has 2 numbers, but the head has 3 experts"):
        Calibration([ExpertWeights([1, 1])]).attach(model)
    with pytest.raises(ValueError, match="one ExpertWeights, not two"):
        Calibration([ExpertWeights([1, 1])] * 2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experts")
    toys.write_coco(folder / "train")
    toys.write_coco(folder / "test", num_images=2, seed=5)
    config = config_of(folder / "train", **EXPERTS)
    config.test_dataloader = config_of(folder / "test").test_dataloader
    config.dump(folder / "toy.py")
    return config, write_weights(config, folder / "a.pth"), folder


def scores(model, config):
    loader = loader_of(config, config.test_dataloader.dataset)
    with torch.no_grad():
        found = model.eval().test_step(next(iter(loader)))
    return torch.cat([sample.pred_instances.scores for sample in found])


def test_one_expert_alone_is_that_head(trained):
    config, file, _ = trained
    state = torch.load(file)["state_dict"]
    model = toys.MODELS.build(config.model)
    model.load_state_dict(state)
    calibration = Calibration([ExpertWeights([0, 0, 1])])
    before = scores(model, config)
    calibration.attach(model)
    single = toys.MODELS.build(model_config())
    layer = "roi_head.bbox_head.fc_cls"
    own = {f"{layer}.{n}": state[f"{layer}.{n}"][8:] for n in ("weight", "bias")}
    single.load_state_dict({**state, **own})
    torch.testing.assert_close(scores(model, config), scores(single, config))
    again = copy.deepcopy(model)
    calibration.detach(model)
    assert torch.equal(scores(model, config), before)
    torch.testing.assert_close(scores(again, config), scores(single, config))


def test_from_the_session_to_a_checkpoint(trained, capsys):
    config, file, folder = trained
    session = CalibrationSession(config, file, folder / "out", "train")
    session.fit("expert_weights", 0.5)
    (made,) = session.calibrators
    assert made["type"] == "imb_det.ExpertWeights"
    assert "weights of the experts" in capsys.readouterr().out
    assert not hasattr(session.model, "calibration")
    loss = session.model.roi_head.bbox_head.loss_cls
    torch.testing.assert_close(loss.weights, torch.full((3,), 1 / 3))
    files = session.write(folder / "toy.py", file)
    whole = type(config).fromfile(files[0])
    model = toys.MODELS.build(whole.model)
    model.load_state_dict(torch.load(files[1])["state_dict"])
    torch.testing.assert_close(
        model.roi_head.bbox_head.loss_cls.weights, torch.tensor(made["weights"])
    )
    found = scores(model, config)
    plain = toys.MODELS.build(config.model)
    plain.load_state_dict(torch.load(file)["state_dict"])
    assert not torch.equal(found, scores(plain, config))
    plain.roi_head.bbox_head.loss_cls.weights = torch.tensor(made["weights"])
    assert torch.equal(found, scores(plain, config))


def test_rows_are_those_of_training(trained):
    """Sampled as in training: a quarter of objects at most; nothing is left behind."""
    config, file, _ = trained
    model = toys.MODELS.build(config.model)
    model.load_state_dict(torch.load(file)["state_dict"])
    fits = config.test_dataloader.dataset
    loader = loader_of(config, with_labels(model, fits))
    model.rpn_head.register_buffer("calls", torch.zeros(()))
    model.rpn_head.register_forward_pre_hook(
        lambda part, _: part.calls.add_(1) and None
    )
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    (head,), seen = box_heads(model), []
    state = torch.get_rng_state()
    for _ in range(2):
        see_training_rows(model, loader, "test", lambda *row: seen.append(row))
    assert torch.equal(torch.get_rng_state(), state)
    first, *others = seen
    assert torch.equal(first[1], others[len(others) // 2][1])  # the same draws
    loss, logits, labels = first
    assert loss is head.loss_cls
    assert logits.shape == (len(labels), 12)
    number = model.train_cfg.rcnn.sampler.num * 2  # images of a batch
    assert len(labels) <= number
    assert 0 < (labels < 3).sum() <= number / 4
    assert "forward" not in vars(head.loss_cls)
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in kept.items())


def test_moments_are_those_of_the_rows(trained):
    """LogN's mean and spread are of sampled boxes, not of all proposals."""
    _, _, folder = trained
    config = config_of(folder / "train")
    write_weights(config, folder / "plain.pth")
    given = folder / "plain.pth", folder / "n", "train"
    session = CalibrationSession(config, *given, same_split=True)
    session.fit("logn")
    (made,) = session.calibrators
    loader = loader_of(config, with_labels(session.model, session.fit_set))
    rows = []
    see_training_rows(
        session.model, loader, "test", lambda _, z, __: rows.append(z.double())
    )
    logits = torch.cat(rows)[:, :3]
    torch.testing.assert_close(torch.tensor(made["mean"]).double(), logits.mean(0))
    spread = logits.std(0, unbiased=False)
    torch.testing.assert_close(torch.tensor(made["std"]).double(), spread)
