import numpy as np
import pytest
from mmdet.structures.mask import PolygonMasks

from imb_det.samplers import ClassAwareSampler
from imb_det.statistics.label_table import LabelTable
from tests.labelled_sets import LabelledDataset
from tests.masked_sets import (
    bitmaps,
    box_around,
    build,
    check_lengths,
    coco_config,
    colour_of,
    corner_shape,
    corners,
    ellipse,
    mixed,
    record,
    rectangle,
    same,
    write_scenes,
)

# Every object has a label of its own: 0, 3 and 5 are rectangles.
SCENES = [
    ((40, 30), [(0, rectangle(2, 3, 14, 10)), (1, ellipse(20, 8, 15, 20))]),
    ((25, 60), [(2, corner_shape(3, 20, 20, 36)), (3, rectangle(1, 1, 20, 12))]),
    ((30, 30), []),
    ((50, 20), [(4, ellipse(30, 2, 16, 16)), (5, rectangle(0, 0, 12, 20))]),
]
RECTANGLES = {0, 3, 5}
KINDS = ("bitmap", "polygon")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes")
    return write_scenes(root, SCENES, 6, is_painted=True)


def mosaics(files, kind, number=10, **mosaic):
    """Mosaics of each scene, several times."""
    config = dict(type="imb_det.Mosaic", img_scale=(64, 48)) | mosaic
    dataset = mixed(coco_config(files, 6, kind), config)
    return [dataset[index] for _ in range(number) for index in range(len(SCENES))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [(64, 48), (40, 40), (30, 70)])
def test_masks_fit_their_boxes(files, kind, scale):
    seen = set()
    for results in mosaics(files, kind, img_scale=scale):
        check_lengths(results)
        assert results["img"].shape == (2 * scale[1], 2 * scale[0], 3)
        whole = np.array([0, 0, 2 * scale[0], 2 * scale[1]])
        masks, labels = bitmaps(results), results["gt_bboxes_labels"].tolist()
        for label, box, mask in zip(labels, corners(results), masks, strict=True):
            if not mask.any():  # of a polygon, less than a pixel is left
                assert (kind, (box[2:] - box[:2]).min() < 2) == ("polygon", True)
                continue
            tight = box_around(mask)
            assert (tight[:2] >= box[:2] - 2).all()
            assert (tight[2:] <= box[2:] + 2).all()
            if label in RECTANGLES or not (box == whole).any():
                np.testing.assert_allclose(tight, box, atol=2)
                seen.add(label)
    assert seen == set(range(6))


@pytest.mark.parametrize("kind", KINDS)
def test_masks_lie_on_the_pixels_of_their_objects(files, kind):
    for results in mosaics(files, kind):
        image, masks = results["img"], bitmaps(results)
        for label in range(6):
            mine = masks[results["gt_bboxes_labels"] == label].any(0)
            painted = (image == colour_of(label)).all(-1)
            assert (painted & ~mine).sum() <= 0.05 * painted.sum()
            # Colours run into the surroundings when an image is resized.
            inner = mine[1:-1, 1:-1] & mine[:-2, 1:-1] & mine[2:, 1:-1]
            inner &= mine[1:-1, :-2] & mine[1:-1, 2:]
            wrong = inner & ~painted[1:-1, 1:-1]
            assert wrong.sum() <= 0.25 * inner.sum() + 3


@pytest.mark.parametrize("kind", [None, *KINDS])
@pytest.mark.parametrize("prob", [1.0, 0.5])
def test_equals_the_mosaic_of_mmdet_without_weights(files, kind, prob):
    pair = []
    for name in ("Mosaic", "imb_det.Mosaic"):
        np.random.seed(3)  # noqa: NPY002
        pair.append(mosaics(files, kind, type=name, prob=prob))
    for theirs, ours in zip(*pair, strict=True):
        assert theirs.keys() == ours.keys()
        if kind is not None:  # mmdet leaves those of the first image
            del theirs["gt_masks"]
            leave_out_cut_objects(theirs, ours)
        assert same(theirs, ours)


def leave_out_cut_objects(theirs, ours):
    """Take out what only mmdet keeps; a rectangle is wherever its box is."""
    rows = corners(ours).tolist()
    is_kept = np.array([box in rows for box in corners(theirs).tolist()], bool)
    assert not RECTANGLES & set(theirs["gt_bboxes_labels"][~is_kept].tolist())
    for key in ("gt_bboxes", "gt_bboxes_labels", "gt_ignore_flags"):
        theirs[key] = theirs[key][is_kept]


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_transform_nothing_changes(files, kind):
    dataset = mixed(coco_config(files, 6, kind))
    for index, results in enumerate(mosaics(files, kind, 1, prob=0)):
        check_lengths(results)
        assert same(results, dataset[index])


