"""The comparison of runs: its rules and groups, its files, and the command line."""

import json
import re

import mmcv
import numpy as np
import pytest

from imb_det.analysis.comparison_inputs import judge_files, read_test_set
from imb_det.analysis.run_comparison import compare_runs
from imb_det.evaluation.config_rules import comparable_rules
from imb_det.evaluation.functional import (
    Detections,
    FederatedGroundTruth,
    GroundTruth,
    evaluate_coco,
    evaluate_lvis,
)
from imb_det.evaluation.functional.bootstrap import average_figures
from imb_det.evaluation.functional.lvis_eval import LvisRules
from imb_det.evaluation.functional.resampled_precision import average_precision
from imb_det.evaluation.functional.top1 import top1_recall
from imb_det.statistics import ClassStats
from imb_det.statistics.frequency_groups import GroupLimits
from tests.coco_scenes import (
    CLASSES,
    coco_content,
    data_samples,
    predictions_of,
    random_images,
    results_json,
)
from tests.dumps import dump
from tests.processes import run_tool

LETTERS = "rcf"
GROUPS = {"rare": np.array([0]), "common": np.array([1]), "frequent": np.array([2])}
COUNTS = ClassStats(CLASSES, [4, 40, 400], [9, 90, 900], 400)


def lvis_content(images, seed=0):
    """A file in which each image is judged for some classes, and a few not fully."""
    content = coco_content(images)
    rng = np.random.default_rng(seed)
    present = [{10 * (label + 1) for label, *_ in objects} for objects, _ in images]
    for annotation in content["annotations"]:
        annotation.pop("iscrowd")
    for image, own in zip(content["images"], present, strict=True):
        absent = sorted({10, 20, 30} - own)
        image["neg_category_ids"] = [c for c in absent if rng.random() < 0.5]
        image["not_exhaustive_category_ids"] = [
            c for c in sorted(own) if rng.random() < 0.3
        ]
    for category, letter in zip(content["categories"], LETTERS, strict=True):
        category["frequency"] = letter
    return content


def worse(images, seed, share=0.3):
    """The same detections without some of them."""
    rng = np.random.default_rng(seed)
    return [(o, [d for d in found if rng.random() > share]) for o, found in images]


@pytest.fixture
def images():
    """Scenes without equal scores in an image: the order of their copies is open."""
    return [
        (objects, [(k, box, s + i / 1024) for i, (k, box, s) in enumerate(found)])
        for objects, found in random_images(7, num_images=25)
    ]


@pytest.fixture
def files(tmp_path, images):
    """An annotation file, and predictions: a.npz, b.json, c0.npz, c1.npz."""
    (tmp_path / "ann.json").write_text(json.dumps(coco_content(images)))
    (tmp_path / "lvis.json").write_text(json.dumps(lvis_content(images)))
    COUNTS.to_json(tmp_path / "counts.json")
    dump(tmp_path / "a.npz", data_samples(images), CLASSES)
    entries = results_json(worse(images, 0))
    (tmp_path / "b.json").write_text(json.dumps(entries))
    for seed in range(2):
        samples = data_samples(worse(images, seed + 1))
        dump(tmp_path / f"c{seed}.npz", samples, CLASSES)
    return tmp_path


# -------------------------------------------------------------- what is compared


def figures_of(results):
    names = ("mAP", "mAP_50") if "mAP" in results.summary else ("AP", "AP50")
    of_groups = results.group_summary(GROUPS)
    keys = ("APr", "APc", "APf")
    return [*(results.summary[n] for n in names), *(of_groups[k] for k in keys)]


def named_of(truth, images):
    found = Detections.from_predictions(truth, predictions_of(images))
    share = top1_recall(truth, found)
    return [np.nanmean(share), *(np.nanmean(share[own]) for own in GROUPS.values())]


def of_groups(found):
    return tuple(f for f in found.results.figures[2:] if f.startswith("AP"))


