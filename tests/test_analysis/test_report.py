import json
import pickle

import matplotlib.image
import numpy as np
import pytest
import torch
from mmengine.config import Config

from imb_det.analysis import (
    find_checkpoint,
    find_config,
    make_example,
    make_report,
    pick_images,
    plot_classes,
    plot_curves,
    read_run_log,
)
from imb_det.analysis.plain_config import read_plain_config
from imb_det.evaluation import CocoMetric, GroundTruth, evaluate_coco, score_file
from imb_det.evaluation.functional import (
    Detections,
    FederatedGroundTruth,
    text_table,
)
from imb_det.evaluation.functional.matching import judge
from tests.dumps import dump
from tests.federated_scenes import (
    federated_predictions,
    lvis_content,
    random_federated,
)
from tests.processes import run_tool
from tests.tiny_sets import write_coco, write_image, write_voc

# --- logs -----------------------------------------------------------------------


def write_log(work_dir, timestamp, lines):
    path = work_dir / timestamp / "vis_data" / "scalars.json"
    path.parent.mkdir(parents=True)
    path.write_text("".join(line + "\n" for line in map(_as_line, lines)))


def _as_line(record):
    return record if isinstance(record, str) else json.dumps(record)


def train_line(iteration, loss, **more):
    return dict(lr=0.1, loss=loss, iter=iteration, epoch=1, step=iteration, **more)


def val_line(epoch, ap):
    return {"coco/bbox_mAP": ap, "data_time": 0.1, "time": 0.1, "step": epoch}


def points(curve):
    return list(zip(*(array.tolist() for array in curve), strict=True))


def test_one_run(tmp_path):
    lines = [
        train_line(10, 3.0, guided_ratio=0.5),
        train_line(20, 2.0),
        val_line(1, 0.1),
        train_line(30, float("nan")),
        val_line(2, 0.2),
    ]
    write_log(tmp_path, "20250101_000000", lines)
    log = read_run_log(tmp_path)
    assert sorted(log.train) == ["guided_ratio", "loss", "lr"]
    assert points(log.train["loss"])[:2] == [(10, 3.0), (20, 2.0)]
    assert np.isnan(log.train["loss"][1][2])
    assert points(log.train["guided_ratio"]) == [(10, 0.5)]
    assert {k: points(v) for k, v in log.val.items()} == {
        "coco/bbox_mAP": [(20, 0.1), (30, 0.2)]
    }


def test_resumed_run_replaces_what_it_repeats(tmp_path):
    first = [train_line(10, 3.0), train_line(20, 2.0), val_line(1, 0.1)]
    first += [train_line(30, 1.5), val_line(2, 0.2), train_line(35, 1.4)]
    first.append('{"lr": 0.1, "lo')  # killed while writing
    write_log(tmp_path, "20250101_000000", first)
    write_log(tmp_path, "20250102_000000", [])  # died at once
    second = [train_line(30, 1.6), train_line(40, 1.2), val_line(2, 0.3)]
    write_log(tmp_path, "20250103_000000", second)
    log = read_run_log(tmp_path)
    assert points(log.train["loss"]) == [(10, 3.0), (20, 2.0), (30, 1.6), (40, 1.2)]
    assert points(log.val["coco/bbox_mAP"]) == [(20, 0.1), (40, 0.3)]


def test_new_run_in_an_old_folder_starts_anew(tmp_path):
    write_log(tmp_path, "20250101_000000", [train_line(10, 3.0), train_line(20, 2.0)])
    write_log(tmp_path, "20250102_000000", [train_line(10, 5.0), val_line(1, 0.4)])
    log = read_run_log(tmp_path)
    assert points(log.train["loss"]) == [(10, 5.0)]
    assert points(log.val["coco/bbox_mAP"]) == [(10, 0.4)]


@pytest.mark.parametrize(
    "line",
    [
        '{"iter": "ten", "loss": 1}',
        '{"iter": [1], "loss": 1}',
        '{"iter": NaN, "loss": 1}',
        '{"iter": 1e30, "loss": 1}',
        f'{{"iter": {"9" * 400}, "loss": 1}}',
        "[" * 100_000,
        "[3]",
        "3",
    ],
)
def test_lines_that_are_no_record_are_skipped(tmp_path, line):
    huge = dict(train_line(20, 10**400), loss_cls=2)
    write_log(tmp_path, "20250101_000000", [train_line(10, 3.0), line, huge])
    log = read_run_log(tmp_path)
    assert points(log.train["loss"]) == [(10, 3.0), (20, float("inf"))]
    assert points(log.train["loss_cls"]) == [(20, 2.0)]


