"""Each trap of a config is named by the finding that is meant, and nothing else is."""

import json

import pytest

from imb_det.core.finding import Severity
from tests import toys
from tests.config_traps import SOUND, TRAPS, retina, trapped
from tests.doctor_configs import PRELUDE, examine_config, faster_rcnn, sound_config
from tests.processes import run_tool


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """Eight images with objects, the rarer the later in the list, and one without."""
    folder = tmp_path_factory.mktemp("traps")
    path = toys.write_coco(folder, num_images=8)
    content = json.loads(path.read_text())
    content["images"].append({**content["images"][0], "id": 99})
    path.write_text(json.dumps(content))
    for image in content["images"]:
        image.update(neg_category_ids=[], not_exhaustive_category_ids=[])
    for category in content["categories"]:
        category.update(frequency="f", image_count=1, instance_count=1)
    (folder / "lvis.json").write_text(json.dumps(content))
    return folder


#: Of the configs that only look like traps; the others are for once a week.
DAILY = ("one schedule after the other", "a sampler, and its mosaic")


def bad(findings):
    return [f for f in findings if f.severity is not Severity.INFO]


@pytest.mark.parametrize("model", [None, faster_rcnn()], ids=["one", "two stages"])
def test_nothing_is_wrong_with_a_sound_config(root, model):
    context, found = examine_config(sound_config(root, model))
    assert context.train_loop is not None
    assert not bad(found)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in DAILY else pytest.mark.weekly)
        for name in SOUND
    ],
)
def test_what_only_looks_like_a_trap_is_none(root, name):
    model, changes = SOUND[name]
    config = sound_config(root, model, **(changes(root) if changes else {}))
    context, found = examine_config(config)
    assert context.train_loop is not None, [str(f) for f in found]
    assert not bad(found), [str(f) for f in bad(found)]


def each():
    """Yield the names of the traps; the first of a kind is planted every day."""
    seen = set()
    for name, (code, *_) in TRAPS.items():
        yield pytest.param(name, marks=pytest.mark.weekly if code in seen else ())
        seen.add(code)


@pytest.mark.parametrize("name", each())
def test_trap_is_named(root, name):
    config, code, text = trapped(root, name)
    _, found = examine_config(config)
    meant = [f for f in found if f.code == code]
    assert meant, [str(f) for f in found]
    assert any(text in str(f) for f in meant), [str(f) for f in meant]
    assert all(f.where or f.evidence for f in meant)
    assert not [f for f in found if "cannot go on" in f.what], [str(f) for f in found]


def test_what_cannot_be_built_hides_no_other_trap(root):
    model = dict(toys.retinanet_config(), type="RetinaNot")
    config = sound_config(
        root,
        model,
        load_from="nowhere.pth",
        custom_hooks=[dict(type="NoHook")],
        val_evaluator=dict(type="NoMetric"),
        **{
            "train_dataloader.dataset.pipeline": [
                *PRELUDE,
                dict(type="RandomFlip", prob=0.0),
                dict(type="PackDetInputs"),
            ],
            "train_dataloader.sampler.type": "NoSampler",
        },
    )
    codes = {f.code for f in examine_config(config)[1]}
    meant = {"model", "hook", "val_metrics", "training", "missing_checkpoint"}
    assert codes >= meant | {"idle_transform"}


def test_heads_are_looked_at_without_data(root):
    model = retina(loss_cls=dict(type="FocalLoss"))
    changes = {
        f"{s}_dataloader.dataset.ann_file": "nothing.json" for s in ("train", "val")
    }
    codes = {f.code for f in examine_config(sound_config(root, model, **changes))[1]}
    assert {"train_data", "val_data", "activation"} <= codes


@pytest.mark.weekly
def test_doctor_ends_without_a_traceback(root, tmp_path):
    config = sound_config(root, dict(type="RetinaNot"), load_from="nowhere.pth")
    path = tmp_path / "config.py"
    path.write_text("\n".join(f"{key} = {value!r}" for key, value in config.items()))
    done = run_tool("doctor.py", path, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    content = json.loads((tmp_path / "out" / "doctor.json").read_text())
    codes = {found["code"] for found in content["findings"]}
    assert {"model", "missing_checkpoint"} <= codes
