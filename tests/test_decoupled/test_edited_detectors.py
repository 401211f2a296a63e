"""Detectors whose classifiers are edited, or get more classes, on a toy data set."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from imb_det.analysis.box_features import box_dataset
from imb_det.decoupled.class_means import class_means
from imb_det.decoupled.edit_session import EditSession
from imb_det.decoupled.expansion import expand
from tests import toys
from tests.two_stages import config_of, write_weights


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Config, checkpoint and folder; nothing is trained."""
    folder = tmp_path_factory.mktemp("detector")
    toys.write_coco(folder)
    cfg = config_of(folder)
    return cfg, write_weights(cfg, folder / "a.pth"), folder


def test_means_are_those_of_the_boxes(trained):
    cfg, checkpoint, _ = trained
    model = MODELS.build(cfg.model)
    model.load_state_dict(torch.load(checkpoint)["state_dict"])
    pipeline = cfg.test_dataloader.dataset.pipeline
    dataset = box_dataset(cfg.train_dataloader, pipeline)
    head = model.roi_head.bbox_head
    means, counts = class_means(model, dataset, head.fc_cls, 3)
    model.eval()
    total, number = torch.zeros(3, 8), torch.zeros(3)
    for i in range(len(dataset)):  # box by box
        data = dataset[i]
        truth = data["data_samples"].gt_instances
        image = model.data_preprocessor(
            dict(inputs=[data["inputs"]], data_samples=[data["data_samples"]])
        )["inputs"]
        for box, label in zip(truth.bboxes.tensor, truth.labels, strict=True):
            roi = torch.cat([torch.zeros(1), box])[None]
            with torch.no_grad():
                x = model.roi_head.bbox_roi_extractor(model.extract_feat(image), roi)
                for fc in head.shared_fcs:
                    x = fc(x.flatten(1)).relu()
            total[label] += x[0]
            number[label] += 1
    assert counts.tolist() == number.tolist()
    assert number.sum() > 6
    torch.testing.assert_close(means.float(), total / number.clamp(min=1)[:, None])
    with pytest.raises(TypeError, match="means of classes are those of regions"):
        class_means(model, dataset, head.fc_reg, 3)


@pytest.mark.parametrize(
    "method", ["tau_norm", pytest.param("ncm", marks=pytest.mark.weekly)]
)
def test_an_edited_detector_is_written_with_what_moves(trained, method, capsys):
    cfg, checkpoint, folder = trained
    session = EditSession(cfg, checkpoint, folder / method)
    session.predict("as_trained")
    session.edit(method)
    session.predict("edited")
    text = session.report(0.01, 20)
    assert "edited" in text
    assert "at an overlap of 0.5" in text
    printed = capsys.readouterr().out
    assert ("dangerous in detection" in printed) == (method == "tau_norm")
    assert "edited: roi_head.bbox_head.fc_cls" in printed
    before = torch.load(checkpoint)["state_dict"]
    content = torch.load(session.write())
    assert content["meta"]["dataset_meta"]["classes"] == toys.CLASSES
    changed = {k for k, v in content["state_dict"].items() if not v.equal(before[k])}
    fc = "roi_head.bbox_head.fc_cls"
    assert changed <= {f"{fc}.weight", f"{fc}.bias"}
    assert f"{fc}.weight" in changed
    assert content["state_dict"][f"{fc}.weight"][3].equal(before[f"{fc}.weight"][3])
    with pytest.raises(ValueError, match="of tau_norm alone"):
        session.edit("ncm", keep_bias=True)
    with pytest.raises(ValueError, match="`--method` must be one of"):
        session.edit("nothing")