def test_estimates_are_those_of_the_coco_evaluation(files, images):
    methods = {"a": ["a.npz"], "b": ["b.json"], "c": ["c0.npz", "c1.npz"]}
    found = compare_runs(
        files / "ann.json",
        {name: [files / file for file in own] for name, own in methods.items()},
        train=COUNTS,
        resamples=20,
    )
    names = "AP AP50 APr APc APf top1 top1_r top1_c top1_f"
    assert found.results.figures == tuple(names.split())
    truth = GroundTruth.from_coco(coco_content(images), CLASSES)
    expected = [
        figures_of(evaluate_coco(truth, predictions_of(own), max_dets=(100,)))
        + named_of(truth, own)
        for own in (images, *(worse(images, seed) for seed in range(3)))
    ]
    both_seeds = [*expected[:2], np.mean(expected[2:], 0)]
    np.testing.assert_allclose(found.results.estimate, both_seeds, atol=1e-6)
    np.testing.assert_allclose(found.results.seeds[2], expected[2:], atol=1e-6)
    assert found.settings["rules"] == "coco"
    assert found.settings["max_dets"] == 100


def test_limits_of_the_groups(files, images):
    runs = {"a": [files / "a.npz"], "b": [files / "b.json"]}

    def figures(**limits):
        found = compare_runs(
            files / "ann.json", runs, train=COUNTS, resamples=2, **limits
        )
        return of_groups(found), found.results.estimate[0, 2:]

    counts = np.sort(COUNTS.image_count)
    names, values = figures(group_thresholds=(int(counts[0]), int(counts[1])))
    assert names == ("APr", "APc", "APf")
    by_share, same = figures(group_quantiles=(1 / 3, 2 / 3))
    assert by_share == names
    np.testing.assert_array_equal(values, same)
    assert figures(group_thresholds=(10**6, 10**7))[0] == ("APr",)


@pytest.mark.parametrize("max_dets", [None, 3])
def test_rules_of_lvis(files, images, max_dets):
    found = compare_runs(
        files / "lvis.json",
        {"b": [files / "b.json"], "a": [files / "a.npz"]},
        max_dets=max_dets,
        resamples=5,
    )
    truth = FederatedGroundTruth.from_lvis(lvis_content(images))
    most = max_dets or 300
    expected = [
        figures_of(evaluate_lvis(truth, predictions_of(own), max_dets=most))
        + named_of(truth, own)
        for own in (worse(images, 0), images)
    ]
    np.testing.assert_allclose(found.results.estimate, expected, atol=1e-9)
    assert found.settings["rules"] == "lvis"
    assert found.settings["max_dets"] == most


def test_rules_that_the_file_does_not_suggest(files):
    runs = {"b": [files / "b.json"], "a": [files / "a.npz"]}
    by_lvis = compare_runs(files / "lvis.json", runs, resamples=5)
    by_coco = compare_runs(
        files / "lvis.json", runs, rules="coco", train=COUNTS, resamples=5
    )
    assert by_coco.settings["rules"] == "coco"
    # Only the rules of COCO count what nobody looked for.
    assert (by_coco.results.estimate[:, 0] < by_lvis.results.estimate[:, 0]).all()


def test_rules_of_a_config(files):
    runs = {"b": [files / "b.json"], "a": [files / "a.npz"]}
    path = files / "config.py"

    def rules(metric):
        path.write_text(f"test_evaluator = {metric}")
        return comparable_rules(path)

    of_lvis = rules(
        f"dict(type='imb_det.LVISMetric', ann_file={str(files / 'lvis.json')!r}, "
        "max_dets=3)"
    )
    assert of_lvis == LvisRules(of_lvis.iou_thrs, 3)
    found = compare_runs(files / "lvis.json", runs, rules=of_lvis, resamples=2)
    same = compare_runs(files / "lvis.json", runs, max_dets=3, resamples=2)
    assert found.settings == same.settings
    np.testing.assert_array_equal(found.results.estimate, same.results.estimate)
    for kind in ("imb_det.CocoMetric", "CocoMetric"):
        of_coco = rules(f"[dict(type={kind!r}, proposal_nums=(1, 2))]")
        found = compare_runs(files / "lvis.json", runs, rules=of_coco, resamples=2)
        assert (found.settings["rules"], found.settings["max_dets"]) == ("coco", 2)
    with pytest.raises(ValueError, match=r"config.py: runs are compared by the rules"):
        rules("dict(type='VOCMetric')")
    with pytest.raises(FileNotFoundError, match=r"there is no file '.*no\.py'"):
        comparable_rules(files / "no.py")


