import json
import logging

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmengine.model import PretrainedInit
from torch.utils.data import DataLoader

from imb_det.heads import ClassThresholds
from imb_det.prior import PriorInitHook, foreground_prior
from imb_det.prior.boxes import annotated_boxes
from imb_det.prior.cache import content_key
from tests import toys
from tests.test_heads.guided_cases import CASES


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


def test_a_bias_from_a_checkpoint_is_left_alone(dataset, model, tmp_path, log):
    hook = PriorInitHook(cache_dir=str(tmp_path))
    trained = torch.nn.init.normal_(model.bbox_head.retina_cls.bias).detach().clone()
    state = {f"module.{name}": value for name, value in model.state_dict().items()}
    hook.after_load_checkpoint(None, {"state_dict": state})
    hook.before_train(FakeRunner(model, dataset))
    assert torch.equal(model.bbox_head.retina_cls.bias, trained)
    assert "bbox_head.retina_cls.bias" in log.text
    # A checkpoint of another number of classes was not loaded into this layer.
    del state["module.bbox_head.retina_cls.bias"]
    hook.after_load_checkpoint(None, {"state_dict": state})
    hook.before_train(FakeRunner(model, dataset))
    assert model.bbox_head.retina_cls.bias.unique().numel() == 1


def test_proposals_trained_alone_keep_their_bias(dataset, model, log):
    # mmdet reads such a checkpoint, of `bbox_head`, into a `rpn_head`.
    model.rpn_head = model.bbox_head
    hook = PriorInitHook("rpn_head", cache_dir=False)
    trained = model.bbox_head.retina_cls.bias.detach().clone()
    state = {
        name: value
        for name, value in model.state_dict().items()
        if not name.startswith("rpn_head.")
    }
    hook.after_load_checkpoint(None, {"state_dict": state})
    hook.before_train(FakeRunner(model, dataset))
    assert torch.equal(model.rpn_head.retina_cls.bias, trained)
    assert "rpn_head.retina_cls.bias" in log.text


@pytest.mark.parametrize("part", ["model", "head", "head with prefix"])
@pytest.mark.parametrize("kind", ["Pretrained", PretrainedInit])
@pytest.mark.parametrize("fits", [True, False])
def test_a_bias_of_a_pretrained_part_is_left_alone(
    dataset, model, tmp_path, part, kind, fits
):
    target = model if part == "model" else model.bbox_head
    state = (model if part == "head with prefix" else target).state_dict()
    name = next(key for key in state if key.endswith("retina_cls.bias"))
    trained = state[name].clone()
    if not fits:  # of other classes: mmengine leaves such a layer as it was
        state[name] = torch.zeros(7)
    path = tmp_path / "detector.pth"
    torch.save(dict(state_dict=state), path)
    config = dict(type=kind, checkpoint=str(path))
    if part == "head with prefix":
        config["prefix"] = "bbox_head."
    target.init_cfg = [dict(type="Normal", layer="Conv2d"), config]
    PriorInitHook(cache_dir=False).before_train(FakeRunner(model, dataset))
    assert torch.equal(model.bbox_head.retina_cls.bias, trained) == fits


def test_a_resumed_training_counts_for_thresholds_that_are_new(dataset):
    config = toys.retinanet_config(
        head_type="imb_det.SamplingFreeRetinaHead", adaptive_thr=True
    )
    model = toys.build_model(config)
    trained = model.bbox_head.retina_cls.bias.detach().clone()
    hook = PriorInitHook(cache_dir=False)
    hook.before_train(FakeRunner(model, dataset, iteration=5))
    assert torch.equal(model.bbox_head.retina_cls.bias, trained)
    prior = foreground_prior(dataset, model.bbox_head)
    counts = model.bbox_head.class_thresholds.num_candidates
    assert counts.tolist() == [prior.num_foreground, prior.num_candidates]
    # The proposals of a RoI head are not counted, now or then.
    roi_head = box_head(model, type="imb_det.SamplingFreeShared2FCBBoxHead")
    roi_head.class_thresholds = ClassThresholds(3)
    share = PriorInitHook("roi_head.bbox_head", foreground_share=0.1)
    share.before_train(FakeRunner(model, dataset, iteration=5))
    counts[1] += 1  # those of the checkpoint stay
    hook.before_train(FakeRunner(model, dataset, iteration=5))
    assert counts[1] == prior.num_candidates + 1


