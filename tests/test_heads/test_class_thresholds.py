"""Class-adaptive score thresholds, from training to prediction."""

import pickle

import pytest
import torch
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config, ConfigDict

from imb_det.cli import build_runner
from imb_det.heads import ClassThresholds
from imb_det.statistics import ClassStats
from tests.test_heads.guided_cases import CASES, SIZE, BoxCase, DenseCase
from tests.toy_config import use_small_model, write_toy_config

STATS = ClassStats(("ant", "bee", "cat"), [5, 3, 1], [60, 30, 10], 8)
DENSE = [name for name, case in CASES.items() if isinstance(case, DenseCase)]
BOX = [name for name, case in CASES.items() if isinstance(case, BoxCase)]


def ready(head):
    head.class_thresholds.set_class_stats(STATS)
    head.class_thresholds.set_candidates(200, 300)
    return head.eval()


def test_hand_worked():
    thresholds = ClassThresholds(3)
    thresholds.set_class_stats(STATS)
    thresholds.add_candidates(4, 300)
    thresholds.add_candidates(6, 700)
    # 10 of 1000 candidates are positive; 60, 30 and 10 % of the boxes.
    torch.testing.assert_close(thresholds(), torch.tensor([0.006, 0.003, 0.001]))
    thresholds.set_candidates(1, 10)
    torch.testing.assert_close(thresholds(), torch.tensor([0.06, 0.03, 0.01]))
    again = ClassThresholds(3)
    again.load_state_dict(thresholds.state_dict())
    assert torch.equal(again(), thresholds())


@pytest.mark.parametrize("known", ["nothing", "classes", "candidates"])
def test_unknown_counts(known):
    thresholds = ClassThresholds(3)
    if known == "classes":
        thresholds.set_class_stats(STATS)
    elif known == "candidates":
        thresholds.set_candidates(1, 10)
    with pytest.raises(RuntimeError, match=r"adaptive_thr.*ImbalanceHook"):
        thresholds()


def test_counts_of_other_classes_are_refused():
    stats = ClassStats(("cat", "dog"), [1, 1], [1, 1], 2)
    with pytest.raises(ValueError, match=r"head of 1 classes.*data set has 2"):
        ClassThresholds(1).set_class_stats(stats)


def test_only_candidates_that_are_counted_anew_are_forgotten():
    dense = ready(CASES["RetinaHead"].build(adaptive_thr=True))
    box = ready(CASES["Shared2FCBBoxHead"].build(adaptive_thr=True))
    for head in (dense, box):
        head.forget_training()
        assert head.class_thresholds.num_instances.tolist() == [60, 30, 10]
    assert dense.class_thresholds.num_candidates.all()  # PriorInitHook sets them
    assert not box.class_thresholds.num_candidates.any()  # training adds them up


def test_proposals_have_no_classes():
    with pytest.raises(ValueError, match=r"SamplingFreeRPNHead.*`adaptive_thr=True`"):
        CASES["RPNHead"].build(adaptive_thr=True)


def predicted(head, case, inputs, score_thr, nms_pre=10_000):
    cfg = ConfigDict(score_thr=score_thr, nms_pre=nms_pre, min_bbox_size=-1)
    meta = dict(img_shape=(SIZE, SIZE), scale_factor=(1.0, 1.0))
    with torch.no_grad():
        (results,) = head.predict_by_feat(
            *inputs, batch_img_metas=[meta], cfg=cfg, with_nms=False
        )
    assert cfg.score_thr == score_thr
    return results


def raw_scores(head, inputs):
    """Scores that mmdet compares with the threshold, of every candidate, (n, C)."""
    rows = [
        x.permute(0, 2, 3, 1).reshape(-1, head.cls_out_channels).sigmoid()
        for x in inputs[0]
    ]
    return torch.cat(rows).detach()


