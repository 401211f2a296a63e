"""Sessions of calibration: which images, which methods, and what is written."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint

from imb_det.calibration import calibrators
from imb_det.calibration.fitting import METHODS
from imb_det.calibration.image_sets import ann_file_of, fit_set
from imb_det.calibration.image_sets import test_loader as loader_of
from imb_det.calibration.passes import calibrated
from imb_det.calibration.session import CalibrationSession
from imb_det.checkpoint_files import read_weights
from tests import toys

from .test_score_calibrators import matches_of


def loader(dataset):
    sampler = dict(type="DefaultSampler", shuffle=False)
    return dict(batch_size=3, num_workers=0, sampler=sampler, dataset=dataset)


def toy_config(root, **train):
    """Config of a detector on 9 training images, the second without objects."""
    toys.write_coco(root / "train", num_images=9)
    toys.write_coco(root / "test", num_images=3, seed=5)
    for kind in ("train", "test"):  # no image is in both
        file = root / kind / "ann.json"
        content = json.loads(file.read_text())
        for image in content["images"]:
            path = root / kind / "img" / image["file_name"]
            image["file_name"] = f"{kind}_{image['file_name']}"
            path.rename(path.with_name(image["file_name"]))
        if kind == "train":
            content["annotations"] = [
                a for a in content["annotations"] if a["image_id"] != 2
            ]
        file.write_text(json.dumps(content))
    filtered = dict(filter_cfg=dict(filter_empty_gt=True))
    train = toys.coco_dataset_config(root / "train", **{**filtered, **train})
    test = toys.coco_dataset_config(root / "test", test_mode=True)
    keys = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")
    pack = dict(type="PackDetInputs", meta_keys=keys)
    test["pipeline"] = [dict(type="LoadImageFromFile"), toys.RESIZE, pack]
    model = toys.retinanet_config()
    model.test_cfg.update(max_per_img=60, nms=dict(type="nms", iou_threshold=0.9))
    return Config(
        dict(
            default_scope="mmdet",
            model=model,
            train_dataloader=loader(train),
            test_dataloader=loader(test),
            val_dataloader=loader(test),
        )
    )


def write_weights(config, path, seed=0):
    torch.manual_seed(seed)
    state = toys.MODELS.build(config.model).state_dict()
    torch.save(dict(state_dict=state), path)
    return path


@pytest.fixture
def toy(tmp_path):
    config = toy_config(tmp_path)
    return config, write_weights(config, tmp_path / "toy.pth"), tmp_path / "out"


@pytest.fixture
def session(toy):
    return CalibrationSession(*toy, on="train")


def names_of(config):
    dataset = toys.build_dataset(config)
    return [dataset.get_data_info(i)["img_id"] for i in range(len(dataset))]


@pytest.mark.parametrize(
    ("indices", "kept"),
    # Places count the images that are left when those without objects are dropped.
    [
        pytest.param([0, 1, 2], [1, 3, 4], marks=pytest.mark.weekly),
        pytest.param(3, [1, 3, 4], marks=pytest.mark.weekly),
        (-2, [8, 9]),
    ],
)
@pytest.mark.parametrize(
    "wrapped", [True, pytest.param(False, marks=pytest.mark.weekly)]
)
def test_held_out_images_are_those_that_are_not_trained_on(
    tmp_path, indices, kept, wrapped
):
    config = toy_config(tmp_path, indices=indices)
    assert names_of(config.train_dataloader.dataset) == kept
    if wrapped:
        inner = config.train_dataloader.dataset
        config.train_dataloader.dataset = dict(
            type="RepeatDataset", times=2, dataset=inner
        )
    wanted = [i for i in (1, 3, 4, 5, 6, 7, 8, 9) if i not in kept]
    assert names_of(fit_set(config, "train-holdout")) == wanted
    assert names_of(fit_set(config, "train")) == kept
    assert names_of(fit_set(config, "train", most=2)) == [kept[0], kept[len(kept) // 2]]


def test_images_that_cannot_be_used(toy, tmp_path):
    config, weights, out = toy
    with pytest.raises(ValueError, match="no `indices`"):
        fit_set(config, "train-holdout")
    with pytest.raises(ValueError, match="must be at least 1"):
        fit_set(config, "train", 0)
    with pytest.raises(FileNotFoundError, match="no file"):
        fit_set(config, str(tmp_path / "none.json"))
    broken = tmp_path / "broken.json"
    for text in ("hello", "{}"):
        broken.write_text(text)
        with pytest.raises(ValueError, match=r"broken\.json"):
            fit_set(config, str(broken))
    copied = tmp_path / "copy.json"
    copied.write_bytes((tmp_path / "test" / "ann.json").read_bytes())
    for file in (copied, tmp_path / "test" / "ann.json"):
        with pytest.raises(ValueError, match="reported afterwards"):
            CalibrationSession(config, weights, out, str(file))
    CalibrationSession(config, weights, out, str(copied), same_split=True)
    with pytest.raises(ValueError, match="a ConcatDataset has no `ann_file`"):
        ann_file_of(dict(type="ConcatDataset", datasets=[]))
    with pytest.raises(ValueError, match="of the VOCDataset is no annotation file"):
        ann_file_of(dict(type="VOCDataset", ann_file="list.txt"))
    config.pop("test_dataloader")
    with pytest.raises(ValueError, match="no `test_dataloader`"):
        CalibrationSession(config, weights, out, "train")


def test_methods_that_do_not_fit(session):
    for name, values, match in (
        ("threshold_recall", dict(values=[0.2, 0.9]), "AP does not tell"),
        ("average_k", dict(values=[1, 2]), "AP does not tell"),
        ("norcal", dict(value=0.1, values=[0.2]), "exclude one another"),
        ("logn", dict(value=0.1), "no option"),
        ("norcal", dict(value=-1.0), "`gamma` must be"),
        ("nothing", {}, "`--method` must be one of"),
        ("average_k", {}, r"needs `--value`.* 1.8 objects on average"),
    ):
        with pytest.raises(ValueError, match=match):
            session.fit(name, **values)
    with pytest.raises(TypeError, match="no head with several experts"):
        session.fit("expert_weights")
    assert not session.calibrators
    session.fit("average_k", 5)
    with pytest.raises(ValueError, match="norcal changes logits, which come before"):
        session.fit("norcal")


def test_ap_that_stays_is_told_beforehand(session, capsys):
    session.fit("norcal", 0.5)
    assert "keeps the ranking in each class" in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(METHODS.keys() - {"expert_weights"}))
def test_every_method_is_fitted_and_in_effect(session, monkeypatch, name):
    """Those of experts have tests of their own."""
    scores = np.linspace(0.97, 1 - 1e-4, 30)  # as those of the detector
    labels, rights = np.arange(30) % 3, np.arange(30) > 17
    matches = matches_of(scores, rights, labels, [4, 4, 4])
    monkeypatch.setattr(session, "_judged", lambda _: matches)
    (batch, *_) = loader_of(session.config, session.test_set)

    def found():
        with torch.no_grad(), calibrated(session.model, session.calibrators) as model:
            samples = model.eval().test_step(batch)
        return torch.cat([sample.pred_instances.scores for sample in samples])

    before = found()
    session.fit(name, 1.0 if name == "average_k" else None)
    (made,) = session.calibrators
    assert made["type"].startswith("imb_det.")
    after = found()
    assert len(after) != len(before) or not torch.equal(after, before)


def test_values_without_ap(session, monkeypatch):
    monkeypatch.setattr(session, "_ap", lambda _: float("nan"))
    with pytest.raises(ValueError, match="no AP"):
        session.fit("norcal", values=[0.1, 0.2])


def test_weights_of_another_detector_are_refused(toy, tmp_path):
    config, weights, out = toy
    content, state = read_weights(weights)
    for change, match in (
        ({"bbox_head.retina_cls.bias": torch.zeros(5)}, "size mismatch"),
        ({"bbox_head.retina_cls.bias": None}, "lacks 1 parameters, bbox_head"),
        ({"calibration.kinds": torch.tensor([2])}, "of a detector with calibrators"),
    ):
        changed = {k: v for k, v in {**state, **change}.items() if v is not None}
        torch.save(dict(content, state_dict=changed), tmp_path / "other.pth")
        with pytest.raises(ValueError, match=match):
            CalibrationSession(config, tmp_path / "other.pth", out, "train")
    for nothing in ([1, 2], {"a": 1}):
        torch.save(nothing, tmp_path / "other.pth")
        with pytest.raises(ValueError, match="no weights in it"):
            read_weights(tmp_path / "other.pth")
    (tmp_path / "other.pth").write_text("hello")
    with pytest.raises(ValueError, match="no checkpoint"):
        read_weights(tmp_path / "other.pth")


def test_what_is_written(session, toy, tmp_path, monkeypatch):
    config, weights, _ = toy
    source = tmp_path / "toy.py"
    config.dump(source)
    state = read_weights(weights)[1]
    state = {f"module.{name}": value for name, value in state.items()}
    rest = dict(meta=dict(epoch=3), optimizer=1, ema_state_dict=2)
    torch.save(dict(rest, state_dict=state), weights)
    session.fit("norcal", 0.5)
    session.fit("average_k", 5)
    step = "test_dataloader.dataset.pipeline.1.scale"
    options = {"model.test_cfg.max_per_img": 7, step: (50, 40)}
    config.merge_from_dict(options)
    files = session.write(source, weights, options)
    made = Config.fromfile(files[0])
    assert made.model.test_cfg.max_per_img == 7
    assert made.test_dataloader.to_dict() == config.test_dataloader.to_dict()
    model = toys.MODELS.build(made.model)
    assert len(model.calibration.logits) == len(model.calibration.scores) == 1
    content = torch.load(files[1])
    assert content.keys() == {"state_dict", "meta", "imb_det"}
    model.load_state_dict(content["state_dict"])
    # Either half alone is told of.
    told = []
    monkeypatch.setattr(calibrators, "print_log", lambda text, *_: told.append(text))
    load_checkpoint(model, str(files[1]))
    assert not told
    load_checkpoint(model, str(weights))
    assert "a detector with no calibrators" in told[0]
    swapped = toys.MODELS.build(made.model)
    calibrators.Calibration.detach(swapped.calibration, swapped)
    calibrators.Calibration(
        [dict(type="imb_det.Temperature", temperature=2.0)] * 2
    ).attach(swapped)
    load_checkpoint(swapped, str(files[1]))
    assert "a detector with other calibrators" in told[1]
    assert "['Temperature', 'Temperature']" in told[1]
    plain = toys.MODELS.build(config.model)
    found = plain.load_state_dict(content["state_dict"], strict=False)
    assert found.unexpected_keys == ["calibration.kinds"]


def test_average_k_counts_every_detection(toy):
    """Also those beyond the 100 best of a class in an image, which are not judged."""
    config, weights, out = toy
    config.model.test_cfg.update(max_per_img=400, nms_pre=400)
    config.model.test_cfg.nms.iou_threshold = 1.0
    session = CalibrationSession(config, weights, out, on="train")
    scores, images = session._scores()
    assert images == 9
    assert len(session._judged(()).score) < len(scores)
    session.fit("average_k", 200)
    (least,) = (made["score_thr"] for made in session.calibrators)
    assert (scores >= least).sum() == 200 * images


def test_average_k_tells_its_error(session, capsys):
    session.fit("average_k", 5)
    text = session.report(resamples=20)
    sets = text.partition("Labels of an object")[2]
    assert "1 less the average-K error" in sets
    rows = [line.split() for line in sets.splitlines()]
    (labels,) = (row for row in rows if row[:2] == ["labels", "all"])
    assert float(labels[2]) >= float(labels[3])
    assert "nan" not in text