def test_no_log(tmp_path):
    log = read_run_log(tmp_path)
    assert log.train == {}
    assert log.val == {}


# --- examples -------------------------------------------------------------------


def truth_of(objects_per_image, classes=("cat", "dog")):
    records = [
        dict(
            img_id=i,
            width=40,
            height=30,
            instances=[
                dict(bbox=box, bbox_label=label, ignore_flag=ignored)
                for label, box, ignored in objects
            ],
        )
        for i, objects in enumerate(objects_per_image)
    ]
    return GroundTruth.from_records(classes, records)


def test_detections_are_matched_best_first():
    truth = truth_of(
        [[(0, (0, 0, 10, 10), 0), (0, (20, 0, 30, 10), 0), (1, (0, 20, 9, 29), 0)]]
    )
    prediction = dict(
        bboxes=[
            (1, 0, 10, 10),  # right, but a better one has the object
            (0, 0, 10, 10),
            (20, 0, 30, 10),  # wrong class
            (0, 20, 9, 29),  # below the score
        ],
        scores=[0.5, 0.9, 0.8, 0.2],
        labels=[0, 0, 1, 1],
    )
    prediction["img_id"] = 0
    found = Detections.from_predictions(truth, [prediction])
    example = make_example(truth, 0, "a.jpg", found, judge(truth, found))
    assert example.scores.tolist() == [0.9, 0.8, 0.5]
    assert example.is_right.tolist() == [True, False, False]
    assert example.is_found.tolist() == [True, False, False]
    found = found.take(np.zeros(4, bool))
    nothing = make_example(truth, 0, "a.jpg", found, judge(truth, found))
    assert nothing.boxes.shape == (0, 4)
    assert not nothing.is_found.any()


def test_pictures_show_rare_classes_and_a_spread():
    box = (0, 0, 10, 10)
    images = [[(0, box, 0)] for _ in range(10)]
    images[7] = [(1, box, 0), (0, box, 0)]
    images[3] = [(1, box, 1)]  # nothing but an ignored box
    truth = truth_of(images)
    rows = pick_images(truth, np.array([500, 2]), 4)
    assert rows[0] == 7
    assert len(rows) == len(set(rows)) == 4
    assert 3 not in rows
    assert len(pick_images(truth, None, 99)) == 9
    assert pick_images(truth_of([[], []]), None, 4) == []
    only_ignored = [([(0, (0, 0, 9, 9), True)], [], [], [])]
    of_lvis = FederatedGroundTruth.from_lvis(lvis_content(only_ignored))
    assert pick_images(of_lvis, None, 4) == []


# --- pictures and text ----------------------------------------------------------


def size_of(path):
    return matplotlib.image.imread(path).shape[:2]


@pytest.mark.parametrize("num_classes", [1, 3, 300, 3000])
def test_histogram_of_any_number_of_classes(tmp_path, num_classes):
    counts = np.arange(num_classes)[::-1] ** 2  # the last class has no image
    ap = np.linspace(0, 1, num_classes)
    ap[0] = np.nan
    groups = {"rare": np.flatnonzero(counts <= 10)}
    classes = [f"class {i}" for i in range(num_classes)]
    plot_classes(tmp_path / "h.png", classes, counts, ap, groups)
    height, width = size_of(tmp_path / "h.png")
    assert 300 < height < 1200
    assert 500 < width < 3000


def test_curves_of_an_empty_log(tmp_path):
    plot_curves(tmp_path / "c.png", read_run_log(tmp_path))
    assert min(size_of(tmp_path / "c.png")) > 200


def test_text_table():
    assert text_table(["a", "n", "x"], [["one", 5, 0.25], ["two", 10, None]]) == (
        "a     n      x\none   5  0.250\ntwo  10      -"
    )
    assert text_table(["a", "b"], []) == "a  b"


# --- the report -----------------------------------------------------------------

