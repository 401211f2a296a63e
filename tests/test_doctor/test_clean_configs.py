"""No error and no warning about configs that are in order."""

from pathlib import Path

import mmdet
import pytest
from mmengine.config import Config

from imb_det.core.finding import Severity
from imb_det.digits.longtail_digits import make_longtail_digits
from imb_det.digits.plan import DigitsOptions
from imb_det.doctor.config_reading import read_config
from imb_det.doctor.examination import examine
from tests.doctor_configs import examine_config

ROOT = Path(__file__).parents[2]
DIGITS = "data/longtail_digits/"
PLAIN = [
    "faster_rcnn/faster-rcnn_r50_fpn_1x_coco",
    "retinanet/retinanet_r50_fpn_1x_coco",
]
weekly = pytest.mark.weekly


def there(*parts):
    path = ROOT.joinpath("data", *parts)
    if not path.exists():
        pytest.skip(f"data/{'/'.join(parts)} is not here")
    return path


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits") / "set"
    make_longtail_digits(folder, DigitsOptions(num_train=300, num_val=100))
    return folder


def bad(findings):
    return [str(f) for f in findings if f.severity is not Severity.INFO]


def of_config(path):
    config, found = read_config(path)
    return config, [*found, *examine(config, str(path))[1]]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("retinanet_lite0_fpn", id="retinanet"),
        *(
            pytest.param(name, marks=weekly)
            for name in (
                "deformable-detr_lite0",
                "faster-rcnn_lite0_fpn",
                "mask-rcnn_lite0_fpn",
                "rtmdet_lite0",
            )
        ),
    ],
)
def test_boards(name, monkeypatch):
    there("boards_lt")
    monkeypatch.chdir(ROOT)
    assert not bad(of_config(ROOT / f"configs/lite0/{name}_boards-lt.py")[1])


@weekly
@pytest.mark.parametrize(
    "name", ["faster-rcnn_lite0_fpn", "mask-rcnn_lite0_fpn", "retinanet_lite0_fpn"]
)
def test_digits(name, digits, tmp_path):
    path = ROOT / f"configs/lite0/{name}_longtail-digits.py"
    text = Config.fromfile(path).pretty_text.replace(DIGITS, f"{digits}/")
    (tmp_path / "config.py").write_text(text)
    assert not bad(of_config(tmp_path / "config.py")[1])


@weekly
@pytest.mark.parametrize("name", PLAIN)
def test_plain_configs_of_mmdet(name, monkeypatch):
    root = there("tiny_coco")
    monkeypatch.chdir(ROOT)
    folder = Path(mmdet.__file__).parent / ".mim/configs"
    config = Config.fromfile(folder / f"{name}.py")
    for split, part in (("train", "train"), ("val", "val"), ("test", "val")):
        dataset = config[f"{split}_dataloader"].dataset
        dataset.data_root = str(root)
        dataset.ann_file = f"annotations/instances_{part}2017.json"
        dataset.data_prefix = dict(img=f"{part}2017/")
    file = str(root / "annotations/instances_val2017.json")
    config.val_evaluator.ann_file = config.test_evaluator.ann_file = file
    # What is for 118,000 images on eight ranks.
    assert {"learning_rate", "scheduler_end"} == {
        f.code for f in examine_config(config)[1] if f.severity is not Severity.INFO
    }
    config.param_scheduler[0].end = 20
    config.auto_scale_lr.enable = True
    assert not bad(examine_config(config)[1])


@weekly
def test_voc(tmp_path):
    root = there("voc100")
    names = sorted(path.stem for path in (root / "Annotations").glob("*.xml"))
    (tmp_path / "list.txt").write_text("\n".join(names))
    folder = Path(mmdet.__file__).parent / ".mim/configs"
    config = Config.fromfile(folder / "pascal_voc/retinanet_r50_fpn_1x_voc0712.py")
    classes = tuple((root / "voc.names").read_text().split())
    for split in ("train", "val", "test"):
        dataset = config[f"{split}_dataloader"].dataset
        while "dataset" in dataset or "datasets" in dataset:
            dataset = dataset.dataset if "dataset" in dataset else dataset.datasets[0]
        dataset.update(
            data_root=str(root),
            ann_file=str(tmp_path / "list.txt"),
            data_prefix=dict(sub_data_root=""),
            metainfo=dict(classes=classes),
        )
        config[f"{split}_dataloader"].dataset = dataset
    config.pop("auto_scale_lr", None)
    assert not bad(examine_config(config)[1])
