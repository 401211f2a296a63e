"""Each thing that is planted in a sound data set is named; sound ones are passed."""

from importlib.util import find_spec

import pytest
from mmengine.config import Config

from imb_det.doctor.examination import examine
from tests.planted_sets import SETS, PlantedSet, bad
from tests.test_doctor.data_plants import BUILDING, PLANTS

#: Forms that are tried each time; where a plant has others, they wait for the week.
QUICK = {"mmdet_coco", "voc"}


def cases():
    for plant in PLANTS:
        own = QUICK & set(plant.forms) or set(plant.forms)
        for form in plant.forms:
            marks = () if form in own else pytest.mark.weekly
            yield pytest.param(plant, form, id=f"{plant.name}-{form}", marks=marks)


def planted_set(folder, plant, form):
    planted = PlantedSet(folder, form)
    if plant.spoil is not None:
        plant.spoil(planted)
    planted.write()
    if plant.after is not None:
        plant.after(planted)
    return planted


@pytest.mark.parametrize("form", SETS)
def test_a_sound_set_is_passed(tmp_path, form):
    planted = PlantedSet(tmp_path, form)
    planted.write()
    distance = 20 if find_spec("imagehash") else None
    found = planted.found(hash_distance=distance)
    assert not bad(found), "\n".join(map(str, found))
    assert {f.code for f in found} == {
        "class_balance",
        "measured_precision",
        "box_sizes",
    }


@pytest.mark.parametrize(("plant", "form"), list(cases()))
def test_what_is_planted_is_named(tmp_path, plant, form):
    if plant.options:
        pytest.importorskip("imagehash")
    found = planted_set(tmp_path, plant, form).found(**(plant.options or {}))
    told = "\n".join(map(str, found))
    named = [str(f) for f in found if f.code == plant.code_of(form)]
    assert named, told
    for word in plant.words:
        assert any(word in text for text in named), told
    assert not [f for f in found if f.code.startswith("check_")], told


def test_there_are_enough_plants():
    assert len({plant.name for plant in PLANTS}) >= 40
    assert set(BUILDING) <= {plant.code_of(f) for plant in PLANTS for f in plant.forms}


def test_an_option_without_effect_is_refused():
    with pytest.raises(ValueError, match="look_at_images"):
        examine(Config(), look_at_images=False, hash_distance=2)
    with pytest.raises(ValueError, match="hash_distance"):
        examine(Config(), hash_distance=65)