CONFIG = """
default_scope = 'mmdet'
train_dataloader = dict(dataset=dict(type={type!r}, **{train}))
test_dataloader = dict(dataset=dict(type={type!r}, test_mode=True, **{test}))
test_evaluator = dict(type='imb_det.CocoMetric', group_thresholds=(1, 2))
"""


def samples_of(predictions):
    """Make the data samples of a test of (id, boxes, scores, labels)."""
    return [
        dict(
            img_id=img_id,
            ori_shape=(30, 40),
            pred_instances=dict(
                bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
                scores=torch.tensor(scores, dtype=torch.float32),
                labels=torch.tensor(labels, dtype=torch.long),
            ),
        )
        for img_id, boxes, scores, labels in predictions
    ]


def write_work_dir(
    tmp_path, dataset_type, train, test, predictions, classes=("cat", "dog")
):
    """Write config, logs and predictions (id, boxes, scores, labels)."""
    work_dir = tmp_path / "work"
    work_dir.mkdir()
    meta = dict(metainfo=dict(classes=classes))
    (work_dir / "toy.py").write_text(
        CONFIG.format(type=dataset_type, train={**train, **meta}, test={**test, **meta})
    )
    lines = [train_line(10, 3.0, guided_ratio=0.5, loss_cls=2.0), val_line(1, 0.1)]
    write_log(work_dir, "20250101_000000", lines)
    samples = samples_of(predictions)
    dump(work_dir / "predictions.npz", samples, classes)
    return work_dir


FOUND = [
    (1, [[0, 0, 10, 10]], [0.9], [0]),
    (2, [[0, 0, 10, 10], [0, 20, 9, 29]], [0.5, 0.75], [1, 1]),
]


@pytest.fixture
def coco_work_dir(tmp_path):
    train = write_coco(
        tmp_path / "train",
        3,
        [(1, 1, [1, 1, 9, 9]), (2, 1, [1, 1, 9, 9]), (3, 2, [1, 1, 9, 9])],
    )
    test = write_coco(
        tmp_path / "test",
        2,
        [
            (1, 1, [0, 0, 10, 10]),
            (1, 1, [20, 0, 10, 10]),
            (2, 2, [0, 0, 10, 10]),
            (2, 2, [20, 0, 10, 10], dict(iscrowd=1)),
        ],
    )
    for i in (1, 2):
        write_image(tmp_path / "test" / f"{i}.jpg")
    return write_work_dir(tmp_path, "CocoDataset", train, test, FOUND)


# Cat: one of two found, recall levels 0 .. 0.5. Dog: right after a wrong one.
CAT, DOG = 51 / 101, 0.5


def test_report_of_a_coco_data_set(coco_work_dir, tmp_path):
    report = make_report(coco_work_dir, out_dir=tmp_path / "out", num_images=2)
    names = "AP AP50 AP75 APr APc APr_50 APc_50 top1 top1_r top1_c"
    assert " ".join(report.figures) == names
    assert report.figures["AP"] == pytest.approx((CAT + DOG) / 2)
    assert report.figures["APr"] == pytest.approx(DOG)  # one training image
    assert report.figures["APc"] == pytest.approx(CAT)  # two
    names = {path.name for path in report.files}
    assert names == {
        "report.txt",
        "report.json",
        "curves.png",
        "class_histogram.png",
        "predictions.png",
    }
    for path in report.files:
        assert path.parent == tmp_path / "out"
        if path.suffix == ".png":
            assert all(250 < side < 2500 for side in size_of(path))
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    assert content["figures"]["APr"] == pytest.approx(DOG)
    assert content["all_figures"]["mAP_l"] is None
    assert [row["class"] for row in content["classes"]] == ["cat", "dog"]
    assert content["classes"][1] == {
        "class": "dog",
        "group": "rare",
        "train_images": 1,
        "boxes": 1,
        "detections": 2,
        "AP": pytest.approx(DOG),
        "AP50": pytest.approx(DOG),
        "AR": pytest.approx(1),
        "best_F1": pytest.approx(2 / 3),
        "from_score": 0.5,
        "top1": 1.0,
    }
    rows = (tmp_path / "out" / "report.txt").read_text().splitlines()
    assert rows[0].split() == list(report.figures)
    assert rows[1].split()[0] == "0.502"
    assert " ".join(rows[-1].split()) == (
        "dog rare 1 1 2 0.500 0.500 1.000 0.667 0.500 1.000"
    )


