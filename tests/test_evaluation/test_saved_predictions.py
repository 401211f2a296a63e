"""Predictions in a file of arrays: all of them come back, and nothing in it runs."""

import json
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from mmdet.structures.mask import encode_mask_results
from pycocotools import mask as mask_utils

from imb_det.evaluation.functional import Detections, GroundTruth, evaluate_coco
from imb_det.evaluation.prediction_dump import PredictionDump
from imb_det.evaluation.result_files import read_predictions
from imb_det.evaluation.saved_predictions import SavedPredictions
from tests.coco_scenes import CLASSES, coco_content, data_samples, random_images
from tests.dumps import dump
from tests.processes import run_tool
from tests.two_ranks import on_two_ranks

IMAGES = random_images(5, num_images=7)


def renamed(images, ids):
    """Ground truth and samples whose images have other ids."""
    truth = GroundTruth.from_coco(coco_content(images), CLASSES)
    samples = data_samples(images)
    for sample, name in zip(samples, ids, strict=True):
        sample["img_id"] = name
    return replace(truth, image_ids=tuple(ids)), samples


IDS = {
    "numbers": list(range(7)),
    "large and negative": [2**60 + row if row else -3 for row in range(7)],
    "NumPy's": list(np.arange(7)),
    "names of VOC": [f"2007_{row:06d}" for row in range(7)],
    "of both kinds": [0, "0", "a b", 10, "\u00e9\u4e2d", "", 7],
    "a lone surrogate": ["\udce9", *range(6)],
}


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS)
def test_all_ids_come_back(tmp_path, ids):
    truth, samples = renamed(IMAGES, ids)
    path = dump(tmp_path / "a.npz", samples, CLASSES)
    found = read_predictions(path, truth, ())
    assert [p["img_id"] for p in found] == ids
    assert {type(p["img_id"]) for p in found} <= {int, str}
    ours = Detections.from_predictions(truth, found)
    raw = [{"img_id": s["img_id"], **s["pred_instances"]} for s in samples]
    expected = Detections.from_predictions(truth, raw)
    for name in ("image", "label", "score", "bbox"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(expected, name))
    assert 0.1 < evaluate_coco(truth, found).summary["mAP"] < 1


@pytest.mark.parametrize("form", ["tensors", "run lengths"])
def test_masks_come_back(tmp_path, form):
    samples = data_samples(IMAGES, with_masks=True)
    expected = []
    for sample in samples:
        found = sample["pred_instances"]
        runs = encode_mask_results(found["masks"].numpy())
        expected += runs
        found["mask_scores"] = found["scores"] / 2
        if form == "run lengths":
            found["masks"] = runs
    path = dump(tmp_path / "a.npz", samples, CLASSES)
    truth = GroundTruth.from_coco(coco_content(IMAGES), CLASSES)
    found = Detections.from_predictions(
        truth, read_predictions(path, truth, (), "segm"), "segm"
    )
    assert found.mask.tolist() == [mask["counts"] for mask in expected]
    np.testing.assert_array_equal(found.mask_area, mask_utils.area(expected))
    halves = torch.cat([s["pred_instances"]["scores"] for s in samples]) / 2
    np.testing.assert_array_equal(found.score, halves.double())
    # They are no burden where boxes are judged.
    boxes = Detections.from_predictions(truth, read_predictions(path, truth, ()))
    assert boxes.mask is None
    np.testing.assert_array_equal(boxes.score, 2 * halves.double())


@pytest.mark.parametrize("with_masks", [False, True])
def test_nothing_found(tmp_path, with_masks):
    images = [([], []), ([(0, (1.0, 1.0, 9.0, 9.0), False)], [])]
    samples = data_samples(images, with_masks=with_masks)
    truth = GroundTruth.from_coco(coco_content(images), CLASSES)
    path = dump(tmp_path / "a.npz", samples, CLASSES)
    kind = "segm" if with_masks else "bbox"
    found = read_predictions(path, truth, (), kind)
    assert [p["img_id"] for p in found] == [0, 1]
    assert len(Detections.from_predictions(truth, found, kind)) == 0
    none = GroundTruth(CLASSES, (), [], [])
    assert read_predictions(dump(path, [], CLASSES), none, ()) == []


