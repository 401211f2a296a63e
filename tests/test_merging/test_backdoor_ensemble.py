"""Several detectors that predict as one."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.structures import InstanceData

from imb_det.calibration.passes import logit_moments
from imb_det.merging.backdoor_ensemble import BackdoorEnsemble
from imb_det.merging.box_fusion import fuse_boxes
from tests.contracts import detectors
from tests.references.box_fusion import fused
from tests.two_stages import model_config, started

FUSES = ("logits", "probabilities", "boxes")


@pytest.fixture(scope="module")
def batch():
    content = detectors.batch(1)
    return dict(
        inputs=content["inputs"],
        data_samples=[s.new() for s in content["data_samples"]],
    )


def predicted(model, batch):
    samples = [sample.new() for sample in batch["data_samples"]]
    with torch.no_grad():
        found = model.eval().test_step(dict(batch, data_samples=samples))
    return [sample.pred_instances for sample in found]


def ensemble(members, config=None, **options):
    """Put detectors together whose weights are given."""
    config = dict(config or model_config())
    config.setdefault("type", "FasterRCNN")
    others = options.pop("others", len(members) - 1)
    kind = config.pop("type")
    made = BackdoorEnsemble(member=kind, others=others, **config, **options)
    for own, member in zip(made.members, members, strict=True):
        own.load_state_dict(member.state_dict())
    return made.eval()


@pytest.mark.parametrize("fuse", FUSES)
def test_the_same_detector_many_times_is_that_detector(batch, fuse):
    model = started(model_config())
    made = ensemble([model] * 3, fuse=fuse)
    found, wanted = predicted(made, batch), predicted(model, batch)
    for one, other in zip(found, wanted, strict=True):
        assert len(one) == len(other) > 5
        if fuse != "boxes":  # bit for bit
            assert torch.equal(one.bboxes, other.bboxes)
            assert torch.equal(one.scores, other.scores)
            assert torch.equal(one.labels, other.labels)
            continue
        torch.testing.assert_close(one.scores, other.scores)
        for label in range(3):
            own, like = one[one.labels == label], other[other.labels == label]
            torch.testing.assert_close(own.scores, like.scores)
            # In any order where scores are next to equal.
            places = [part.bboxes[part.bboxes[:, 0].argsort()] for part in (own, like)]
            torch.testing.assert_close(*places, rtol=1e-5, atol=1e-3)


def test_masks_are_fused_too(batch):
    config = model_config("mask-rcnn")
    models = [started(config, seed) for seed in (0, 1)]
    same = predicted(ensemble([models[0]] * 2, config), batch)
    for one, other in zip(same, predicted(models[0], batch), strict=True):
        assert torch.equal(one.masks, other.masks)
        assert torch.equal(one.bboxes, other.bboxes)
    (mixed, *_) = predicted(ensemble(models, config), batch)
    assert mixed.masks.shape[1:] == same[0].masks.shape[1:]
    assert len(mixed.masks) == len(mixed) > 0


def raw_scores(model, rois, features):
    made = model.roi_head._bbox_forward(features, rois)
    return made["cls_score"].double(), made["bbox_pred"].double()


@pytest.mark.parametrize("fuse", ["logits", "probabilities"])
def test_scores_are_those_of_the_formula(batch, fuse):
    """The mean over the proposals of the first, from the parts of mmdet."""
    models = [started(model_config(), seed) for seed in (0, 1)]
    shares = [0.25, 0.75]
    made = ensemble(models, fuse=fuse, weights=[1, 3])
    for own in made.members:
        own.roi_head.test_cfg.update(score_thr=0.0, max_per_img=10**6)
        own.roi_head.test_cfg.nms.iou_threshold = 1.0
    found = predicted(made, batch)
    data = models[0].data_preprocessor(
        dict(batch, data_samples=[s.new() for s in batch["data_samples"]])
    )
    features = [model.extract_feat(data["inputs"]) for model in models]
    proposals = models[0].rpn_head.predict(features[0], data["data_samples"])
    for image, own in enumerate(proposals):
        index = torch.full((len(own), 1), float(image))
        rois = torch.cat([index, own.bboxes], 1)
        parts = [
            raw_scores(*pair) for pair in zip(models, [rois] * 2, features, strict=True)
        ]
        if fuse == "logits":
            mean = sum(s * z for s, (z, _) in zip(shares, parts, strict=True))
            wanted = mean.softmax(1)
        else:
            wanted = sum(s * z.softmax(1) for s, (z, _) in zip(shares, parts))  # noqa: B905
        wanted = wanted[:, :3]
        assert len(found[image]) == wanted.numel()
        for label in range(3):
            scores = found[image].scores[found[image].labels == label]
            torch.testing.assert_close(
                scores.double().sort().values,
                wanted[:, label].sort().values,
                rtol=1e-4,
                atol=1e-5,
            )


def test_a_share_of_one_is_that_member(batch):
    models = [started(model_config(), seed) for seed in (0, 1)]
    for fuse in FUSES:
        made = ensemble(models, fuse=fuse, weights=[1, 0])
        for one, other in zip(
            predicted(made, batch), predicted(models[0], batch), strict=True
        ):
            torch.testing.assert_close(one.scores, other.scores)


def test_other_forms_of_members(batch):
    """Boxes of all classes beside boxes by class, another preprocessor."""
    config = model_config(reg_class_agnostic=True)
    config.data_preprocessor.mean = [0.0, 0.0, 0.0]
    models = [started(model_config()), started(config, 1)]
    made = ensemble(models, others=[config], fuse="probabilities")
    assert all(len(own) for own in predicted(made, batch))
    seen = []
    models[1].backbone.forward, plain = None, models[1].backbone.forward
    made.members[1].backbone.register_forward_pre_hook(
        lambda _, given: seen.append(given[0])
    )
    predicted(made, batch)
    own = models[1].data_preprocessor(
        dict(batch, data_samples=[s.new() for s in batch["data_samples"]])
    )
    assert torch.equal(seen[0], own["inputs"])
    models[1].backbone.forward = plain


def test_dense_detectors_fuse_boxes_alone(batch):
    config = dict(detectors.config_of("RTMDet"))
    model = detectors.built(detectors.config_of("RTMDet"))
    config["test_cfg"] = dict(
        config["test_cfg"], nms=dict(type="nms", iou_threshold=0.5)
    )
    model.bbox_head.test_cfg.nms.iou_threshold = 0.5
    made = ensemble([model] * 2, config, fuse="boxes")
    for one, other in zip(predicted(made, batch), predicted(model, batch), strict=True):
        torch.testing.assert_close(one.scores, other.scores)
    with pytest.raises(TypeError, match=r"RTMDet, has no box head .*fuse='boxes'"):
        ensemble([model] * 2, config)


@pytest.mark.parametrize("most", [-1, None, 7])
def test_the_limit_of_the_most_generous_member(batch, most):
    config = model_config()
    config.test_cfg.rcnn.max_per_img = most
    others = [model_config()]
    others[0].test_cfg.rcnn.max_per_img = 5
    made = BackdoorEnsemble("FasterRCNN", others, "boxes", **_without_type(config))
    assert made.most == (7 if most == 7 else None)


def _without_type(config):
    return {name: value for name, value in config.items() if name != "type"}


def test_moments_of_logits_are_those_of_the_members():
    made = ensemble([started(model_config())] * 2)
    with pytest.raises(TypeError, match="calibrate the members one by one"):
        logit_moments(made, None)


def refusal(**options):
    config = dict(model_config(), **options)
    kind = config.pop("type")
    given = dict(member=kind, others=1)
    with pytest.raises((TypeError, ValueError)) as caught:
        BackdoorEnsemble(**{**given, **config})
    return str(caught.value)


def test_what_does_not_fit_is_refused():
    other = model_config(num_classes=4)
    assert "member 1 has [4] classes, member 0 [3]" in refusal(others=[other])
    for others in (0, True, "two", [], [1]):
        assert "`others` must be the number" in refusal(others=others)
    for weights in ([1], [1, -1], [0, 0], "ab", [1, float("nan")]):
        assert "`weights` must be 2 numbers" in refusal(weights=weights)
    assert "`fuse` must be one of" in refusal(fuse="sum")
    assert "'iou_thr'] have no effect" in refusal(iou_thr=0.5)
    assert "`iou_thr` must be" in refusal(iou_thr=1.0, fuse="boxes")
    sigmoids = model_config(loss_cls=dict(type="imb_det.FocalLoss", use_sigmoid=True))
    assert "fuse='probabilities'" in refusal(others=[sigmoids])
    cosine = dict(type="imb_det.LDAMLoss", use_sigmoid=False)
    other = model_config(loss_cls=dict(cosine, scale=20.0))
    assert "with the factor 20.0 of 4" in refusal(
        others=[other], **model_config(loss_cls=dict(cosine, scale=30.0))
    )
    masks = model_config("mask-rcnn")
    assert "only the members [1] have masks" in refusal(others=[masks])
    assert "makes masks" in refusal(others=[masks], fuse="boxes")
    threshold = dict(type="imb_det.ClassScoreThreshold", score_thr=0.5)
    calibrated = dict(
        model_config(),
        type="imb_det.CalibratedDetector",
        detector="FasterRCNN",
        calibrators=[threshold],
    )
    assert "ClassScoreThreshold, which changes finished" in refusal(others=[calibrated])


def test_it_predicts_alone(batch):
    made = ensemble([started(model_config())] * 2)
    with pytest.raises(TypeError, match="train its members one by one"):
        made(**batch, mode="loss")
    with pytest.raises(TypeError, match="predicts alone"):
        made(**batch)


def instances(rows):
    boxes, scores, labels = zip(*rows, strict=True) if rows else ((), (), ())
    return InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        scores=torch.tensor(scores),
        labels=torch.tensor(labels, dtype=torch.long),
    )


def test_fusion_by_hand():
    one = [([0.0, 0.0, 10.0, 10.0], 0.8, 1)]
    other = [([2.0, 0.0, 12.0, 10.0], 0.4, 1), ([0.0, 0.0, 10.0, 10.0], 0.6, 0)]
    found = fuse_boxes([instances(one), instances(other)], [0.5, 0.5])
    # (0.4 * 0 + 0.2 * 2) / 0.6 and so on; class 0 is found by one of two.
    torch.testing.assert_close(found.bboxes[0], torch.tensor([2 / 3, 0, 32 / 3, 10]))
    torch.testing.assert_close(found.scores, torch.tensor([0.6, 0.3]))
    assert found.labels.tolist() == [1, 0]
    assert len(fuse_boxes([instances(one), instances(other)], [0.5, 0.5], most=1)) == 1


def test_fusion_is_that_of_the_reference():
    generator = torch.Generator().manual_seed(0)

    def rows():
        corner = torch.rand(12, 2, generator=generator) * 40
        boxes = torch.cat([corner, corner + 20], 1).tolist()
        scores = torch.rand(12, generator=generator).tolist()
        labels = torch.randint(2, (12,), generator=generator).tolist()
        return list(zip(boxes, scores, labels, strict=True))

    given, shares = [rows() for _ in range(3)], [0.5, 0.3, 0.2]
    found = fuse_boxes([instances(own) for own in given], shares, 0.4)
    wanted = instances(fused(given, shares, 0.4))
    assert 12 < len(found) == len(wanted) < 36
    torch.testing.assert_close(found.scores, wanted.scores)
    torch.testing.assert_close(found.bboxes, wanted.bboxes, rtol=1e-4, atol=1e-3)
    assert found.labels.tolist() == wanted.labels.tolist()


def test_fusion_of_what_is_nothing():
    flat = [([5.0, 5.0, 5.0, 9.0], 0.9, 0), ([0.0, 0.0, 4.0, 4.0], 0.0, 0)]
    for rows in ([], flat):
        found = fuse_boxes([instances(rows), instances([])], [0.5, 0.5])
        assert len(found) == 0
        assert found.bboxes.shape == (0, 4)
        assert found.labels.dtype == torch.long


def test_overlaps_that_members_keep_are_told(monkeypatch):
    told = []
    target = "imb_det.merging.backdoor_ensemble.print_log"
    monkeypatch.setattr(target, lambda text, *_: told.append(text))
    config = dict(model_config())
    kind = config.pop("type")
    MODELS.build(
        dict(
            config,
            type="imb_det.BackdoorEnsemble",
            member=kind,
            others=1,
            fuse="boxes",
            iou_thr=0.4,
        )
    )
    assert "overlap by up to 0.5; those above `iou_thr=0.4`" in told[0]


@pytest.mark.parametrize("counts", [(5, 0), (0, 0)])
def test_images_without_proposals(batch, counts):
    """Given proposals are used; an image without any has no detections."""
    model = started(model_config())
    made = ensemble([model] * 2)
    boxes = (
        torch.tensor([[2.0, 2.0, 40.0, 40.0]]).repeat(5, 1) + torch.arange(5)[:, None]
    )
    samples = [sample.new() for sample in batch["data_samples"]]
    for sample, count in zip(samples, counts, strict=True):
        sample.proposals = InstanceData(bboxes=boxes[:count], scores=torch.ones(count))
    given = dict(batch, data_samples=samples)
    for one, other, count in zip(
        predicted(made, given), predicted(model, given), counts, strict=True
    ):
        assert torch.equal(one.scores, other.scores)
        assert one.bboxes.shape == other.bboxes.shape
        assert bool(len(one)) == bool(count)


def test_an_ensemble_is_calibrated_as_a_detector(batch):
    config = dict(model_config())
    kind = config.pop("type")
    counts = dict(counts=[9.0, 3.0, 1.0])
    shift = dict(type="imb_det.PostHocLogitAdjustment", **counts)
    model = started(model_config())
    plain = ensemble([model] * 2)
    made = MODELS.build(
        dict(
            config,
            type="imb_det.CalibratedDetector",
            detector="imb_det.BackdoorEnsemble",
            member=kind,
            others=1,
            calibrators=[
                shift,
                dict(type="imb_det.ClassScoreThreshold", score_thr=0.1),
            ],
        )
    )
    made.load_state_dict(plain.state_dict(), strict=False)
    single = dict(config, type="imb_det.CalibratedDetector", detector=kind)
    single = MODELS.build(dict(single, calibrators=[shift]))
    single.load_state_dict(model.state_dict(), strict=False)
    for one, other in zip(
        predicted(made, batch), predicted(single, batch), strict=True
    ):
        kept = other[other.scores >= 0.1]
        assert 0 < len(kept) < len(other)
        torch.testing.assert_close(one.scores, kept.scores)
    both = BackdoorEnsemble(
        member="imb_det.CalibratedDetector",
        others=1,
        calibrators=[shift],
        detector=kind,
        **config,
    )
    for own in both.members:
        own.load_state_dict(model.state_dict(), strict=False)
    for one, other in zip(
        predicted(both, batch), predicted(single, batch), strict=True
    ):
        assert torch.equal(one.scores, other.scores)