def test_report_agrees_with_the_metric(coco_work_dir, tmp_path):
    report = make_report(coco_work_dir)
    metric = CocoMetric(str(tmp_path / "test" / "ann.json"))
    metric.dataset_meta = dict(classes=("cat", "dog"))
    metric.process({}, samples_of(FOUND))
    figures = metric.evaluate(size=2)
    for item, value in report.results.summary.items():
        if item.startswith("mAP") and not np.isnan(value):
            assert figures[f"coco/bbox_{item}"] == value


@pytest.mark.parametrize("owner", ["imb_det.", ""])
@pytest.mark.parametrize("with_file", [False, True])
def test_report_judges_by_the_ground_truth_of_the_metric(tmp_path, with_file, owner):
    # The data set leaves out what is below a pixel, and the file has areas of masks.
    objects = [
        (1, 1, [0, 0, 10, 10], dict(area=2000)),
        (1, 1, [20, 0, 0.5, 10]),
        (2, 2, [0, 0, 10, 10]),
    ]
    test = write_coco(tmp_path / "test", 2, objects)
    for i in (1, 2):
        write_image(tmp_path / "test" / f"{i}.jpg")
    found = [(1, [[0, 0, 10, 10]], [0.9], [0]), (2, [[0, 0, 10, 9]], [0.9], [1])]
    work_dir = write_work_dir(tmp_path, "CocoDataset", test, test, found)
    config = work_dir / "toy.py"
    file = f", ann_file={str(tmp_path / 'test' / 'ann.json')!r}" * with_file
    config.write_text(
        config.read_text() + f"\ntest_evaluator = dict(type='{owner}CocoMetric'{file})"
    )
    report = make_report(work_dir, num_images=2)
    assert report.results.object_count.tolist() == [2 if with_file else 1, 1]
    expected = score_file(Config.fromfile(config), work_dir / "predictions.npz")
    for name in ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m"):
        value = report.results.summary[name]
        value = -1 if np.isnan(value) else value
        assert value == pytest.approx(expected[f"coco/bbox_{name}"], abs=5.1e-4), name


def test_report_of_a_voc_data_set(tmp_path):
    easy, hard = "<difficult>0</difficult>", "<difficult>1</difficult>"
    train = write_voc(tmp_path / "train", [[("cat", (1, 1, 9, 9))], []])
    test = write_voc(
        tmp_path / "test",
        [
            [("cat", (1, 1, 11, 11), easy), ("cat", (21, 1, 31, 11), hard)],
            [("dog", (1, 1, 11, 11), easy)],
        ],
    )
    predictions = [
        # The best detection is on a difficult object: neither right nor wrong.
        ("a", [[20, 0, 30, 10], [0, 0, 10, 10]], [0.9, 0.8], [0, 0]),
        ("b", [], [], []),
    ]
    work_dir = write_work_dir(tmp_path, "VOCDataset", train, test, predictions)
    report = make_report(work_dir, num_images=1)
    assert report.results.ap.tolist() == pytest.approx([1, 0])
    assert report.results.object_count.tolist() == [1, 1]
    assert report.image_count.tolist() == [1, 0]
    assert report.figures["APr"] == pytest.approx(0.5)
    assert {path.parent for path in report.files} == {work_dir}


def test_report_by_the_rules_of_voc(tmp_path):
    easy, hard = "<difficult>0</difficult>", "<difficult>1</difficult>"
    boxes = [
        ("cat", (1, 1, 11, 11), easy),
        ("cat", (21, 1, 31, 11), hard),
        ("dog", (1, 21, 11, 21), easy),  # one pixel high by VOC's rules
    ]
    where = write_voc(tmp_path / "voc", [boxes, [("cat", (1, 1, 11, 11), easy)]])
    predictions = [
        ("a", [[20, 0, 30, 10], [0, 0, 10, 10], [0, 20, 10, 20]], [0.9, 0.8, 0.7], 0),
        ("b", [[0, 20, 10, 30], [0, 0, 10, 10]], [0.95, 0.6], 0),
    ]
    predictions[0] = (*predictions[0][:3], [0, 0, 1])
    predictions[1] = (*predictions[1][:3], [0, 0])
    work_dir = write_work_dir(tmp_path, "VOCDataset", where, where, predictions)
    metric = "dict(type='imb_det.VOCMetric', eval_mode='area', group_thresholds=(1, 2))"
    config = work_dir / "toy.py"
    config.write_text(config.read_text() + f"\ntest_evaluator = {metric}\n")
    report = make_report(work_dir, num_images=1)
    expected = score_file(Config.fromfile(config), work_dir / "predictions.npz")
    assert expected["pascal_voc/mAP"] == pytest.approx((2 / 3 + 1) / 2)
    assert report.figures["AP"] == expected["pascal_voc/mAP"]
    assert report.figures["AP50"] == expected["pascal_voc/AP50"]
    assert report.figures["APc"] == expected["pascal_voc/APc"]
    assert "by VOC's rules (IoU 0.5, area under the curve)" in report.text()
    assert report.results.object_count.tolist() == [2, 1]


