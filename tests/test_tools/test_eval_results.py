import json
from pathlib import Path

import pytest
import torch
from mmdet.datasets import CocoDataset
from mmdet.structures.mask import encode_mask_results
from mmengine.config import Config

from imb_det.evaluation import CocoMetric
from imb_det.evaluation.functional import run_lengths
from imb_det.evaluation.offline import score_file
from tests.coco_scenes import (
    CLASSES,
    coco_content,
    data_samples,
    random_images,
    results_json,
)
from tests.dumps import dump
from tests.processes import run_tool
from tests.test_evaluation.test_lvis_metric import CLASSES as LVIS_CLASSES
from tests.test_evaluation.test_lvis_metric import run_metric, samples_of
from tests.tiny_sets import write_voc

IMAGES = random_images(31, num_images=10)


@pytest.fixture
def config(tmp_path):
    """Return a config with test and training set, and no model."""
    content = coco_content(IMAGES)
    for image in content["images"]:
        image["file_name"] = f"{image['id']}.jpg"
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(content))
    dataset = dict(
        type="CocoDataset",
        ann_file=str(path),
        data_prefix=dict(img=""),
        metainfo=dict(classes=CLASSES),
        test_mode=True,
    )
    evaluator = dict(
        type="imb_det.CocoMetric", ann_file=str(path), group_thresholds=(4, 5)
    )
    return Config(
        dict(
            default_scope="mmdet",
            test_dataloader=dict(dataset=dataset),
            train_dataloader=dict(dataset=dict(dataset, test_mode=False)),
            test_evaluator=evaluator,
            work_dir=str(tmp_path / "work"),
        )
    )


def expected_figures(config, samples, **options):
    metric = CocoMetric(config.test_evaluator.ann_file, **options)
    return run_metric(metric, samples, CLASSES)


def test_dump_and_json_give_what_a_test_gives(config, tmp_path):
    samples = data_samples(IMAGES)
    expected = expected_figures(config, samples)
    figures = score_file(config, dump(tmp_path / "found.npz", samples, CLASSES))
    assert expected.items() <= figures.items()
    assert {"coco/bbox_APr", "coco/bbox_APf"} <= set(figures)
    assert (tmp_path / "work" / "coco_bbox_classes.csv").is_file()
    path = tmp_path / "found.json"
    path.write_text(json.dumps(results_json(IMAGES)))
    assert score_file(config, path) == pytest.approx(figures, abs=1e-9)


def test_limits_of_the_hook(config, tmp_path):
    path = dump(tmp_path / "found.npz", data_samples(IMAGES), CLASSES)
    given = score_file(config, path)
    limits = config.test_evaluator.pop("group_thresholds")
    assert {k for k in score_file(config, path) if "bbox_APf" in k} == set()
    config.custom_hooks = [
        dict(type="imb_det.ImbalanceHook", group_thresholds=limits),
    ]
    assert score_file(config, path) == given
    assert "coco/bbox_APf" in given


def test_the_data_set_is_walked_once(config, tmp_path, monkeypatch):
    config.test_evaluator.class_stats = config.test_evaluator.ann_file
    asked = []
    info_of = CocoDataset.get_data_info

    def counted(self, index):
        asked.append(index)
        return info_of(self, index)

    monkeypatch.setattr(CocoDataset, "get_data_info", counted)
    score_file(config, dump(tmp_path / "found.npz", data_samples(IMAGES), CLASSES))
    assert sorted(asked) == list(range(len(IMAGES)))


def test_masks_of_a_file_are_checked_once(config, tmp_path, monkeypatch):
    config.test_evaluator.metric = "segm"
    samples = data_samples(IMAGES, with_masks=True)
    number = 0
    for sample in samples:
        masks = sample["pred_instances"]["masks"].numpy()
        sample["pred_instances"]["masks"] = encode_mask_results(masks)
        number += len(masks)
    path = dump(tmp_path / "found.npz", samples, CLASSES)
    checked = []
    count = run_lengths.pixels_of

    def counted(counts):
        checked.extend(counts)
        return count(counts)

    monkeypatch.setattr(run_lengths, "pixels_of", counted)
    score_file(config, path)
    assert len(checked) == number  # and those of objects are polygons


def test_categories_that_mmdet_sorts(config, tmp_path):
    path = Path(config.test_evaluator.ann_file)
    samples = data_samples(IMAGES)
    expected = expected_figures(config, samples)
    content = json.loads(path.read_text())
    content["categories"].reverse()
    path.write_text(json.dumps(content))
    config.test_dataloader.dataset.type = "Objects365V1Dataset"
    config.test_evaluator = dict(type="CocoMetric", ann_file=str(path))
    config.test_evaluator.sort_categories = True
    results = tmp_path / "found.json"
    results.write_text(json.dumps(results_json(IMAGES)))
    figures = score_file(config, results)
    assert figures == score_file(config, dump(tmp_path / "found.npz", samples, CLASSES))
    assert figures["coco/bbox_mAP"] == round(expected["coco/bbox_mAP"], 3)


