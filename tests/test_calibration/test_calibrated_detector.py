"""Detectors with calibrators, of all families."""

import copy
import math

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData, PixelData
from torch import nn

from imb_det.calibration import (
    Calibration,
    ClassScoreThreshold,
    VectorScaling,
    calibrators,
    classifier_outputs,
)
from imb_det.calibration.classifier_outputs import class_numbers, extra_outputs
from imb_det.calibration.written import calibrated_config
from tests import two_stages
from tests.contracts import detectors, mmdet_heads
from tests.contracts.cases import NUM_CLASSES
from tests.contracts.roi_heads import RoIHead
from tests.toys import MODELS, retinanet_config

COUNTS = [50.0, 7.0, 1.0]
NORCAL = dict(type="imb_det.NorCal", gamma=0.8, counts=COUNTS)
#: Classifiers of each family by the number of their layers.
LAYERS = {
    "RTMDet": 3,
    "YOLOX": 3,
    "DeformableDETR": 1,  # shared by its decoder layers
    "DINO": 2,
    "Mask2Former": 1,
}


def with_calibrators(name, *calibrators):
    config = detectors.config_of(name)
    kind = config.pop("type")
    config = dict(
        config,
        type="imb_det.CalibratedDetector",
        detector=kind,
        calibrators=list(calibrators),
    )
    return ConfigDict(config)


@pytest.fixture(params=detectors.FAMILIES)
def family(request):
    return request.param


def test_only_prediction_is_calibrated(family):
    plain = detectors.built(detectors.config_of(family))
    made = detectors.built(with_calibrators(family, NORCAL))
    assert type(made) is type(plain)
    assert len(classifier_outputs(made)) == LAYERS[family]
    assert detectors.curve(made, 1) == detectors.curve(plain, 1)
    found, wanted = detectors.predicted(made), detectors.predicted(plain)
    assert found[0].scores.tolist() != wanted[0].scores.tolist()


def test_scores_are_those_of_the_formula(family):
    """All logits of a classifier are the same, so that any detection tells."""
    made = detectors.built(with_calibrators(family, NORCAL))
    for output in classifier_outputs(made):
        nn.init.zeros_(output.layer.weight)
        nn.init.constant_(output.layer.bias, 0.3)
    plain = detectors.built(detectors.config_of(family))
    plain.load_state_dict(made.state_dict(), strict=False)
    exclusive = classifier_outputs(made)[0].exclusive
    factor = torch.tensor(COUNTS) ** -0.8
    p = torch.sigmoid(torch.tensor(0.3)) * factor
    if exclusive:  # three classes and background
        p = factor / (factor.sum() + 1)
    own = {label: [] for label in range(NUM_CLASSES)}
    for result in detectors.predicted(made):
        for score, label in zip(result.scores, result.labels, strict=True):
            own[int(label)].append(float(score))
    most = [max(scores, default=0.0) for scores in own.values()]
    # Scores may be multiplied by what no calibrator sees, such as objectness.
    shares = torch.tensor([m for m in most if m]) / torch.tensor(most).max()
    wanted = torch.tensor([v for v, m in zip(p, most, strict=True) if m]) / p.max()
    if family in ("RTMDet", "DINO", "DeformableDETR"):
        assert max(most) == pytest.approx(float(p.max()), rel=1e-3)
        torch.testing.assert_close(shares, wanted, rtol=1e-3, atol=1e-4)
    # The most frequent class of equal logits is the least likely now.
    assert most[2] == max(most)


def test_copies_and_checkpoints(family):
    made = detectors.built(with_calibrators(family, dict(NORCAL, counts="images")))
    told = [m for m in made.modules() if hasattr(m, "set_class_stats")]
    for part in told:
        part.set_class_stats(mmdet_heads.STATS)
    wanted = detectors.predicted(made)
    copied = copy.deepcopy(made)
    copied.calibration.logits[0].gamma = 0.0
    assert not torch.equal(detectors.predicted(copied)[0].scores, wanted[0].scores)
    same(detectors.predicted(made), wanted)  # the copy has hooks of its own
    fresh = MODELS.build(with_calibrators(family, dict(NORCAL, counts="images")))
    fresh.load_state_dict(made.state_dict())
    same(detectors.predicted(fresh), wanted)


