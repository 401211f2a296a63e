import json
import logging

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from torch.utils.data import DataLoader

from imb_det.hooks import PriorInitHook
from imb_det.statistics import foreground_prior
from tests import toys


class FakeRunner:
    """The three attributes of a runner that the hook reads."""

    def __init__(self, model, dataset, iteration=0):
        self.model = model
        self.iter = iteration
        self.train_dataloader = DataLoader(
            dataset, batch_size=2, collate_fn=pseudo_collate
        )


@pytest.fixture
def dataset(tmp_path):
    toys.write_coco(tmp_path / "data")
    return toys.build_dataset(toys.coco_dataset_config(tmp_path / "data"))


@pytest.fixture
def model():
    return toys.build_model(toys.retinanet_config())


@pytest.fixture
def log(caplog):
    logger = MMLogger.get_instance("prior_init_hook")
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.INFO)
    yield caplog
    logger.removeHandler(caplog.handler)


def test_sets_the_counted_bias(dataset, model, tmp_path, log):
    weight = model.bbox_head.retina_cls.weight.clone()
    PriorInitHook(cache_dir=str(tmp_path)).before_train(FakeRunner(model, dataset))
    prior = foreground_prior(dataset, model.bbox_head)
    bias = model.bbox_head.retina_cls.bias
    torch.testing.assert_close(bias, torch.full_like(bias, prior.bias))
    torch.testing.assert_close(
        bias.sigmoid(), torch.full_like(bias, prior.prior), rtol=1e-5, atol=0
    )
    assert torch.equal(model.bbox_head.retina_cls.weight, weight)
    for part in ("N = ", "N_f = ", "C = 3", "prior", f"bias {prior.bias:.4f}"):
        assert part in log.text


def test_classification_gradient_vanishes_on_average(dataset, model, tmp_path):
    # With all weights zero every logit is the bias: the mean gradient over one pass
    # with respect to the bias is the derivative of L(pi), and zero at the prior.
    PriorInitHook(cache_dir=str(tmp_path)).before_train(FakeRunner(model, dataset))
    torch.nn.init.zeros_(model.bbox_head.retina_cls.weight)
    total = torch.zeros(())
    magnitude = torch.zeros(())
    for index in range(len(dataset)):
        packed = dataset[index]
        batch = model.data_preprocessor(
            {"inputs": [packed["inputs"]], "data_samples": [packed["data_samples"]]},
            training=True,
        )
        model.zero_grad()
        losses = model(**batch, mode="loss")
        sampling = model.bbox_head._raw_positive_infos["sampling_results"]
        positives = sum(result.avg_factor for result in sampling)
        (sum(losses["loss_cls"]) * positives).backward()
        gradient = model.bbox_head.retina_cls.bias.grad.sum()
        total += gradient
        magnitude += gradient.abs()
    assert abs(total) < 1e-3 * magnitude


def test_resume_and_trained_bias_are_left_alone(dataset, model, tmp_path, log):
    hook = PriorInitHook(cache_dir=str(tmp_path))
    before = model.bbox_head.retina_cls.bias.clone()
    hook.before_train(FakeRunner(model, dataset, iteration=5))
    assert torch.equal(model.bbox_head.retina_cls.bias, before)
    assert "resumed" in log.text
    torch.nn.init.normal_(model.bbox_head.retina_cls.bias)
    trained = model.bbox_head.retina_cls.bias.clone()
    hook.before_train(FakeRunner(model, dataset))
    assert torch.equal(model.bbox_head.retina_cls.bias, trained)
    assert "trained bias" in log.text


def test_cache(dataset, model, tmp_path, log, monkeypatch):
    hook = PriorInitHook(cache_dir=str(tmp_path / "cache"))
    hook.before_train(FakeRunner(model, dataset))
    (cached,) = (tmp_path / "cache").iterdir()
    counts = json.loads(cached.read_text())

    def must_not_run(*args, **kwargs):
        raise RuntimeError("counted although cached")

    with monkeypatch.context() as patch:
        patch.setattr("imb_det.hooks.prior_init_hook.foreground_prior", must_not_run)
        again = toys.build_model(toys.retinanet_config())
        hook.before_train(FakeRunner(again, dataset))
        assert torch.equal(
            again.bbox_head.retina_cls.bias, model.bbox_head.retina_cls.bias
        )
        # Other anchors, another divisor or other boxes are another question.
        other = toys.retinanet_config()
        other.bbox_head.anchor_generator.octave_base_scale = 4
        with pytest.raises(RuntimeError, match="although cached"):
            hook.before_train(FakeRunner(toys.build_model(other), dataset))
        padded = toys.retinanet_config()
        padded.data_preprocessor.pad_size_divisor = 64
        with pytest.raises(RuntimeError, match="although cached"):
            hook.before_train(FakeRunner(toys.build_model(padded), dataset))
        toys.write_coco(tmp_path / "other", seed=1)
        changed = toys.build_dataset(toys.coco_dataset_config(tmp_path / "other"))
        with pytest.raises(RuntimeError, match="although cached"):
            hook.before_train(
                FakeRunner(toys.build_model(toys.retinanet_config()), changed)
            )
    # A damaged file is counted anew and mended.
    cached.write_text("{")
    hook.before_train(FakeRunner(toys.build_model(toys.retinanet_config()), dataset))
    assert "unreadable" in log.text
    assert json.loads(cached.read_text()) == counts


def test_no_cache(dataset, model, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    PriorInitHook(cache_dir=False).before_train(FakeRunner(model, dataset))
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(head="rpn_head"), ValueError, "RetinaNet has no part .*bbox_head"),
        (dict(head="backbone"), TypeError, "ResNet has no"),
        (dict(layer="fc_cls"), ValueError, "'fc_cls'.*retina_cls"),
    ],
)
def test_wrong_head_or_layer(arguments, error, message, dataset, model):
    hook = PriorInitHook(cache_dir=False, **arguments)
    with pytest.raises(error, match=message):
        hook.before_train(FakeRunner(model, dataset))


def test_softmax_head_is_refused(dataset):
    config = toys.retinanet_config()
    config.bbox_head.loss_cls.use_sigmoid = False
    with pytest.raises(TypeError, match="softmax"):
        PriorInitHook(cache_dir=False).before_train(
            FakeRunner(toys.build_model(config), dataset)
        )


def test_bad_error_bound():
    with pytest.raises(ValueError, match="max_relative_error"):
        PriorInitHook(max_relative_error=2.0)