def test_limits_that_come_with_the_counts(files):
    runs = {"b": [files / "b.json"], "a": [files / "a.npz"]}
    counts = COUNTS.with_limits(GroupLimits((4, 39)))
    found = compare_runs(files / "ann.json", runs, train=counts, resamples=2)
    assert of_groups(found) == ("APr", "APf")
    assert found.settings["group_thresholds"] == [4, 39]


def test_weights_equal_copies_by_the_rules_of_lvis(files, images):
    content = lvis_content(images)
    truth, ids = read_test_set(files / "lvis.json")
    [matches] = judge_files(
        truth, ids, [files / "b.json"], rules=LvisRules(max_dets=4)
    ).values()
    rng = np.random.default_rng(0)
    for _ in range(5):
        weights = rng.multinomial(len(images), [1 / len(images)] * len(images))
        rows = np.arange(len(images)).repeat(weights).tolist()
        copied = {**content, "images": [], "annotations": []}
        for new, old in enumerate(rows):
            copied["images"].append({**content["images"][old], "id": new})
            own = [a for a in content["annotations"] if a["image_id"] == old]
            for annotation in own:
                number = len(copied["annotations"]) + 1
                copied["annotations"].append(
                    {**annotation, "id": number, "image_id": new}
                )
        found = [worse(images, 0)[row] for row in rows]
        expected = evaluate_lvis(
            FederatedGroundTruth.from_lvis(copied), predictions_of(found), max_dets=4
        )
        precision = average_precision(matches, weights[None])
        figures = average_figures(precision, GROUPS)[0]
        np.testing.assert_allclose(figures, figures_of(expected), atol=1e-9)


def test_groups_of_a_training_file(files, images):
    runs = {"a": [files / "a.npz"], "b": [files / "b.json"]}
    names = [
        of_groups(compare_runs(files / ann, runs, train=train, resamples=2))
        for ann, train in (
            ("ann.json", None),
            ("ann.json", files / "counts.json"),
            ("ann.json", files / "ann.json"),  # 25 images: all classes are common
            ("lvis.json", None),
            ("lvis.json", files / "lvis.json"),
        )
    ]
    everything = ("APr", "APc", "APf")
    assert names == [(), everything, ("APc",), everything, ("APc",)]


def test_detectors_that_know_some_of_the_classes(files, images):
    names, old = CLASSES[1:], {1: 0, 2: 1}
    some = [
        (objects, [(old[k], box, s) for k, box, s in found if k in old])
        for objects, found in images
    ]
    path = files / "some.npz"
    dump(path, data_samples(some), names)
    runs = {"some": [path], "all": [files / "a.json"]}
    entries = [e for e in results_json(images) if e["category_id"] != 10]
    runs["all"][0].write_text(json.dumps(entries))
    found = compare_runs(files / "ann.json", runs, classes=names, resamples=2)
    truth = GroundTruth.from_coco(coco_content(images), names)
    expected = evaluate_coco(truth, predictions_of(some)).summary["mAP"]
    np.testing.assert_allclose(found.results.estimate[:, 0], expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"ann\.json.*no category \['yak'\]"):
        compare_runs(files / "ann.json", runs, classes=["yak"], resamples=2)
    # Labels of a file are never taken for those of other classes.
    with pytest.raises(ValueError, match=r"some\.npz has .* 2 classes.*`--classes`"):
        compare_runs(files / "ann.json", runs, resamples=2)