def same(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.scores, other.scores)
        assert one.labels.tolist() == other.labels.tolist()


def test_thresholds_and_scales_of_finished_detections():
    plain = detectors.predicted(detectors.built(detectors.config_of("RTMDet")))
    least = [0.0, float(plain[0].scores.median()), 1.0]
    threshold = dict(type="imb_det.ClassScoreThreshold", score_thr=least)
    made = detectors.built(with_calibrators("RTMDet", threshold))
    for one, other in zip(detectors.predicted(made), plain, strict=True):
        keep = other.scores >= torch.tensor(least)[other.labels]
        assert 0 < len(one) == int(keep.sum()) < len(other)
        torch.testing.assert_close(one.scores, other.scores[keep])
    scaling = dict(type="imb_det.VectorScaling", scale=[1.0, 1.0, 3.0])
    made = detectors.built(with_calibrators("RTMDet", scaling))
    for one, other in zip(detectors.predicted(made), plain, strict=True):
        assert len(one) == len(other)
        assert (one.scores.diff() <= 0).all()  # the best come first again


def test_detaching_leaves_the_detector_as_it_was():
    plain = detectors.built(detectors.config_of("RTMDet"))
    wanted, keys = detectors.predicted(plain), plain.state_dict().keys()
    calibration = Calibration([NORCAL, dict(type="imb_det.Temperature")])
    calibration.attach(plain)
    assert not torch.equal(detectors.predicted(plain)[0].scores, wanted[0].scores)
    with pytest.raises(ValueError, match="has calibrators already"):
        Calibration([NORCAL]).attach(plain)
    calibration.detach(plain)
    same(detectors.predicted(plain), wanted)
    assert plain.state_dict().keys() == keys


def known(name):
    head = mmdet_heads.build_dense(name)
    try:
        return [
            output.name for output in classifier_outputs(nn.ModuleDict({"x": head}))
        ]
    except TypeError as error:
        return str(error)


#: Heads whose classifiers are not known; a new one must be looked at.
UNKNOWN = {
    "CenterNetHead",
    "CornerHead",
    "RPNHead",
    "YOLOFHead",
    "YOLOV3Head",
}


@pytest.mark.parametrize("name", mmdet_heads.DENSE)
def test_classifiers_are_known_or_refused(name):
    found = known(name)
    assert isinstance(found, str) == (name in UNKNOWN), found
    if name not in UNKNOWN:
        assert all("bbox" not in path for path in found)


@pytest.mark.parametrize("name", sorted(set(mmdet_heads.DENSE) - UNKNOWN))
def test_classes_of_dense_heads_exclude_one_another_as_they_predict(name):
    head = mmdet_heads.build_dense(name)
    found = classifier_outputs(nn.ModuleDict({"x": head}))
    softmax = not getattr(head, "use_sigmoid_cls", True)
    assert {output.exclusive for output in found} == {softmax}


def test_a_head_with_background_first_is_refused():
    path = mmdet_heads.CONFIGS / "crowddet/crowddet-rcnn_r50_fpn_8xb2-30e_crowdhuman.py"
    config = Config.fromfile(path).model.roi_head.bbox_head
    config.update(in_channels=8, fc_out_channels=8)
    model = nn.ModuleDict({"head": MODELS.build(config)})
    with pytest.raises(TypeError, match="background before its class"):
        Calibration([NORCAL]).attach(model)
    with pytest.raises(TypeError, match="background before its class"):
        extra_outputs(model)
    Calibration([VectorScaling([2.0])]).attach(model)