def test_float64_and_half_precision(tmp_path):
    samples = data_samples(IMAGES)
    samples[0]["pred_instances"]["scores"] = samples[0]["pred_instances"][
        "scores"
    ].bfloat16()
    samples[1]["pred_instances"]["bboxes"] = samples[1]["pred_instances"][
        "bboxes"
    ].double()
    saved = SavedPredictions.load(dump(tmp_path / "a.npz", samples, CLASSES))
    assert (saved.bboxes.dtype, saved.scores.dtype) == (np.float64, np.float32)


def test_other_classes_are_refused(tmp_path):
    truth = GroundTruth.from_coco(coco_content(IMAGES), CLASSES)
    for classes, message in (
        (CLASSES[::-1], "first difference is label 0: 'emu' / 'cat'"),
        ((*CLASSES, "fox"), "4 classes.*one list goes on"),
        ((*CLASSES[:2], "EMU"), "label 2: 'EMU' / 'emu'"),
    ):
        path = dump(tmp_path / "a.npz", data_samples(IMAGES), classes)
        with pytest.raises(
            ValueError, match=rf"a\.npz has predictions for .*{message}"
        ):
            read_predictions(path, truth, ())


def test_a_sample_that_cannot_be_kept():
    metric = PredictionDump("a.npz")
    (sample,) = data_samples([([], [])])
    with pytest.raises(ValueError, match="the classes of the test set are unknown"):
        metric.process({}, [sample])
    metric.dataset_meta = dict(classes=CLASSES)
    with pytest.raises(ValueError, match=r"image 3 has no `pred_instances`, only.*pan"):
        metric.process({}, [dict(img_id=3, pred_panoptic_seg=0)])
    for bad in (None, 0.5, True, (1,)):
        with pytest.raises(TypeError, match="whole numbers or strings, got"):
            metric.process({}, [dict(sample, img_id=bad)])
    rotated = dict(
        bboxes=torch.zeros(1, 5), scores=torch.ones(1), labels=torch.zeros(1).long()
    )
    with pytest.raises(ValueError, match=r"image 0 has boxes of the shape \(1, 5\)"):
        metric.process({}, [dict(sample, pred_instances=rotated)])
    assert not metric.results


def dumped_on(rank, path, shares):
    samples = data_samples(IMAGES)
    for file in (path, path / "no"):  # the second cannot be written
        metric = PredictionDump(file)
        metric.dataset_meta = dict(classes=CLASSES)
        metric.process({}, [samples[index] for index in shares[rank]])
        try:
            metric.evaluate(len(IMAGES))
        except OSError as error:
            return str(error)
    return ""


@pytest.mark.dist
def test_two_ranks_write_what_one_writes(tmp_path):
    path = tmp_path / "both.npz"
    shares = [[0, 2, 4, 6], [1, 3, 5, 0]]  # padded, as DefaultSampler does
    errors = on_two_ranks(tmp_path, dumped_on, path, shares)
    assert all("both.npz" in error for error in errors)
    alone = dump(tmp_path / "alone.npz", data_samples(IMAGES), CLASSES)
    for ours, theirs in zip(
        SavedPredictions.load(path).predictions(),
        SavedPredictions.load(alone).predictions(),
        strict=True,
    ):
        assert ours.keys() == theirs.keys()
        for key in ours:
            np.testing.assert_array_equal(ours[key], theirs[key])


# ------------------------------------------------------------------ what is wrong