def test_where_the_groups_come_from_is_written_down(files, images):
    runs = {"a": [files / "a.npz"], "b": [files / "b.json"]}

    def settings(ann_file="ann.json", **arguments):
        found = compare_runs(files / ann_file, runs, resamples=2, **arguments).settings
        return [found[k] for k in ("groups", "group_thresholds", "group_quantiles")]

    (files / "lvis.json").write_text(json.dumps(lvis_content(images)))
    assert settings() == [None, None, None]
    assert settings("lvis.json") == ["letters", None, None]
    assert settings("lvis.json", train=COUNTS) == ["counts", [10, 100], None]
    shares = dict(group_quantiles=(0.3, 0.6))
    assert settings(train=COUNTS, **shares) == ["counts", None, [0.3, 0.6]]
    for limits in (shares, dict(group_thresholds=(5, 50))):
        with pytest.raises(
            ValueError, match=r"limits of the groups need .*--train-ann"
        ):
            settings("lvis.json", **limits)


def test_images_that_were_tested(files, images):
    some = data_samples(images)[:10]
    dump(files / "part.npz", some, CLASSES)
    runs = {"b": [files / "b.json"], "part": [files / "part.npz"]}
    found = compare_runs(files / "ann.json", runs, resamples=2)
    assert found.settings["num_images"] == 10
    part = GroundTruth.from_coco(coco_content(images[:10]), CLASSES)
    expected = [
        evaluate_coco(part, predictions_of(own[:10])).summary["mAP"]
        for own in (worse(images, 0), images)
    ]
    np.testing.assert_allclose(found.results.estimate[:, 0], expected, atol=1e-6)
    runs["a"] = [files / "a.npz"]
    with pytest.raises(ValueError, match=r"a.npz and .*part.npz are of different.* 15"):
        compare_runs(files / "ann.json", runs, resamples=2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(max_dets=0), "`max_dets` must be >= 1, got 0"),
        (dict(confidence=95), "`confidence` must be between 0 and 1, got 95"),
        (dict(resamples=0), "`resamples` must be >= 1, got 0"),
        (dict(rules="voc"), r"`rules` must be one of \['coco', 'lvis'\], got 'voc'"),
        (dict(rules="lvis"), "ann.json: no image has `neg_category_ids`"),
        (dict(iou_type="segm"), r"a.npz: entry 0 \(image 0\): .*no \['masks'\]"),
        (dict(group_thresholds=(9, 3)), "`thresholds` must be two numbers"),
        (dict(group_quantiles=(0.9, 0.3)), "`quantiles` must be two numbers"),
        (dict(train=ClassStats(("a",), [1], [1], 1)), "the class counts are for 1"),
    ],
)
def test_bad_settings(files, settings, message):
    runs = {"a": [files / "a.npz"], "b": [files / "b.json"]}
    with pytest.raises(ValueError, match=message):
        compare_runs(files / "ann.json", runs, **settings)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": [', "bad.json: is not valid JSON: Expecting value"),
        ("[]", "bad.json: must hold a mapping with .*, got list"),
        ('{"images": []}', r"bad.json: has no \['annotations', 'categories'\], only"),
        (
            '{"images": [{"id": 1}, {"id": 1}], "annotations": [], "categories": []}',
            r"bad.json: images\[0\] \(id 1\): `id` 1 is also that of images\[1\]",
        ),
    ],
)
def test_bad_annotation_files(files, content, message):
    (files / "bad.json").write_text(content)
    runs = {"a": [files / "a.npz"], "b": [files / "b.json"]}
    with pytest.raises(ValueError, match=message):
        compare_runs(files / "bad.json", runs)
    with pytest.raises(ValueError, match="at least two methods are needed"):
        compare_runs(files / "ann.json", {"a": [files / "a.npz"]})


# --------------------------------------------------------------- what is written