@pytest.mark.parametrize("name", sorted(mmdet_heads.DENSE))
def test_what_is_behind_the_classes_is_what_the_head_says(name):
    head = mmdet_heads.build_dense(name)
    channels = getattr(head, "cls_out_channels", head.num_classes)
    found = extra_outputs(nn.ModuleDict({"x": head}))
    assert found == channels - head.num_classes


@pytest.mark.parametrize("kind", ["GumbelLoss", "BalancedGroupSoftmaxLoss"])
def test_links_without_logits_of_classes_are_refused(kind):
    config = dict(
        RoIHead.config, type="Shared2FCBBoxHead", loss_cls=dict(type=f"imb_det.{kind}")
    )
    head = mmdet_heads.ready(MODELS.build(ConfigDict(config)))
    with pytest.raises(TypeError, match="not logits of single classes"):
        classifier_outputs(nn.ModuleDict({"head": head}))


@pytest.mark.parametrize("kind", ["GumbelLoss", "BalancedGroupSoftmaxLoss"])
def test_scores_of_such_heads_are_calibrated(kind):
    config = two_stages.model_config(loss_cls=dict(type=f"imb_det.{kind}"))
    if kind == "GumbelLoss":
        config.roi_head.bbox_head.loss_cls.use_sigmoid = True
    model = MODELS.build(config)
    Calibration([VectorScaling([2.0, 1.0, 1.0])]).attach(model)
    sample = DetDataSample(
        pred_instances=InstanceData(
            scores=torch.tensor([0.8]),
            labels=torch.tensor([0]),
            bboxes=torch.ones(1, 4),
        )
    )
    (hook,) = model._forward_hooks.values()
    (found,) = hook(model, (), dict(mode="predict"), [sample])
    assert found.pred_instances.scores.item() == pytest.approx(16 / 17)
    with pytest.raises(TypeError, match="not logits of single classes"):
        Calibration([NORCAL]).attach(MODELS.build(config))


@pytest.mark.parametrize("name", sorted(UNKNOWN - {"RPNHead"}))
def test_scores_behind_unknown_classifiers_are_calibrated(name):
    model = nn.ModuleDict({"head": mmdet_heads.build_dense(name)})
    numbers = class_numbers(model)
    assert numbers == [NUM_CLASSES]
    Calibration([VectorScaling([1.0] * NUM_CLASSES)]).attach(model)


def test_where_no_class_is_known():
    with pytest.raises(TypeError, match="no head of Linear tells its classes"):
        Calibration([ClassScoreThreshold(0.5)]).attach(nn.Linear(1, 1))


@pytest.mark.parametrize(
    ("loss", "exclusive"),
    [
        (dict(type="CrossEntropyLoss", use_sigmoid=True), True),
        (dict(type="FocalLoss", use_sigmoid=True), True),
        (dict(type="EQLV2Loss", num_classes=3), True),
        (dict(type="SeesawLoss", num_classes=3), True),
        (dict(type="FocalCustomLoss", num_classes=3, use_sigmoid=True), False),
        (dict(type="imb_det.LDAMLoss", use_sigmoid=False, scale=3.0), True),
        (dict(type="imb_det.IIFLoss", weight=[1.0, 2.0, 3.0]), True),
        (dict(type="imb_det.FocalLoss", use_sigmoid=True), False),
        (dict(type="imb_det.EQLv2Loss", use_sigmoid=True), False),
    ],
)
def test_classes_exclude_one_another_where_the_head_predicts_so(loss, exclusive):
    """Box heads of mmdet take a softmax of what its sigmoid losses train."""
    model = two_stages.started(two_stages.model_config(loss_cls=loss))
    (output,) = classifier_outputs(model)
    assert output.exclusive == exclusive
    counts = dict(type="imb_det.NorCal", gamma=1.0, counts=[8.0, 2.0, 1.0])
    rois, boxes = torch.zeros(6, 5), torch.zeros(6, 12)
    features = torch.randn(6, 8, 2, 2)
    head = model.roi_head.bbox_head

    def scores():
        logits, _ = head(features)
        meta = dict(img_shape=(9, 9), scale_factor=(1.0, 1.0))
        return head._predict_by_feat_single(rois, logits, boxes, meta).scores[:, :3]

    plain = scores()
    Calibration([counts]).attach(model)
    shift = torch.tensor([8.0, 2.0, 1.0]).log()
    found = scores().log() - plain.log() + shift
    # The same for all classes of a box, and nothing where they are independent.
    torch.testing.assert_close(found, found[:, :1].expand(6, 3), rtol=1e-4, atol=1e-4)
    assert exclusive == bool(found.abs().max() > 1e-3)


