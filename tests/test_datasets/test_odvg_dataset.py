"""The data set of grounding detectors knows its classes."""

import json

import pytest
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope

from imb_det.samplers import RepeatFactorSampler
from imb_det.statistics import ClassStats
from tests.tiny_sets import write_odvg

IN_ROOT = dict(img="")
FILES = dict(ann_file="a/train_od.json", label_map_file="a/label_map.json")
IMAGES = [[0], [0, 0], [0, 1], [], [0, 2]]


def build(root, **changes):
    init_default_scope("mmdet")
    config = dict(type="imb_det.ODVGDataset", data_root=str(root), return_classes=True)
    return DATASETS.build(config | FILES | dict(data_prefix=IN_ROOT) | changes)


@pytest.fixture
def root(tmp_path):
    write_odvg(tmp_path, FILES, IMAGES, ("cat", "dog", "traffic light"))
    return tmp_path


def test_classes_are_those_of_the_label_map(root):
    dataset = build(root)
    stats = ClassStats.from_dataset(dataset)
    assert stats.classes == ("cat", "dog", "traffic light")
    assert stats.image_count.tolist() == [4, 1, 1]
    assert stats.instance_count.tolist() == [5, 1, 1]
    plain = DATASETS.get("mmdet.ODVGDataset")(
        data_root=str(root), return_classes=True, data_prefix=IN_ROOT, **FILES
    )
    for index in range(len(IMAGES)):
        assert dataset.get_data_info(index) == plain.get_data_info(index)
    weights = RepeatFactorSampler(dataset, 0.8, seed=0).image_weights(0)
    assert weights.tolist() == pytest.approx([1, 1, 2, 1, 2])


def test_classes_of_the_config_are_kept(root):
    names = ("a cat", "a dog", "a light")
    assert build(root, metainfo=dict(classes=names)).metainfo["classes"] == names


def test_classes_of_the_config_are_as_many_as_labels(root):
    with pytest.raises(ValueError, match=r"`metainfo` has 2 classes, .* 3: \['cat"):
        build(root, metainfo=dict(classes=("cat", "dog")))


def test_without_a_label_map_there_are_no_classes(root):
    with pytest.raises(ValueError, match="`label_map_file` must name the file"):
        build(root, label_map_file=None)


@pytest.mark.parametrize(
    ("label_map", "words"),
    [
        ({"0": "cat", "1": "dog"}, r"train_od.json: labels \[2\] are not in"),
        ({"0": "cat", "2": "dog"}, "must have the labels 0 to 1, it has \\[0, 2\\]"),
    ],
)
def test_labels_and_their_map_must_fit(root, label_map, words):
    (root / FILES["label_map_file"]).write_text(json.dumps(label_map))
    with pytest.raises(ValueError, match=words):
        build(root)