def test_text_json_and_picture(files):
    runs = {"base": [files / "b.json"], "ours": [files / "a.npz"]}
    out = files / "some" / "folder"
    found = compare_runs(
        files / "ann.json", runs, train=COUNTS, resamples=50, out_dir=out
    )
    content = json.loads((out / "comparison.json").read_text())
    assert content["baseline"] == "base"
    assert content["settings"]["num_images"] == 25
    assert content["methods"]["ours"]["files"] == [str(files / "a.npz")]
    text = found.text()
    for f, figure in enumerate(found.results.figures):
        change = content["differences"]["ours"][figure]
        values = [
            content["methods"][name]["figures"][figure]["estimate"] for name in runs
        ]
        assert change["difference"] == pytest.approx(values[1] - values[0])
        low, high = change["interval"]
        assert [low, high] == found.results.difference_intervals()[1, f].tolist()
        line = f"{change['difference']:+.3f} [{low:.3f}, {high:.3f}]"
        assert re.search(rf"^{figure} +{re.escape(line)} +above 0 in ", text, re.M)
    assert "ours - base" in text.splitlines()
    assert (
        "AP by COCO's rules. 95% intervals of 50 resamples of the 25 images. "
        "Of base, ours" in text
    )
    picture = mmcv.imread(out / "comparison.png")
    assert picture.std() > 5


def test_a_figure_that_is_not_defined(files, images):
    without = [([o for o in objects if o[0]], found) for objects, found in images]
    (files / "few.json").write_text(json.dumps(coco_content(without)))
    runs = {name: [files / "b.json"] for name in ("one", "two")}
    found = compare_runs(
        files / "few.json", runs, train=COUNTS, resamples=5, out_dir=files
    )
    content = json.loads((files / "comparison.json").read_text())
    assert content["differences"]["two"]["APr"] == dict(
        difference=None, interval=[None, None], share_above=None
    )
    assert content["differences"]["two"]["APf"] == dict(
        difference=0, interval=[0, 0], share_above=0
    )
    lines = [line.split() for line in found.text().splitlines()]
    assert ["APr", "-"] in lines
    assert (files / "comparison.png").is_file()


# -------------------------------------------------------------- the command line


@pytest.mark.slow
def test_command_line(files):
    (files / "other").mkdir()
    (files / "a.npz").rename(files / "other" / "predictions.npz")
    done = run_tool(
        "compare_runs.py",
        *("ann.json", "b.json", "other/predictions.npz", "two seeds=c0.npz,c1.npz"),
        *("--train-ann", "counts.json", "--resamples", "30", "--seed", "3"),
        *("--confidence", "0.9", "--max-dets", "50", "--out", "out"),
        cwd=files,
    )
    assert done.returncode == 0, done.stderr
    content = json.loads((files / "out" / "comparison.json").read_text())
    assert list(content["methods"]) == ["b", "other", "two seeds"]
    assert content["methods"]["two seeds"]["files"] == ["c0.npz", "c1.npz"]
    assert content["settings"] == dict(
        ann_file="ann.json",
        num_images=25,
        iou_type="bbox",
        rules="coco",
        groups="counts",
        group_thresholds=[10, 100],
        group_quantiles=None,
        max_dets=50,
        resamples=30,
        seed=3,
        fixed_seeds=False,
        confidence=0.9,
    )
    number = r"-?\d\.\d{3}"
    lines = rf"^APr +[+-]\d\.\d{{3}} \[{number}, {number}\] +above 0 in [\d.]+% of"
    assert len(re.findall(lines, done.stdout, re.M)) == 2
    assert "other - b\n" in done.stdout
    assert "written: out/comparison.json, out/comparison.png" in done.stdout
    assert (files / "out" / "comparison.png").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ann.json", "a.npz"], "at least two methods are needed, got ['a']"),
        (["ann.json", "a.npz", "a.npz"], "two methods have one name, ['a']"),
        (["no.json", "a.npz", "b.json"], "there is no file 'no.json'"),
        (["ann.json", "a.npz", "no.npz"], "there is no file 'no.npz'"),
        (["ann.json", "a.npz", "x=ann.json"], "ann.json must hold a list of pred"),
        (["ann.json", "a.npz", "b.json", "--seed=-1"], "--seed must be >= 0, got -1"),
        (
            ["ann.json", "a.npz", "b.json", "--rules=coco", "--config=c.py"],
            "--rules and --config both say the rules: give one of them",
        ),
    ],
)
def test_bad_arguments_are_one_line(files, arguments, message):
    done = run_tool("compare_runs.py", *arguments, cwd=files)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert not (files / "comparison.json").exists()