def test_report_by_the_rules_of_lvis(tmp_path):
    scene = random_federated(4, num_images=8, num_classes=6)
    content = lvis_content(scene, "rrccff")
    for image in content["images"]:
        image["coco_url"] = f"http://images.cocodataset.org/val2017/{image['id']}.jpg"
        write_image(tmp_path / "val2017" / f"{image['id']}.jpg")
    path = tmp_path / "lvis.json"
    path.write_text(json.dumps(content))
    where = dict(ann_file=str(path), data_prefix=dict(img=str(tmp_path)))
    found = [
        (p["img_id"], p["bboxes"], p["scores"], p["labels"])
        for p in federated_predictions(scene)
    ]
    names = tuple(category["name"] for category in content["categories"])
    work_dir = write_work_dir(tmp_path, "LVISV1Dataset", where, where, found, names)
    config = work_dir / "toy.py"
    config.write_text(
        config.read_text() + "\ntest_evaluator = dict(type='imb_det.LVISMetric', "
        f"ann_file={str(path)!r}, max_dets=4)\n"
    )
    report = make_report(work_dir, num_images=2)
    expected = score_file(Config.fromfile(config), work_dir / "predictions.npz")
    for name in ("AP", "AP50", "AP75", "AP_pool", "APr", "APc", "APf", "APr_50"):
        assert report.figures[name] == expected[f"lvis/bbox_{name}"]
    assert "by LVIS's rules (IoU 0.5 to 0.95, 4 best detections" in report.text()
    by_coco = evaluate_coco(GroundTruth.from_coco(path), federated_predictions(scene))
    assert abs(report.figures["AP"] - by_coco.summary["mAP"]) > 0.01


def test_rules_of_lvis_need_an_annotation_file(coco_work_dir):
    pytest.importorskip("lvis")  # without which mmdet makes no such metric
    config = coco_work_dir / "toy.py"
    config.write_text(
        config.read_text() + "\ntest_evaluator = dict(type='LVISMetric')\n"
    )
    with pytest.raises(ValueError, match="LVISMetric needs an annotation file"):
        make_report(coco_work_dir)


def test_report_without_the_training_set(coco_work_dir, tmp_path):
    (tmp_path / "train" / "ann.json").unlink()
    report = make_report(coco_work_dir)
    assert report.image_count is None
    assert list(report.figures) == ["AP", "AP50", "AP75", "top1"]
    assert "class_histogram.png" not in {path.name for path in report.files}
    assert report.text().splitlines()[-1].split()[:3] == ["dog", "-", "-"]


def test_predictions_of_another_set_are_refused(coco_work_dir, tmp_path):
    path = coco_work_dir / "predictions.npz"
    samples = samples_of([(77, *FOUND[0][1:]), FOUND[1]])
    dump(path, samples, ("cat", "dog"))
    with pytest.raises(ValueError, match="image 77"):
        make_report(coco_work_dir)
    dump(path, samples, ("dog", "cat"))
    with pytest.raises(ValueError, match=r"predictions\.npz .*label 0: 'dog' / 'cat'"):
        make_report(coco_work_dir)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"predictions\.npz.*cut short"):
        make_report(coco_work_dir)
    older = tmp_path / "older.pkl"
    older.write_bytes(pickle.dumps([dict(boxes=[])]))
    with pytest.raises(ValueError, match=r"older\.pkl is a pickle.*--allow-pickle"):
        make_report(coco_work_dir, older)
    with pytest.raises(ValueError, match="entry 0"):
        make_report(coco_work_dir, older, allow_pickle=True)