@pytest.mark.parametrize("fill", ["mean", "keep"])
def test_a_detector_of_objects_gets_classes(trained, tmp_path, fill):
    cfg, _, _ = trained
    small = Config(cfg.to_dict())
    small.model.roi_head.bbox_head.num_classes = 1
    torch.manual_seed(1)
    source = MODELS.build(small.model)
    source.init_weights()
    state = source.state_dict()
    meta = dict(dataset_meta=dict(classes=("object",)))
    torch.save(dict(state_dict=state, meta=meta), tmp_path / "one.pth")
    lines = expand(cfg, tmp_path / "one.pth", tmp_path / "three.pth", fill)
    made = torch.load(tmp_path / "three.pth")
    assert made["meta"]["dataset_meta"]["classes"] == toys.CLASSES
    model = MODELS.build(cfg.model)
    model.load_state_dict(made["state_dict"])
    fc = "roi_head.bbox_head.fc_cls.weight"
    for label in range(3):
        row = made["state_dict"][fc][label]
        assert torch.equal(row, state[fc][0]) == (fill == "mean")
    assert torch.equal(made["state_dict"][fc][3], state[fc][1])  # background
    for name, value in state.items():
        if "fc_cls" not in name and "fc_reg" not in name:
            assert torch.equal(value, made["state_dict"][name]), name
    assert "classes known by name: none" in lines
    assert "new classes, with" in lines[-1]


def test_classes_of_a_smaller_detector_are_found_by_name(trained, tmp_path):
    cfg, _, _ = trained
    small = Config(cfg.to_dict())
    small.model.roi_head.bbox_head.num_classes = 2
    state = MODELS.build(small.model).state_dict()
    torch.save(dict(state_dict=state), tmp_path / "two.pth")
    with pytest.raises(ValueError, match="does not tell its classes"):
        expand(cfg, tmp_path / "two.pth", tmp_path / "three.pth")
    names = [toys.CLASSES[2], toys.CLASSES[0]]
    lines = expand(cfg, tmp_path / "two.pth", tmp_path / "b.pth", classes=names)
    made = torch.load(tmp_path / "b.pth")["state_dict"]
    for part in ("weight", "bias"):
        fc = f"roi_head.bbox_head.fc_cls.{part}"
        reg = f"roi_head.bbox_head.fc_reg.{part}"
        assert torch.equal(made[fc][[2, 0, 3]], state[fc])
        torch.testing.assert_close(made[fc][1], state[fc][:2].mean(0))
        assert torch.equal(made[reg][8:], state[reg][:4])
    assert f"new classes, with the mean of the others: ['{toys.CLASSES[1]}']" in lines
    names = [toys.CLASSES[2], toys.CLASSES[0].upper()]
    lines = expand(cfg, tmp_path / "two.pth", tmp_path / "c.pth", classes=names)
    hint = f"; perhaps the same: {toys.CLASSES[0]!r} and {names[1]!r}"
    assert any(line.startswith("new classes") and hint in line for line in lines)


def test_rows_that_no_calibrator_may_change_follow_their_names(trained, tmp_path):
    cfg, _, _ = trained
    head = cfg.model.roi_head.bbox_head
    gumbel = Config(cfg.to_dict())
    gumbel.model.roi_head.bbox_head.loss_cls = dict(type="imb_det.GumbelLoss")
    state = MODELS.build(gumbel.model).state_dict()
    torch.save(dict(state_dict=state), tmp_path / "gumbel.pth")
    names = toys.CLASSES[::-1]
    lines = expand(gumbel, tmp_path / "gumbel.pth", tmp_path / "b.pth", classes=names)
    made = torch.load(tmp_path / "b.pth")["state_dict"]
    fc = "roi_head.bbox_head.fc_cls.weight"
    assert len(state[fc]) == head.num_classes
    assert torch.equal(made[fc], state[fc].flip(0))
    assert not any("no row of a class" in line for line in lines)
    grouped = Config(cfg.to_dict())
    grouped.model.roi_head.bbox_head.loss_cls = dict(
        type="imb_det.BalancedGroupSoftmaxLoss"
    )
    with pytest.raises(TypeError, match="not logits of single classes"):
        expand(grouped, tmp_path / "gumbel.pth", tmp_path / "c.pth", classes=names)


def test_a_backbone_that_is_not_taken_over_starts_as_the_config_says(trained, tmp_path):
    """Numbers of a new start would take the place of those that are downloaded."""
    cfg, checkpoint, _ = trained
    own = Config(cfg.to_dict())
    own.model.backbone.init_cfg = dict(type="Pretrained", checkpoint="none.pth")
    content = torch.load(checkpoint)
    state = content["state_dict"]
    lost = [name for name in state if name.startswith("backbone.")]
    content["state_dict"] = {n: v for n, v in state.items() if n not in lost}
    torch.save(content, tmp_path / "without.pth")
    lines = expand(own, tmp_path / "without.pth", tmp_path / "made.pth")
    assert f"{len(state) - len(lost)} of {len(state)} tensors" in lines[0]
    made = torch.load(tmp_path / "made.pth")["state_dict"]
    assert made.keys() == content["state_dict"].keys()


