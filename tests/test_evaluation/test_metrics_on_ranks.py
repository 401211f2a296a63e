"""Every metric gives on two ranks what it gives on one."""

import json

import pytest

from imb_det.registry import METRICS
from tests.coco_scenes import CLASSES, coco_content, data_samples, random_images
from tests.federated_scenes import lvis_content, random_federated
from tests.test_evaluation import test_lvis_metric, test_voc_metric
from tests.two_ranks import on_two_ranks

pytestmark = pytest.mark.dist
LVIS_CLASSES = test_lvis_metric.CLASSES


def write_once(path, content):
    """Write before the ranks start: they must not write while the other reads."""
    if not path.exists():
        path.write_text(json.dumps(content))


def setting(name, folder):
    """Return config, classes and samples of a metric."""
    images = random_images(21, num_images=7)
    path = folder / f"{name}.json"
    if name == "LVISMetric":
        scene = random_federated(21, num_images=7, num_classes=6, many=9)
        write_once(path, lvis_content(scene, "rrccff"))
        config = dict(ann_file=str(path), metric=["bbox", "segm"])
        return config, LVIS_CLASSES, test_lvis_metric.samples_of(scene)
    if name == "VOCMetric":
        return dict(eval_mode="area"), CLASSES, test_voc_metric.samples_of(images)
    write_once(path, coco_content(images))
    config = dict(ann_file=str(path), metric=["bbox", "segm"])
    return config, CLASSES, data_samples(images, with_masks=True)


def evaluate(rank, name, folder, shares):
    """Process the samples of this rank and evaluate."""
    config, classes, samples = setting(name, folder)
    metric = METRICS.build(dict(type=f"imb_det.{name}", **config))
    metric.dataset_meta = dict(classes=classes)
    metric.process({}, [samples[index] for index in shares[rank]])
    first = metric.evaluate(size=len(samples))
    # A second validation starts from nothing.
    assert metric.results == []
    return first


@pytest.mark.parametrize("name", ["CocoMetric", "LVISMetric", "VOCMetric"])
@pytest.mark.parametrize(
    "shares",
    [
        [[0, 2, 4, 6], [1, 3, 5, 0]],  # padded, as DefaultSampler does
        [[], [3, 1, 0, 2, 6, 5, 4]],
    ],
    ids=["padded", "a rank without image"],
)
def test_two_ranks_equal_one(tmp_path, name, shares):
    alone = evaluate(0, name, tmp_path, [range(7)])
    both = on_two_ranks(tmp_path, evaluate, name, tmp_path, shares)
    assert both[0] == both[1] == alone
    assert len(alone) >= 2


def test_an_error_reaches_both_ranks(tmp_path):
    setting("CocoMetric", tmp_path)

    def bad():
        on_two_ranks(tmp_path, evaluate, "CocoMetric", tmp_path, [[0, 1], [1, 2]])

    # Fewer images than the data set has, and one of them twice: nothing is padded.
    with pytest.raises(Exception, match="image 1 has predictions twice"):
        bad()


def evaluate_repeated_names(rank, folder, shares):
    """Two data sets of VOC may have images of one name."""
    config, classes, samples = setting("VOCMetric", folder)
    for index, sample in enumerate(samples):
        sample["img_id"] = f"{index % 4}"
    metric = METRICS.build(dict(type="imb_det.VOCMetric", **config))
    metric.dataset_meta = dict(classes=classes)
    metric.process({}, [samples[index] for index in shares[rank]])
    return metric.evaluate(size=len(samples))


def test_padding_is_told_from_images_of_one_name(tmp_path):
    alone = evaluate_repeated_names(0, tmp_path, [range(7)])
    shares = [[0, 2, 4, 6], [1, 3, 5, 0]]
    both = on_two_ranks(tmp_path, evaluate_repeated_names, tmp_path, shares)
    assert both[0] == both[1] == alone


@pytest.mark.parametrize("name", ["CocoMetric", "LVISMetric", "VOCMetric"])
def test_results_are_arrays(tmp_path, name):
    config, classes, samples = setting(name, tmp_path)
    metric = METRICS.build(dict(type=f"imb_det.{name}", **config))
    metric.dataset_meta = dict(classes=classes)
    metric.process({}, samples)
    for _, prediction in metric.results:
        for key, value in prediction.items():
            if key == "masks":
                assert all(isinstance(mask, bytes) for mask in value.counts)
                assert value.area.dtype.kind == "f"
                assert len(value) == len(prediction["scores"])
            elif key != "img_id":
                assert value.dtype.kind in "fi"
                assert len(value) == len(prediction["scores"])