def test_report_of_a_result_file(coco_work_dir, tmp_path):
    pickled, best = make_report(coco_work_dir), float(np.float32(0.9))
    entries = [
        dict(image_id=1, category_id=1, bbox=[0, 0, 10, 10], score=best),
        dict(image_id=2, category_id=2, bbox=[0, 0, 10, 10], score=0.5),
        dict(image_id=2, category_id=2, bbox=[0, 20, 9, 9], score=0.75),
    ]
    path = tmp_path / "results.json"
    path.write_text(json.dumps(entries))
    assert make_report(coco_work_dir, path).to_dict() == pickled.to_dict()
    # An image without a detection has no entry, and its objects count as missed.
    path.write_text(json.dumps(entries[1:]))
    report = make_report(coco_work_dir, path)
    assert report.results.ap.tolist() == pytest.approx([0, DOG])


def test_what_a_work_dir_lacks(tmp_path):
    with pytest.raises(FileNotFoundError, match="no work dir"):
        make_report(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no config"):
        find_config(tmp_path)
    (tmp_path / "toy.py").write_text("")
    assert find_checkpoint(tmp_path) is None
    with pytest.raises(FileNotFoundError, match=r"tools/test.py .*toy.py CHECKPOINT"):
        make_report(tmp_path)
    (tmp_path / "epoch_2.pth").touch()
    (tmp_path / "last_checkpoint").write_text("/elsewhere/epoch_2.pth")
    assert find_checkpoint(tmp_path) == tmp_path / "epoch_2.pth"
    (tmp_path / "best_coco_bbox_mAP_epoch_1.pth").touch()
    assert find_checkpoint(tmp_path).name.startswith("best_")


# --- the tool -------------------------------------------------------------------


def test_tool(coco_work_dir):
    done = run_tool("report.py", "-h")
    assert done.returncode == 0
    assert "--predictions" in done.stdout
    done = run_tool("report.py", coco_work_dir, "--num-images", 1)
    assert done.returncode == 0, done.stderr
    assert "APr" in done.stdout
    assert (coco_work_dir / "predictions.png").is_file()
    (coco_work_dir / "predictions.npz").unlink()
    done = run_tool("report.py", coco_work_dir)
    assert done.returncode == 2
    assert "python tools/test.py" in done.stderr
    assert "Traceback" not in done.stderr


# --- nothing in a work dir runs ---------------------------------------------------

CANARY = "open({path!r}, 'w')"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{canary}", "line 5 is `open"),
        ("import os", "line 5 is `import os`"),
        ("a = {canary}", "line 5 has `open"),
        ("a = dict(b=[{canary}])", "line 5 has `open"),
        ("a = dict(**{canary})", "line 5 has `open"),
        ("a = [x for x in (1,)]", "line 5 has"),
        ("a.b = 1", "line 5 is"),
        ("a = (", "was never closed"),
        ("_base_ = ['{path}.py']\na = _base_.x", "line 6 has `_base_.x`"),
        # Types by a path are imported, and called.
        (
            "test_evaluator = dict(type='subprocess.Popen', args=['touch', '{path}'])",
            "`test_evaluator` has the type 'subprocess.Popen', which none of",
        ),
        (
            "test_dataloader = dict(dataset=dict(type='RepeatDataset', times=1, "
            "dataset=dict(type='builtins.open', file='{path}', mode='w')))",
            "`test_dataloader.dataset.dataset` has the type 'builtins.open'",
        ),
        (
            "train_dataloader = dict(dataset=dict(type='CocoDataset', "
            "pipeline=[dict(type='os.system', command='touch {path}')]))",
            r"`train_dataloader.dataset.pipeline\[0\]` has the type 'os.system'",
        ),
        (
            "test_evaluator = dict(type=['x'])",
            r"has the type \['x'\]",
        ),
        # mmengine unpickles such annotations.
        (
            "test_dataloader = dict(dataset=dict(type='BaseDetDataset', "
            "ann_file='{path}.PKL'))",
            "PKL', which would be unpickled or run",
        ),
        (
            "test_dataloader = dict(dataset=dict(type='BaseDetDataset', "
            "ann_file='{path}.yaml'))",
            "yaml', which would be unpickled or run",
        ),
        (
            "test_dataloader = dict(dataset=dict(type='OpenImagesDataset', "
            "meta_file='{path}.json'))",
            "`test_dataloader.dataset.meta_file` is .* which would be run",
        ),
        # This backend imports `mc` from there.
        (
            "test_dataloader = dict(dataset=dict(type='CocoDataset', "
            "backend_args=dict(backend='memcached', sys_path='{path}')))",
            "`test_dataloader.dataset.backend_args.sys_path` is ",
        ),
        # mmengine imports `registry` from there.
        ("default_scope = 'work_dirs.given'", "`default_scope` is 'work_dirs.given'"),
        (
            "test_evaluator = dict(type='CocoMetric', _scope_='work_dirs.given')",
            "`test_evaluator` has `_scope_`",
        ),
        ("test_evaluator = dict(type='mmdet.datasets.coco.osp.join')", "has the type"),
        ("test_dataloader = [dict(dataset=dict(type='A'))]", "is no dictionary"),
        ("text = 'a'", "text is reserved"),
    ],
)
def test_a_config_of_a_work_dir_is_not_run(coco_work_dir, tmp_path, line, message):
    path = str(tmp_path / "canary")
    config = coco_work_dir / "toy.py"
    line = line.replace("{canary}", CANARY).replace("{path!r}", repr(path))
    before = len(config.read_text().splitlines())
    assert before == 4 + config.read_text().startswith("\n")
    lines = [*config.read_text().strip().splitlines(), line.replace("{path}", path)]
    config.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=rf"toy\.py is not run.*{message}.*--config"):
        make_report(coco_work_dir)
    assert not (tmp_path / "canary").exists()