class Canary:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_pickles_do_not_run_unless_they_are_allowed(tmp_path):
    canary = tmp_path / "canary"
    truth = GroundTruth.from_coco(coco_content(IMAGES), CLASSES)
    for name in ("a.pkl", "a.pickle", "a.npz", "a.json"):
        path = tmp_path / name
        path.write_bytes(pickle.dumps([Canary(canary)]))
        with pytest.raises(ValueError, match=rf"{name} is (a pickle|no)") as caught:
            read_predictions(path, truth, ())
        if "pi" in name or "pk" in name:
            for remedy in ("--out FILE.npz", "--allow-pickle", "allow_pickle=True"):
                assert remedy in str(caught.value)
        assert not canary.exists(), name
    with pytest.raises(ValueError, match="entry 0 must be a dictionary"):
        read_predictions(tmp_path / "a.pkl", truth, (), allow_pickle=True)
    assert canary.exists()  # it would have run


def changed(content, **arrays):
    return {k: v for k, v in {**content, **arrays}.items() if v is not ...}


def header_with(content, **entries):
    header = {**json.loads(content["header"].tobytes()), **entries}
    return changed(content, header=np.frombuffer(json.dumps(header).encode(), np.uint8))


CHANGES = {
    "objects": (
        lambda c: changed(c, scores=np.array([Canary("never")] * 4, object)),
        "Object arrays cannot be loaded",
    ),
    "an object as header": (
        lambda c: changed(c, header=np.array({"format": 1}, object)),
        "Object arrays cannot be loaded",
    ),
    "an array is missing": (lambda c: changed(c, scores=...), "scores"),
    "no header": (lambda c: changed(c, header=...), "header"),
    "text": (lambda c: changed(c, labels=np.array(list("abcd"))), "`labels` is an"),
    "more dimensions": (
        lambda c: changed(c, scores=c["scores"][None]),
        "`scores` is an array of float32 with 2 dimensions",
    ),
    "fewer boxes": (
        lambda c: changed(c, bboxes=c["bboxes"][1:]),
        r"`bboxes` must have the shape \(4, 4\), got \(3, 4\)",
    ),
    "fewer labels": (lambda c: changed(c, labels=c["labels"][1:]), "`labels` must"),
    "an unknown label": (
        lambda c: changed(c, labels=c["labels"] + 3),
        "labels must be 0 to 2, got 3 to 5",
    ),
    "a label below 0": (lambda c: changed(c, labels=c["labels"] - 1), "got -1 to 1"),
    "offsets of another set": (
        lambda c: changed(c, offsets=c["offsets"][:-1]),
        "`offsets` must have the shape",
    ),
    "offsets beyond the end": (
        lambda c: changed(c, offsets=c["offsets"] * 2),
        "`offsets` do not part",
    ),
    "offsets that go back": (
        lambda c: changed(c, offsets=np.array([0, 4, 2, 4])),
        "`offsets` do not part",
    ),
    "masks beyond the end": (
        lambda c: changed(c, mask_offsets=c["mask_offsets"] + 1),
        "`mask_offsets` do not part",
    ),
    "masks without ends": (lambda c: changed(c, mask_offsets=...), "only one is there"),
    "another format": (lambda c: header_with(c, format="x"), "another format"),
    "a later version": (
        lambda c: header_with(c, version=2),
        "version 2 of the format, and this library reads version 1",
    ),
    "classes that are no names": (
        lambda c: header_with(c, classes=[1, 2]),
        "`classes`",
    ),
    "ids that are no list": (lambda c: header_with(c, image_ids="abc"), "`image_ids`"),
    "ids of other kinds": (
        lambda c: header_with(c, image_ids=[0, 1, 2.5]),
        "whole numbers or strings, got 2.5",
    ),
    "a header that is no JSON": (
        lambda c: changed(c, header=np.frombuffer(b"{", np.uint8)),
        "Expecting property name",
    ),
    "scores that are no numbers": (
        lambda c: changed(c, scores=np.full(4, np.nan, np.float32)),
        r"entry 0 \(image 0\): `scores` of detection 0 are not finite",
    ),
    "masks that are none": (
        lambda c: changed(c, mask_bytes=c["mask_bytes"] | np.uint8(96)),
        r"entry 0 \(image 0\): .*malformed",
    ),
    "masks of another size": (
        lambda c: changed(c, image_size=c["image_size"] // 2),
        r"entry 0 \(image 0\)",
    ),
    "an image twice": (
        lambda c: header_with(c, image_ids=[0, 1, 0]),
        r"entry 2 \(image 0\): the image has predictions twice",
    ),
    "an unknown image": (
        lambda c: header_with(c, image_ids=[0, 1, "2"]),
        r"entry 2 \(image '2'\): the annotation file has no such image",
    ),
}
BOX = (2.0, 2.0, 10.0, 10.0)
THREE = [
    ([(0, BOX, False)], [(0, BOX, 0.9), (1, BOX, 0.5)]),
    ([], [(2, BOX, 0.5)] * 2),
    ([], []),
]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    return dump(folder / "a.npz", data_samples(THREE, with_masks=True), CLASSES)


def read_three(path):
    truth = GroundTruth.from_coco(coco_content(THREE), CLASSES)
    return read_predictions(path, truth, (), "segm")


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_changed_files_are_refused(sound, tmp_path, change, message):
    with np.load(sound) as content:
        arrays = change(dict(content))
    path = tmp_path / "b.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=rf"b\.npz.*{message}"):
        read_three(path)


def test_a_file_that_fills_the_memory_is_refused(sound, tmp_path):
    path = tmp_path / "b.npz"
    with np.load(sound) as content:
        arrays = dict(content)
    np.savez_compressed(path, **arrays)
    assert len(read_three(path)) == 3
    np.savez_compressed(path, **changed(arrays, scores=np.zeros(15_000_000)))
    with pytest.raises(ValueError, match=r"b\.npz is no file.*would unpack to 12000"):
        read_three(path)


def test_damaged_files_are_refused(sound, tmp_path):
    whole, path = sound.read_bytes(), tmp_path / "b.npz"
    cut = [whole[: int(share * len(whole))] for share in (0, 0.01, 0.3, 0.6, 0.99)]
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(sound) as archive:
        inside = [
            archive.getinfo(f"{n}.npy").header_offset + 180
            for n in ("bboxes", "labels")
        ]
    for place in inside:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << rng.integers(8)
        cut.append(bytes(flipped))
    one = tmp_path / "one.npy"
    np.save(one, np.arange(3))
    for content in (*cut, b"<html>not here</html>", one.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"b\.npz is no file of predictions"):
            read_three(path)
    path.write_bytes(whole)
    assert len(read_three(path)) == 3


@pytest.mark.parametrize("tool", ["eval_results.py", "compare_runs.py", "report.py"])
def test_tools_do_not_run_pickles(tmp_path, tool):
    help_text = " ".join(run_tool(tool, "-h").stdout.split())
    assert "--allow-pickle" in help_text
    assert "WARNING: a pickle can run any program when it is read" in help_text
    assert "a program in Python, which is run" in help_text or tool == "report.py"
    canary, path = tmp_path / "canary", tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps([Canary(canary)]))
    ann_file = tmp_path / "ann.json"
    ann_file.write_text(json.dumps(coco_content(IMAGES)))
    data = dict(type="CocoDataset", ann_file=str(ann_file), test_mode=True)
    data.update(metainfo=dict(classes=CLASSES), data_prefix=dict(img=""))
    config = tmp_path / "config.py"
    config.write_text(
        f"test_dataloader = dict(dataset={data})\n"
        "test_evaluator = dict(type='imb_det.CocoMetric')\n"
    )
    arguments = {
        "eval_results.py": [config, path],
        "compare_runs.py": [ann_file, f"a={path}", f"b={path}"],
        "report.py": [tmp_path, "--predictions", path],
    }[tool]
    done = run_tool(tool, *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "a.pkl is a pickle, which can run any program when it is read" in done.stderr
    assert "Traceback" not in done.stderr
    assert not canary.exists()
    run_tool(tool, *arguments, "--allow-pickle", cwd=tmp_path)
    assert canary.exists()  # so it was the flag that kept it from running