@pytest.mark.parametrize(
    "name", [name for name in DENSE if CASES[name].kind != "RPNHead"]
)
def test_dense_heads_drop_what_is_below(name):
    case = CASES[name]
    head = ready(case.build(adaptive_thr=True))
    inputs = [[x.detach().float() for x in kind] for kind in case.inputs(head, ["two"])]
    limits = head.class_thresholds()
    results = predicted(head, case, inputs, score_thr=0.9)
    scores = raw_scores(head, inputs)
    wanted = (scores > limits).sum(0)
    assert 0 < wanted.sum() < scores.numel()
    assert torch.bincount(results.labels, minlength=3).tolist() == wanted.tolist()
    # What is dropped takes no place among the best.
    few = predicted(head, case, inputs, score_thr=0.9, nms_pre=5)
    sizes = [x.shape[-1] ** 2 * x.shape[1] // 3 for x in inputs[0]]
    per_level = [(part > limits).sum().item() for part in scores.split(sizes)]
    assert len(few) == sum(min(5, number) for number in per_level)
    plain = case.build(case.kind).eval()
    assert len(predicted(plain, case, inputs, score_thr=0.9)) < len(results)


@pytest.mark.parametrize("name", BOX)
def test_box_heads_drop_what_is_below(name):
    case = CASES[name]
    head = ready(case.build(adaptive_thr=True))
    (scores,), (boxes,) = case.inputs(head, ["two"])
    rois = case.targets(["two"])[0]
    cfg = ConfigDict(
        score_thr=0.9, nms=dict(type="nms", iou_threshold=1.0), max_per_img=1000
    )
    (results,) = head.predict_by_feat(
        (rois,),
        (scores.detach().float(),),
        (0 * boxes.detach().float(),),
        [dict(img_shape=(SIZE, SIZE), scale_factor=(1.0, 1.0))],
        rcnn_test_cfg=cfg,
    )
    assert cfg.score_thr == 0.9
    if head.loss_cls.use_sigmoid:
        probability = scores.sigmoid()
    else:
        probability = scores.softmax(1)[:, :3]
    wanted = (probability > head.class_thresholds()).sum(0)
    assert 0 < wanted.sum() < probability.numel()
    assert torch.bincount(results.labels, minlength=3).tolist() == wanted.tolist()


def one_stage(cfg):
    cfg.model.bbox_head.adaptive_thr = True
    cfg.model.test_cfg.max_per_img = 100


def two_stages(cfg):
    use_small_model(cfg, "faster-rcnn")
    cfg.model.roi_head.bbox_head.adaptive_thr = True


@pytest.mark.parametrize(
    ("change", "path_of_head", "candidates"),
    [
        (one_stage, "bbox_head", None),
        # An untrained softmax is sure of nothing: thresholds that some scores reach.
        (two_stages, "roi_head.bbox_head", [5, 10]),
    ],
)
def test_from_training_to_the_detector(tmp_path, change, path_of_head, candidates):
    path = write_toy_config(tmp_path, epochs=1, num_images=4)
    cfg = Config.fromfile(path)
    change(cfg)
    changed = tmp_path / "changed.py"
    cfg.dump(changed)
    training = Config.fromfile(changed)
    training.launcher = "none"
    runner = build_runner(training)
    runner.train()
    trained = runner.model.get_submodule(path_of_head).class_thresholds()
    stats = ClassStats.from_dataset(runner.train_dataloader.dataset)
    share = stats.instance_count / stats.instance_count.sum()
    assert (trained / trained.sum()).numpy() == pytest.approx(share, rel=1e-5)
    cfg.test_pipeline = [
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=(100, 90), keep_ratio=True),
        dict(
            type="PackDetInputs",
            meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
        ),
    ]
    dataset = dict(cfg.train_dataloader.dataset, pipeline=cfg.test_pipeline)
    cfg.test_dataloader = dict(
        batch_size=1,
        num_workers=0,
        sampler=dict(type="DefaultSampler", shuffle=False),
        dataset=dataset,
    )
    checkpoint = str(tmp_path / "work" / "epoch_1.pth")
    if candidates is not None:
        content = torch.load(checkpoint, weights_only=False)
        name = f"{path_of_head}.class_thresholds.num_candidates"
        assert (content["state_dict"][name] > 0).all()
        content["state_dict"][name] = torch.tensor(candidates, dtype=torch.float64)
        torch.save(content, checkpoint)
        trained = torch.from_numpy(share * candidates[0] / candidates[1]).float()
    detector = init_detector(cfg, checkpoint, device="cpu")
    head = detector.get_submodule(path_of_head)
    torch.testing.assert_close(head.class_thresholds(), trained)
    image = tmp_path / "data" / "img" / "0.png"
    found = inference_detector(detector, str(image)).pred_instances
    assert len(found) > 0
    assert (found.scores > trained[found.labels]).all()
    # So they do in a test from the command line.
    out = tmp_path / "found.pkl"
    testing = cfg.copy()
    testing.update(launcher="none", load_from=checkpoint, test_cfg=dict())
    testing.test_evaluator = dict(type="DumpDetResults", out_file_path=str(out))
    build_runner(testing).test()
    dumped = pickle.loads(out.read_bytes())[0]["pred_instances"]
    torch.testing.assert_close(dumped["scores"], found.scores)
    # Without any threshold, classes are found below it.
    head.class_thresholds = None
    more = inference_detector(detector, str(image)).pred_instances
    assert (more.scores <= trained[more.labels]).any()