def test_masks(config, tmp_path):
    samples = data_samples(IMAGES, with_masks=True)
    config.test_evaluator.metric = ["bbox", "segm"]
    expected = expected_figures(config, samples, metric=["bbox", "segm"])
    prefix = tmp_path / "results"
    metric = CocoMetric(
        config.test_evaluator.ann_file, metric="segm", outfile_prefix=str(prefix)
    )
    run_metric(metric, data_samples(IMAGES, with_masks=True), CLASSES)
    figures = score_file(config, f"{prefix}.segm.json")
    assert {k: figures[k] for k in expected} == pytest.approx(expected, abs=1e-9)


def test_a_dump_is_judged_on_its_images(config, tmp_path):
    samples = data_samples(IMAGES)[2:7]
    figures = score_file(config, dump(tmp_path / "found.npz", samples, CLASSES))
    assert expected_figures(config, samples).items() <= figures.items()


def test_voc(tmp_path):
    where = write_voc(tmp_path / "voc", [[("cat", (1, 1, 20, 20))], []])
    dataset = dict(
        type="VOCDataset",
        metainfo=dict(classes=("cat", "dog")),
        test_mode=True,
        **where,
    )
    config = Config(
        dict(
            test_dataloader=dict(dataset=dataset),
            test_evaluator=dict(type="imb_det.VOCMetric", eval_mode="area"),
        )
    )
    from mmengine.registry import DATASETS, init_default_scope

    init_default_scope("mmdet")
    infos = [DATASETS.build(dataset).get_data_info(index) for index in range(2)]
    samples = [
        dict(
            img_id=info["img_id"],
            ori_shape=(info["height"], info["width"]),
            pred_instances=dict(
                bboxes=torch.tensor([i["bbox"] for i in info["instances"]]).reshape(
                    -1, 4
                ),
                labels=torch.zeros(len(info["instances"]), dtype=torch.long),
                scores=torch.full((len(info["instances"]),), 0.5),
            ),
        )
        for info in infos
    ]
    path = dump(tmp_path / "found.npz", samples, ("cat", "dog"))
    figures = score_file(config, path)
    assert figures == {"pascal_voc/mAP": 1, "pascal_voc/AP50": 1}
    path = tmp_path / "found.json"
    path.write_text("[]")
    with pytest.raises(ValueError, match="needs a test set with one COCO"):
        score_file(config, path)


def test_lvis(tmp_path):
    pytest.importorskip("lvis")
    from tests.federated_scenes import lvis_content, random_federated

    scene = random_federated(5, num_images=8, num_classes=6)
    content = lvis_content(scene, "rrccff")
    for image in content["images"]:
        image["coco_url"] = f"http://x/val2017/{image['id']}.jpg"
    path = tmp_path / "lvis.json"
    path.write_text(json.dumps(content))
    dataset = dict(
        type="LVISV1Dataset",
        ann_file=str(path),
        data_prefix=dict(img=""),
        metainfo=dict(classes=LVIS_CLASSES),
        test_mode=True,
    )
    config = Config(
        dict(
            test_dataloader=dict(dataset=dataset),
            test_evaluator=dict(type="imb_det.LVISMetric", ann_file=str(path)),
        )
    )
    from imb_det.evaluation import LVISMetric

    samples = samples_of(scene)
    expected = run_metric(LVISMetric(str(path)), samples_of(scene))
    for sample in samples:
        del sample["pred_instances"]["masks"]
    figures = score_file(config, dump(tmp_path / "found.npz", samples, LVIS_CLASSES))
    assert figures == pytest.approx(expected, abs=1e-12)


def test_command_line(config, tmp_path):
    config.dump(tmp_path / "config.py")
    path = tmp_path / "found.json"
    path.write_text(json.dumps(results_json(IMAGES)))

    def run(results):
        return run_tool("eval_results.py", tmp_path / "config.py", results)

    done = run(path)
    assert done.returncode == 0, done.stderr
    lines = dict(
        line.split(": ") for line in done.stdout.splitlines() if line.startswith("coco")
    )
    figures = score_file(config, path)
    assert float(lines["coco/bbox_mAP"]) == pytest.approx(
        figures["coco/bbox_mAP"], rel=1e-5
    )
    path.write_text(path.read_text()[:-20])
    done = run(path)
    assert done.returncode == 2
    assert "found.json is no JSON, or is cut short" in done.stderr
    assert "Traceback" not in done.stderr
