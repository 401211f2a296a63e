"""Sound files as other tools write them are read everywhere alike, without a word."""

import pytest

from tests.malformed import check_read, outcome_of
from tests.malformed_coco import readers, write
from tests.tiny_sets import write_image

__all__ = ["outcome_of"]


def roboflow(content):
    """A category above all others comes first, masks are empty."""
    content["categories"].insert(0, dict(id=0, name="pets", supercategory="none"))
    for annotation in content["annotations"]:
        annotation["segmentation"] = []


def label_studio(content):
    """All ids count from 0."""
    for place, annotation in enumerate(content["annotations"]):
        annotation["id"] = place
        annotation["image_id"] -= 11
        annotation["category_id"] -= 1
        annotation["ignore"] = 0
    for image in content["images"]:
        image["id"] -= 11
    for category in content["categories"]:
        category["id"] -= 1


def cvat(content):
    for image in content["images"]:
        image |= dict(license=0, flickr_url="", coco_url="", date_captured=0)
    for annotation in content["annotations"]:
        annotation["attributes"] = dict(occluded=False, rotation=0.0)


def without_addresses(content):
    for image in content["images"]:
        image |= dict(license=None, flickr_url=None, coco_url=None, date_captured=None)


def table(content):
    """Whole numbers have a point, as a column with a gap has them."""
    for image in content["images"]:
        image["id"] = float(image["id"])
        image["width"] = float(image["width"])
    for annotation in content["annotations"]:
        for key in ("id", "image_id", "category_id"):
            annotation[key] = float(annotation[key])


def open_images(content):
    """Of LVIS's two lists, there is the one of classes that were looked for."""
    for image in content["images"]:
        image |= dict(neg_category_ids=[1], pos_category_ids=[2])
    for category in content["categories"]:
        category["freebase_id"] = "/m/0"


def negative(content):
    for image in content["images"]:
        image["id"] *= -1
    for annotation in content["annotations"]:
        annotation["image_id"] *= -1


EXPORTS = (
    roboflow,
    label_studio,
    cvat,
    without_addresses,
    table,
    open_images,
    negative,
)


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.__name__)
def test_exports_are_read(tmp_path, outcome_of, export):
    images = tmp_path / "images"
    images.mkdir()
    for number in (11, 12):
        write_image(images / f"{number}.jpg")
    found = readers(write(tmp_path / "ann.json", export, "coco"), images)
    every = {**found.training, **found.judging}
    outcomes = {name: outcome_of(read) for name, read in every.items()}
    check_read(outcomes, {name: [2, 2] for name in outcomes})
    for name, outcome in outcomes.items():
        told = outcome.told.splitlines()
        if name in ("data_set", "sampler"):  # the audit has a line of numbers
            told = [line for line in told[1:] if "category ids" not in line]
            told = [line for line in told if " ids from " not in line]
        assert not told, name