@pytest.mark.parametrize("kind", KINDS)
def test_masks_follow_prob(files, kind):
    drawn = mosaics(files, kind, 50, prob=0.3)
    for results in drawn:
        check_lengths(results)
    changed = sum(results["img"].shape == (96, 128, 3) for results in drawn)
    assert abs(changed - 60) < 5 * np.sqrt(200 * 0.3 * 0.7)


@pytest.mark.parametrize("kind", KINDS)
def test_images_without_objects_make_a_mosaic_without_objects(tmp_path, kind):
    files = write_scenes(tmp_path, [((20, 30), []), ((30, 20), [])])
    mosaic = dict(type="imb_det.Mosaic", img_scale=(24, 24))
    results = mixed(coco_config(files, 2, kind), mosaic)[0]
    check_lengths(results)
    assert len(results["gt_bboxes"]) == 0
    assert isinstance(results["gt_masks"], PolygonMasks) == (kind == "polygon")


@pytest.mark.parametrize("kind", KINDS)
def test_ignored_objects_stay_ignored(tmp_path, kind):
    crowd = dict(iscrowd=1)
    objects = [(0, rectangle(2, 2, 6, 6)), (1, rectangle(12, 4, 8, 8), crowd)]
    files = write_scenes(tmp_path, [((24, 20), objects)])
    mosaic = dict(type="imb_det.Mosaic", img_scale=(24, 20))
    dataset = mixed(coco_config(files, 2, kind), mosaic)
    for _ in range(10):
        results = dataset[0]
        check_lengths(results)
        assert (results["gt_ignore_flags"] == results["gt_bboxes_labels"]).all()


def tiled(number, kind):
    """An image of 64 x 64 pixels with many objects of one pixel."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (64, 64, 3), np.uint8)
    y, x = np.divmod(np.arange(number), 64)
    boxes = np.stack([x, y, x + 1, y + 1], 1)
    if kind == "polygon":
        masks = [[np.array(rectangle(*box[:2], 1, 1), float)] for box in boxes]
    else:
        masks = np.zeros((number, 64, 64), bool)
        masks[np.arange(number), y, x] = True
    return record(image, boxes, np.zeros(number, int), masks=masks, kind=kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("as_array", [False, True])
def test_many_objects_and_one_partner_three_times(kind, as_array):
    results, partner = tiled(600, kind), tiled(5, kind)
    if as_array:
        for part in (results, partner):
            part["gt_bboxes"] = part["gt_bboxes"].numpy()
    results["mix_results"] = [partner] * 3
    mosaic = build(
        type="imb_det.Mosaic", img_scale=(64, 64), center_ratio_range=(1.0, 1.0)
    )
    results = mosaic(results)
    check_lengths(results)
    assert isinstance(results["gt_bboxes"], np.ndarray) == as_array
    assert len(results["gt_masks"]) == 615
    for mask, box in zip(bitmaps(results), corners(results), strict=True):
        np.testing.assert_array_equal(box_around(mask), box)


def test_partners_follow_the_weights_of_the_sampler():
    sets = [[0]] * 6 + [[0, 1]] * 3 + [[1, 2]] * 2 + [[]] * 4
    leaf = dict(type="imb_det.LabelledDataset", labels_per_image=sets, num_classes=3)
    dataset = mixed(leaf, dict(type="imb_det.Mosaic"))
    sampler = ClassAwareSampler(dataset, seed=0)
    wanted = sampler.expected_copies(0) / len(sets)
    assert (wanted[-4:] == 0).all()
    (mosaic,) = dataset.pipeline
    draws = 4000
    drawn = [mosaic.get_indexes(dataset.dataset) for _ in range(draws)]
    assert {len(indices) for indices in drawn} == {3}
    counts = np.bincount(np.ravel(drawn), minlength=len(sets))
    sigma = np.sqrt(3 * draws * wanted * (1 - wanted))
    assert (np.abs(counts - 3 * draws * wanted) <= 5 * sigma).all()


def test_image_of_weight_zero_is_in_no_other_mosaic(files):
    mosaic = dict(type="imb_det.Mosaic", img_scale=(64, 48))
    dataset = mixed(coco_config(files, 6, None), mosaic)
    table = LabelTable.from_dataset(dataset)
    dataset.pipeline[0].set_partners(table, np.array([0.0, 2.0, 0.5, 1.0]))
    labels = set()
    for _ in range(40):
        labels |= set(dataset[2]["gt_bboxes_labels"].tolist())
    assert labels == {2, 3, 4, 5}


def test_partners_are_uniform_where_all_weights_are_zero():
    dataset = LabelledDataset([[0]] * 5, 1)
    mosaic = build(type="imb_det.Mosaic")
    mosaic.set_partners(LabelTable.from_dataset(dataset), np.zeros(5))
    drawn = np.ravel([mosaic.get_indexes(dataset) for _ in range(100)])
    assert set(drawn.tolist()) == set(range(5))
