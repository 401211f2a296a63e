"""A calibrated checkpoint predicts the same in every way in which a user asks it."""

import json

import pytest
import torch
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmengine.config import Config

from imb_det.calibration.passes import calibrated
from imb_det.calibration.session import CalibrationSession
from tests import toys
from tests.processes import run_tool
from tests.two_stages import config_of, figures_of, write_weights

COUNTS = [40.0, 4.0, 1.0]
CHAIN = [
    dict(type="imb_det.NorCal", gamma=0.8, counts=COUNTS),
    dict(type="imb_det.VectorScaling", scale=[1.5, 1.0, 0.5], shift=[0.0, 0.2, 0.4]),
    dict(type="imb_det.ClassScoreThreshold", score_thr=[0.5, 0.6, 0.6]),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("calibrated")
    toys.write_coco(root / "train", num_images=4)
    toys.write_coco(root / "test", num_images=3, seed=5)
    config = config_of(root / "train")
    test = config_of(root / "test").test_dataloader
    metric = dict(type="imb_det.CocoMetric", ann_file=str(root / "test" / "ann.json"))
    config.update(
        test_dataloader=test,
        val_dataloader=test,
        test_evaluator=dict(metric, metric="bbox"),
        test_cfg=dict(type="TestLoop"),
        work_dir=str(root / "work"),
        visualizer=dict(type="DetLocalVisualizer"),
    )
    config.dump(root / "toy.py")
    write_weights(config, root / "toy.pth")
    let_it_find(root)
    return root, config


def let_it_find(root):
    """Make objects of some detections, so that there is something to count."""
    file = root / "test" / "ann.json"
    content = json.loads(file.read_text())
    model = init_detector(str(root / "toy.py"), str(root / "toy.pth"), device="cpu")
    boxes = []
    for image in content["images"]:
        path = str(root / "test" / "img" / image["file_name"])
        found = inference_detector(model, path).pred_instances
        for place in (0, 5, 20, 40):
            x, y, right, below = found.bboxes[place].tolist()
            category = content["categories"][int(found.labels[place])]["id"]
            size = right - x, below - y
            box = dict(bbox=[x, y, *size], area=size[0] * size[1], iscrowd=0)
            own = dict(id=len(boxes) + 1, image_id=image["id"], category_id=category)
            boxes.append({**box, **own})
    file.write_text(json.dumps({**content, "annotations": boxes}))


def in_all_ways(file, weights, image):
    """Return scores and boxes of an image, and the figures of the test."""
    file, weights = str(file), str(weights)
    model = init_detector(file, weights, device="cpu")
    found = inference_detector(model, image).pred_instances
    (inferred,) = DetInferencer(file, weights, device="cpu")(image)["predictions"]
    assert inferred["scores"] == pytest.approx(found.scores.tolist())
    assert inferred["labels"] == found.labels.tolist()
    again = Config.fromfile(file)
    torch.save(dict(state_dict=model.state_dict(), meta={}), f"{weights}.again")
    reloaded = init_detector(again, f"{weights}.again", device="cpu")
    kept = inference_detector(reloaded, image).pred_instances
    assert torch.equal(kept.scores, found.scores)
    assert torch.equal(kept.bboxes, found.bboxes)
    return found, figures_of(file, weights)


def test_all_ways_to_predict_agree(folder):
    root, config = folder
    weights, image = root / "toy.pth", str(root / "test" / "img" / "0.png")
    session = CalibrationSession(config, weights, root / "out", "train")
    session.calibrators = CHAIN
    file, made = session.write(root / "toy.py", weights)
    found, figures = in_all_ways(file, made, image)
    plain = init_detector(str(root / "toy.py"), str(weights), device="cpu")
    before = inference_detector(plain, image).pred_instances
    with calibrated(plain, CHAIN):
        wanted = inference_detector(plain, image).pred_instances
    assert 0 < len(wanted) < len(before)  # some are below their threshold
    assert torch.equal(found.scores, wanted.scores)
    assert torch.equal(found.bboxes, wanted.bboxes)
    assert torch.equal(found.labels, wanted.labels)
    predicted = session._predicted(CHAIN, session.test_set, "calibrated")
    own = session.tested.figures(session.test_file, predicted)
    assert figures["coco/bbox_mAP"] > 0.05
    assert figures["coco/bbox_mAP"] == pytest.approx(own["AP"], abs=1e-3)
    assert figures["coco/bbox_mAP_50"] == pytest.approx(own["AP50"], abs=1e-3)
    assert figures != figures_of(root / "toy.py", weights)


@pytest.mark.weekly
def test_from_the_tool_to_predictions(folder):
    """A chain that is fitted, its table, and the detector that it writes."""
    root, _ = folder
    out = root / "tool"
    done = run_tool(
        "calibrate.py",
        root / "toy.py",
        root / "toy.pth",
        *("--method", "norcal", "average_k", "--value", "norcal=0.6", "average_k=5"),
        *("--on", "train", "--resamples", "20", "--out", str(out)),
    )
    assert done.returncode == 0, done.stderr
    assert "AP" in done.stdout
    image = str(root / "test" / "img" / "0.png")
    in_all_ways(out / "calibrated.py", out / "calibrated.pth", image)