def test_thresholds_get_counts_beside_a_trained_bias(dataset, tmp_path):
    config = toys.retinanet_config(
        head_type="imb_det.SamplingFreeRetinaHead", adaptive_thr=True
    )
    model = toys.build_model(config)
    trained = model.bbox_head.retina_cls.bias.detach().clone()
    hook = PriorInitHook(cache_dir=str(tmp_path))
    hook.after_load_checkpoint(None, {"state_dict": model.state_dict()})
    hook.before_train(FakeRunner(model, dataset))
    assert torch.equal(model.bbox_head.retina_cls.bias, trained)
    prior = foreground_prior(dataset, model.bbox_head)
    counts = model.bbox_head.class_thresholds.num_candidates.tolist()
    assert counts == [prior.num_foreground, prior.num_candidates]


def test_a_changed_cache_is_not_believed(dataset, model, tmp_path, log):
    hook = PriorInitHook(cache_dir=str(tmp_path / "cache"))
    hook.before_train(FakeRunner(model, dataset))
    bias = model.bbox_head.retina_cls.bias.detach().clone()
    (cached,) = (tmp_path / "cache").iterdir()
    sound = json.loads(cached.read_text())
    other = dict(sound["prior"], num_foreground=2 * sound["prior"]["num_foreground"])
    for content in (
        dict(sound, prior=other),
        dict(sound, checksum="0" * 64),
        sound["prior"],
        [],
        dict(sound, prior=3),
    ):
        cached.write_text(json.dumps(content))
        log.clear()
        again = toys.build_model(toys.retinanet_config())
        hook.before_train(FakeRunner(again, dataset))
        assert f"{cached} is unreadable" in log.text
        assert torch.equal(again.bbox_head.retina_cls.bias, bias)
        assert json.loads(cached.read_text()) == sound


def test_cache(dataset, model, tmp_path, log, monkeypatch):
    hook = PriorInitHook(cache_dir=str(tmp_path / "cache"))
    hook.before_train(FakeRunner(model, dataset))
    (cached,) = (tmp_path / "cache").iterdir()
    counts = json.loads(cached.read_text())

    def must_not_run(*args, **kwargs):
        raise RuntimeError("counted although cached")

    with monkeypatch.context() as patch:
        patch.setattr("imb_det.prior.prior_init_hook.foreground_prior", must_not_run)
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
        (dict(head="backbone"), TypeError, "cannot count for ResNet"),
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


def test_sampling_head_is_refused(dataset):
    config = toys.retinanet_config()
    config.train_cfg.sampler = dict(type="RandomSampler", num=32, pos_fraction=0.5)
    with pytest.raises(ValueError, match="RandomSampler picks"):
        PriorInitHook(cache_dir=False).before_train(
            FakeRunner(toys.build_model(config), dataset)
        )


def test_head_with_targets_of_its_own_is_refused(dataset):
    config = toys.retinanet_config(
        head_type="TOODHead", norm_cfg=dict(type="GN", num_groups=2)
    )
    config.bbox_head.anchor_generator = dict(
        type="AnchorGenerator",
        ratios=[1.0],
        octave_base_scale=8,
        scales_per_octave=1,
        strides=[8, 16, 32],
    )
    assigner = dict(type="TaskAlignedAssigner", topk=9)
    initial = dict(type="ATSSAssigner", topk=9)
    config.train_cfg = dict(
        assigner=assigner, initial_assigner=initial, initial_epoch=1, alpha=1, beta=6
    )
    with pytest.raises(TypeError, match="cannot count for TOODHead"):
        PriorInitHook(cache_dir=False).before_train(
            FakeRunner(toys.build_model(config), dataset)
        )


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("FSAFHead", dict(reg_decoded_bbox=True)),
        ("FreeAnchorRetinaHead", {}),
    ],
)
def test_head_whose_loss_takes_other_targets_is_refused(kind, settings, dataset):
    model = toys.build_model(toys.retinanet_config(head_type=kind, **settings))
    with pytest.raises(TypeError, match=f"cannot count for {kind}"):
        PriorInitHook(cache_dir=False).before_train(FakeRunner(model, dataset))


def box_head(model, **settings):
    """Add a RoI head to a one-stage model, to be found by its path."""
    config = dict(type="Shared2FCBBoxHead", num_classes=3, in_channels=4)
    sizes = dict(fc_out_channels=8, roi_feat_size=2)
    head = toys.MODELS.build({**config, **sizes, **settings})
    model.roi_head = torch.nn.ModuleDict(dict(bbox_head=head))
    return head


def test_softmax_box_head_starts_at_the_share_of_positives(dataset, model):
    head = box_head(model, loss_cls=dict(type="CrossEntropyLoss"))
    torch.nn.init.normal_(head.fc_cls.bias)
    hook = PriorInitHook("roi_head.bbox_head", foreground_share=0.2)
    hook.before_train(FakeRunner(model, dataset))
    # Background 0.8, and 0.2 shared by three classes.
    wanted = torch.tensor([0.2 / 3, 0.2 / 3, 0.2 / 3, 0.8])
    torch.testing.assert_close(head.fc_cls.bias.softmax(0), wanted)
    # The mean gradient of cross entropy is zero there: rows of 2 positives in 10.
    bias = head.fc_cls.bias.detach().clone().requires_grad_()
    labels = torch.tensor([0, 1, 2] * 2 + [3] * 24)
    torch.nn.functional.cross_entropy(bias.expand(30, 4), labels).backward()
    torch.testing.assert_close(bias.grad, torch.zeros(4), rtol=0, atol=1e-7)