@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_logits_of_experts_are_those_that_their_losses_make(average):
    ce, scaled = dict(type="imb_det.CrossEntropyLoss"), dict(scale=30.0)
    head = dict(
        type="imb_det.MultiExpertShared2FCBBoxHead",
        loss_cls=None,
        losses=[ce, dict(scaled, type="imb_det.LDAMLoss")],
        average=average,
    )
    (output,) = classifier_outputs(MODELS.build(two_stages.model_config(**head)))
    rows, shift = torch.randn(5, 8), torch.tensor([1.0, 2.0, 4.0])
    moved = output.apply(rows, lambda logits, _: logits - shift) - rows
    wanted = torch.cat([-shift, torch.zeros(1), -shift / 30, torch.zeros(1)])
    torch.testing.assert_close(moved, wanted.expand(5, 8), rtol=1e-4, atol=1e-5)


def test_heads_of_cascades_are_found():
    """Each of them; proposals are left alone."""
    path = mmdet_heads.CONFIGS / "cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py"
    config = Config.fromfile(path).model
    config.backbone.init_cfg = None
    found = classifier_outputs(MODELS.build(config))
    assert [output.name for output in found] == [
        f"roi_head.bbox_head.{i}.fc_cls" for i in range(3)
    ]
    assert all(o.exclusive and (o.channels, o.num_classes) == (81, 80) for o in found)


def test_softmax_of_a_dense_head_keeps_background():
    config = retinanet_config()
    config.bbox_head.loss_cls = dict(type="CrossEntropyLoss", use_sigmoid=False)
    model = MODELS.build(config).eval()
    (output,) = classifier_outputs(model)
    assert (output.channels, output.num_classes, output.exclusive) == (4, 3, True)
    maps = torch.randn(2, output.layer.out_channels, 5, 5)
    moved = output.apply(maps, lambda logits, _: logits + 1)
    change = (moved - maps).reshape(2, -1, 4, 5, 5)
    assert (change[:, :, :3] - 1).abs().max() < 1e-5
    assert (change[:, :, 3] == 0).all()


def test_a_frozen_classifier_trains_without_calibrators():
    plain = detectors.built(detectors.config_of("RTMDet"))
    made = detectors.built(with_calibrators("RTMDet", NORCAL))
    for model in (plain, made):
        for output in classifier_outputs(model):
            output.layer.eval()
    data = [
        model.data_preprocessor(detectors.batch(1), True) for model in (plain, made)
    ]
    wanted, found = (
        model(**own, mode="loss")
        for model, own in zip((plain, made), data, strict=True)
    )
    assert torch.equal(torch.stack(found["loss_cls"]), torch.stack(wanted["loss_cls"]))


def test_all_of_a_detection_is_kept_together():
    """Masks too; and what has no detections is refused."""
    instances = InstanceData(
        scores=torch.tensor([0.9, 0.8, 0.7]),
        labels=torch.tensor([0, 1, 2]),
        bboxes=torch.arange(12.0).reshape(3, 4),
        masks=torch.eye(3, dtype=torch.bool).reshape(3, 3, 1),
    )
    scaled = VectorScaling(scale=[1.0, 1.0, 5.0])
    calibration = Calibration([scaled, ClassScoreThreshold([0.95, 0.0, 0.0])])
    sample = DetDataSample(pred_instances=instances)
    (found,) = calibration.of_samples([sample], 3)
    found = found.pred_instances
    assert found.labels.tolist() == [2, 1]
    assert found.masks[:, :, 0].float().argmax(1).tolist() == [2, 1]
    assert found.bboxes[:, 0].tolist() == [8, 4]
    with pytest.raises(TypeError, match=r"does not return, only \['pred_sem_seg'\]"):
        calibration.of_samples([DetDataSample(pred_sem_seg=PixelData())], 3)