def test_names_that_are_not_those_of_the_checkpoint(trained, tmp_path):
    cfg, checkpoint, _ = trained
    lines = expand(cfg, checkpoint, tmp_path / "a.pth", classes=["ant"])
    assert "no row of a class" in lines[-1]
    assert lines[-1].endswith("no such layer of one class")
    small = Config(cfg.to_dict())
    small.model.roi_head.bbox_head.num_classes = 2
    with pytest.raises(ValueError, match=r"have \[2\] classes, its training set 3"):
        expand(small, checkpoint, tmp_path / "a.pth")


def test_rows_of_another_checkpoint_are_taken_alone(trained, tmp_path):
    cfg, _, _ = trained
    parts = {("ant", "cat"): tmp_path / "head.pth", ("bee", "ant"): tmp_path / "t.pth"}
    states = []
    for seed, (names, file) in enumerate(parts.items()):
        small = Config(cfg.to_dict())
        small.model.roi_head.bbox_head.num_classes = 2
        states.append(torch.load(write_weights(small, file, seed, names))["state_dict"])
    head, tail = parts.values()
    lines = expand(cfg, head, tmp_path / "all.pth", more=[tail])
    assert f"classes of {tail}: ['bee']" in lines
    assert lines[-1] == "new classes, with the mean of the others: none"
    made = torch.load(tmp_path / "all.pth")["state_dict"]
    first, second = states
    for name, value in first.items():
        if ".fc_cls." in name:
            assert torch.equal(made[name][[0, 2, 3]], value)
            assert torch.equal(made[name][1], second[name][0])
        elif ".fc_reg." in name:
            assert torch.equal(made[name][4:8], second[name][:4])
        else:
            assert torch.equal(made[name], value)
    with pytest.raises(ValueError, match="knows no class that those before"):
        expand(cfg, head, tmp_path / "all.pth", more=[head])
    content = torch.load(tail)
    content["state_dict"] = {"roi_head.bbox_head.fc_cls.weight": torch.ones(3, 5)}
    torch.save(content, tail)
    with pytest.raises(ValueError, match=r"t\.pth has no classifier of the form"):
        expand(cfg, head, tmp_path / "all.pth", more=[tail])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (("tau_norm", 2.0), "`tau` must be in"),
        (("ncm", 0.0), "`scale` must be in"),
        (("ncm", 1.0, True), "of tau_norm alone"),
    ],
)
def test_an_edit_that_cannot_be_is_refused_before_images_are_looked_at(
    trained, tmp_path, options, match
):
    cfg, checkpoint, _ = trained
    session = EditSession(cfg, checkpoint, tmp_path)
    with pytest.raises(ValueError, match=match):
        session.check(*options)
    assert [rows.classes for rows in session.check("ncm")] == [3]
    cfg = Config(cfg.to_dict())
    cfg.model.roi_head.bbox_head.cls_predictor_cfg = dict(type="imb_det.NormedLinear")
    cosine = EditSession(cfg, write_weights(cfg, tmp_path / "cosine.pth"), tmp_path)
    with pytest.raises(TypeError, match="is a NormedLinear"):
        cosine.check("tau_norm")


@pytest.mark.parametrize("keep_bias", [False, True])
def test_independent_classes_need_their_bias(trained, tmp_path, keep_bias, capsys):
    sigmoids = dict(type="imb_det.FocalLoss", use_sigmoid=True)
    cfg = config_of(trained[2], loss_cls=sigmoids)
    weights = write_weights(cfg, tmp_path / "a.pth")
    session = EditSession(cfg, weights, tmp_path)
    session.edit("tau_norm", 0.5, keep_bias=keep_bias)
    told = "`roi_head.bbox_head.fc_cls` are independent" in capsys.readouterr().out
    assert told == (not keep_bias)
