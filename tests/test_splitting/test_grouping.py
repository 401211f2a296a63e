"""Which images stay together: names, keys, and what looks nearly the same."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imb_det.datasets.image_hashes import near_pairs
from imb_det.splitting import joined_groups, name_keys, near_duplicates


def test_keys_are_what_an_expression_finds():
    names = ["cam1/07_001.jpg", "cam1/07_002.jpg", "cam2/07_001.jpg", "x.jpg"]
    assert name_keys(names, r"cam\d") == ["cam1", "cam1", "cam2", None]
    assert name_keys(names, r"cam\d/(\d+)_") == ["07", "07", "07", None]
    keys = name_keys(names, r"(cam\d)/(\d+)_")
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("pattern", "message"), [("(", "no regular expression"), ("dog", "found in none")]
)
def test_an_expression_that_finds_nothing_is_refused(pattern, message):
    with pytest.raises(ValueError, match=message):
        name_keys(["a.jpg"], pattern)


def test_groups_join_over_all_criteria_and_names():
    names = ["d", "b", "a", "c", "b"]
    first = [None, 1, None, 1, None]
    second = ["x", None, "x", None, None]
    # b, c and the other b; d and a, which come first by name.
    assert joined_groups(names, [first, second]).tolist() == [0, 1, 0, 1, 1]
    assert joined_groups([]).tolist() == []


@settings(max_examples=30)
@given(data=st.data(), keys=st.lists(st.sampled_from([None, 1, 2, 3]), max_size=9))
def test_the_order_of_images_makes_no_difference(data, keys):
    names = [f"{i}.jpg" for i in range(len(keys))]
    groups = joined_groups(names, [keys])
    order = data.draw(st.permutations(range(len(keys))))
    again = joined_groups([names[i] for i in order], [[keys[i] for i in order]])
    assert again.tolist() == groups[list(order)].tolist()
    assert set(groups.tolist()) == set(range(max(groups.tolist(), default=-1) + 1))


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), max_bits=st.integers(0, 12))
def test_near_hashes_are_those_that_comparing_all_finds(seed, max_bits):
    rng = np.random.default_rng(seed)
    base = rng.random((6, 256)) < 0.3
    flips = rng.random((40, 256)) < rng.uniform(0, 0.04, (40, 1))
    hashes = np.unique(base[rng.integers(0, 6, 40)] ^ flips, axis=0)
    distance = (hashes[:, None] != hashes).sum(2)
    near = np.argwhere(np.triu(distance <= max_bits, 1))
    assert near_pairs(hashes, max_bits).tolist() == near.tolist()


def test_images_of_sixteen_bits_are_not_all_alike(tmp_path):
    pytest.importorskip("imagehash")
    rng = np.random.default_rng(0)
    coarse = rng.integers(300, 65536, (3, 9, 9)).astype(np.uint16)
    paths = [tmp_path / name for name in ("0.png", "1.png", "2.tiff", "copy.png")]
    for path, values in zip(paths, [*coarse, coarse[0]], strict=True):
        values = np.kron(values, np.ones((12, 12), np.uint16))
        is_copy = path.stem == "copy"
        pixels = (values // 256).astype(np.uint8) if is_copy else values
        Image.fromarray(pixels).save(path)
    kinds = near_duplicates(paths, 20)
    assert kinds == [kinds[3], kinds[1], kinds[2], kinds[3]]
    assert len(set(kinds)) == 3


def test_a_film_of_like_images_fits_into_the_memory():
    rng = np.random.default_rng(0)
    noise = rng.random((200, 256)) < 0.008
    hashes = np.unique(noise ^ (rng.random(256) < 0.5), axis=0)
    tracemalloc.start()
    pairs = near_pairs(hashes, 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(pairs) > 0.99 * len(hashes) * (len(hashes) - 1) / 2
    assert peak < 10 * pairs.nbytes


def test_copies_are_found_in_other_sizes_and_qualities(tmp_path):
    pytest.importorskip("imagehash")
    rng = np.random.default_rng(0)
    paths = []
    for number in range(6):
        small = rng.integers(0, 256, (9, 9, 3), np.uint8)
        image = Image.fromarray(small).resize((160, 120), Image.Resampling.BICUBIC)
        copies = {"": dict(quality=95), "_poor": dict(quality=30)}
        for name, options in copies.items():
            paths.append(tmp_path / f"{number}{name}.jpg")
            image.save(paths[-1], **options)
        paths.append(tmp_path / f"{number}_small.png")
        image.resize((100, 75)).save(paths[-1])
    kinds = near_duplicates(paths, 24)
    assert len(set(kinds)) == 6
    assert all(len(set(kinds[i : i + 3])) == 1 for i in range(0, 18, 3))
    with pytest.raises(ValueError, match="0 to 64 of 256, got 65"):
        near_duplicates(paths, 65)
    paths[0].write_bytes(paths[0].read_bytes()[:900])
    with pytest.raises(OSError, match=r"0\.jpg cannot be read as an image: .*trunc"):
        near_duplicates(paths[:1], 3)
    with pytest.raises(FileNotFoundError, match=r"none\.jpg"):
        near_duplicates([tmp_path / "none.jpg"], 3)
