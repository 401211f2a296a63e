"""Each trap of a config is named by the finding that is meant, and nothing else is."""

import json

import pytest

from imb_det.core.finding import Severity
from imb_det.doctor.examination import examine
from tests import toys
from tests.doctor_configs import faster_rcnn, sound_config

from tests.config_traps import TRAPS, trapped


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


def bad(findings):
    return [f for f in findings if f.severity is not Severity.INFO]


@pytest.mark.parametrize("model", [None, faster_rcnn()], ids=["one", "two stages"])
def test_nothing_is_wrong_with_a_sound_config(root, model):
    context, found = examine(sound_config(root, model))
    assert context.train_loop is not None
    assert not bad(found)


@pytest.mark.parametrize("name", TRAPS)
def test_trap_is_named(root, name):
    config, code, text = trapped(root, name)
    _, found = examine(config)
    meant = [f for f in found if f.code == code]
    assert meant, [str(f) for f in found]
    assert any(text in str(f) for f in meant), [str(f) for f in meant]
    assert all(f.where or f.evidence for f in meant)
    assert not [f for f in found if "cannot go on" in f.what], [str(f) for f in found]