def test_logits_come_before_scores():
    Calibration([NORCAL, dict(type="imb_det.Temperature")])
    with pytest.raises(ValueError, match=r"NorCal changes logits, .* before Temper"):
        Calibration([dict(type="imb_det.Temperature"), NORCAL])


@pytest.mark.parametrize(
    ("least", "own", "told"),
    [([0.1, 0.3, 0.0], 0.2, True), ([0.2, 0.3, 0.0], 0.2, False), (0.1, 0.05, False)],
)
def test_thresholds_below_that_of_the_detector_are_told(monkeypatch, least, own, told):
    lines = []
    monkeypatch.setattr(calibrators, "print_log", lambda text, *_: lines.append(text))
    config = retinanet_config()
    config.test_cfg.score_thr = own
    Calibration([ClassScoreThreshold(least)]).attach(MODELS.build(config))
    assert any("1 thresholds are below `score_thr=0.2`" in t for t in lines) == told


@pytest.mark.parametrize(("temperature", "told"), [(0.5, False), (2.0, True)])
def test_thresholds_are_below_what_scaling_makes_of_it(monkeypatch, temperature, told):
    """A score of 0.2 becomes 0.06 with a temperature of a half, and 0.33 with 2."""
    lines = []
    monkeypatch.setattr(calibrators, "print_log", lambda text, *_: lines.append(text))
    config = retinanet_config()
    config.test_cfg.score_thr = 0.2
    scaling = dict(type="imb_det.Temperature", temperature=temperature)
    made = Calibration([scaling, ClassScoreThreshold([0.1, 0.4, 0.0])])
    made.attach(MODELS.build(config))
    assert any("1 thresholds are below" in text for text in lines) == told


def test_numbers_of_other_classes_are_refused_at_once():
    model = MODELS.build(retinanet_config())
    with pytest.raises(ValueError, match="2 numbers, but the head has 3 classes"):
        Calibration([VectorScaling([1.0, 2.0])]).attach(model)
    assert not hasattr(model, "calibration")


def test_what_is_no_calibrator_is_refused():
    with pytest.raises(TypeError, match="must be calibrators such as"):
        Calibration([dict(type="imb_det.FocalLoss")])
    with pytest.raises(TypeError, match="`calibrators` must be a list, got None"):
        Calibration(None)


def test_config_of_a_calibrated_detector():
    plain = Config(dict(model=detectors.config_of("RTMDet")))
    made = calibrated_config(plain, [NORCAL])
    assert "imb_det" in made.custom_imports.imports
    assert made.model.detector == "RTMDet"
    assert plain.model.type == "RTMDet"  # is left alone
    model = MODELS.build(made.model)
    assert len(model.calibration.logits) == 1


def test_a_classifier_of_two_heads_is_calibrated_once():
    config = retinanet_config()
    model = MODELS.build(config).eval()
    model.other = MODELS.build(config).bbox_head
    model.other.retina_cls = model.bbox_head.retina_cls
    (output,) = classifier_outputs(model)
    features = torch.randn(1, 8, 4, 4)
    plain = output.layer(features).reshape(1, -1, 3, 4, 4)
    counts = dict(counts=[2.0, 1.0, 1.0])
    shift = dict(type="imb_det.PostHocLogitAdjustment", **counts)
    Calibration([shift]).attach(model)
    moved = output.layer(features).reshape(1, -1, 3, 4, 4) - plain
    torch.testing.assert_close(
        moved[:, :, 0], torch.full_like(moved[:, :, 0], -math.log(1.5))
    )