def test_sigmoid_box_head_starts_at_the_share_of_positives(dataset, model):
    loss = dict(type="imb_det.CrossEntropyLoss", use_sigmoid=True)
    head = box_head(model, loss_cls=loss)
    hook = PriorInitHook("roi_head.bbox_head", foreground_share=0.3)
    hook.before_train(FakeRunner(model, dataset))
    torch.testing.assert_close(head.fc_cls.bias.sigmoid(), torch.full((3,), 0.1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(head="roi_head.bbox_head"), "Shared2FCBBoxHead and .* is None; RoI"),
        (dict(head="bbox_head", foreground_share=0.1), "RetinaHead and .* is 0.1"),
    ],
)
def test_share_belongs_to_box_heads(arguments, message, dataset, model):
    box_head(model, loss_cls=dict(type="CrossEntropyLoss"))
    hook = PriorInitHook(cache_dir=False, **arguments)
    with pytest.raises(ValueError, match=message):
        hook.before_train(FakeRunner(model, dataset))


def test_share_of_columns_of_its_own_is_refused(dataset, model):
    box_head(model, loss_cls=dict(type="SeesawLoss", num_classes=3))
    hook = PriorInitHook("roi_head.bbox_head", foreground_share=0.1)
    with pytest.raises(TypeError, match="5 columns for 3 classes with SeesawLoss"):
        hook.before_train(FakeRunner(model, dataset))


@pytest.mark.parametrize("share", [0, 1, -0.5, float("nan")])
def test_share_out_of_range(share):
    with pytest.raises(ValueError, match=f"foreground_share.*{share}"):
        PriorInitHook(foreground_share=share)


def test_batch_augments_are_warned_of(dataset, log):
    config = toys.retinanet_config()
    config.data_preprocessor.batch_augments = [
        dict(type="BatchFixedSizePad", size=(256, 256))
    ]
    PriorInitHook(cache_dir=False).before_train(
        FakeRunner(toys.build_model(config), dataset)
    )
    assert "batch_augments" in log.text


def mosaic(root, size, times=1):
    leaf = toys.coco_dataset_config(root)
    leaf["pipeline"] = leaf["pipeline"][:2]
    mixed = dict(
        type="MultiImageMixDataset",
        dataset=leaf,
        pipeline=[
            dict(type="Mosaic", img_scale=(size, size)),
            dict(type="PackDetInputs"),
        ],
    )
    return toys.build_dataset(dict(type="RepeatDataset", times=times, dataset=mixed))


def test_cache_key_sees_every_wrapper(tmp_path, model):
    toys.write_coco(tmp_path)
    sets = [mosaic(tmp_path, 64), mosaic(tmp_path, 200), mosaic(tmp_path, 64, times=2)]
    sets += [
        toys.build_dataset(
            dict(
                type="ClassBalancedDataset",
                oversample_thr=threshold,
                dataset=toys.coco_dataset_config(tmp_path),
            )
        )
        for threshold in (0.9, 0.001)
    ]
    keys = [
        content_key(data, model.bbox_head, annotated_boxes(data), 32, None)
        for data in sets
    ]
    assert len(set(keys)) == len(keys)
    again = mosaic(tmp_path, 64)
    assert keys[0] == content_key(
        again, model.bbox_head, annotated_boxes(again), 32, None
    )


def test_cache_key_sees_the_points_of_a_head(tmp_path, dataset):
    changes = [
        {},
        dict(regress_ranges=((-1, 32), (32, 48), (48, 1e8))),
        dict(center_sampling=True),
        dict(center_sampling=True, center_sample_radius=0.5),
    ]
    heads = [CASES["FCOSHead"].build(**settings) for settings in changes]
    annotated = annotated_boxes(dataset)
    keys = [content_key(dataset, head, annotated, 32, None) for head in heads]
    assert len(set(keys)) == len(keys)


def test_cache_dir_forms(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", "/home/nobody")
    found = [PriorInitHook(cache_dir=v).cache_dir for v in (None, True, False)]
    assert found == [tmp_path / "imb_det", tmp_path / "imb_det", None]
    assert PriorInitHook(cache_dir=tmp_path).cache_dir == tmp_path
    assert str(PriorInitHook(cache_dir="~/c").cache_dir) == "/home/nobody/c"