def test_a_config_that_is_named_is_run(coco_work_dir, tmp_path):
    config = coco_work_dir / "toy.py"
    code = tmp_path / "code.py"
    canary = tmp_path / "canary"
    code.write_text(config.read_text() + f"\nopen({str(canary)!r}, 'w').close()\n")
    config.unlink()
    with pytest.raises(FileNotFoundError, match="no config"):
        make_report(coco_work_dir)
    with pytest.raises(FileNotFoundError, match=r"there is no config 'none\.py'"):
        make_report(coco_work_dir, config="none.py")
    assert make_report(coco_work_dir, config=code).figures["AP"] > 0
    assert canary.exists()


def test_what_is_not_looked_at_does_not_run_where_a_data_set_fails(
    coco_work_dir, tmp_path
):
    """The data sets of a config are built to find out why one of them fails."""
    canary = tmp_path / "canary"
    run = dict(type="subprocess.Popen", args=["touch", str(canary)])
    loader = dict(
        dataset=dict(type="CocoDataset", ann_file="a.json", pipeline=[run]),
        sampler=run,
    )
    config = coco_work_dir / "toy.py"
    lines = [config.read_text(), f"val_dataloader = {loader}"]
    config.write_text("\n".join(lines).replace("test_mode=True", "wrong=True"))
    with pytest.raises(TypeError, match="wrong"):
        make_report(coco_work_dir)
    assert not canary.exists()


def test_a_config_with_imports_is_read(coco_work_dir):
    config = coco_work_dir / "toy.py"
    text = config.read_text()
    for name, path in (
        ("'CocoDataset'", "'mmdet.datasets.CocoDataset'"),
        ("'imb_det.CocoMetric'", "'imb_det.evaluation.coco_metric.CocoMetric'"),
    ):
        assert name in text
        text = text.replace(name, path)
    config.write_text(text)
    assert make_report(coco_work_dir).figures["AP"] > 0


def test_a_dumped_config_is_read_as_mmengine_reads_it(tmp_path):
    content = dict(
        a=float("inf"),
        b=[-float("inf"), -1, 1e-3, None, True, "it's \n \\ 'x'", b"y"],
        c={"not-a-name": (1, (2,)), 3: {4}},
        test_dataloader=dict(dataset=dict(type="CocoDataset", ann_file="a.json")),
        train_dataloader=None,
        test_evaluator=[
            dict(type="imb_det.VOCMetric"),
            dict(type="DumpDetResults", out_file_path="a.pkl"),
        ],
    )
    path = tmp_path / "dumped.py"
    Config(content).dump(path)
    assert read_plain_config(path).to_dict() == content
