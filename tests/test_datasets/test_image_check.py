"""Image files are judged by their first and last bytes, or decoded in doubt."""

import io
import logging
import os
import socket

import mmcv
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import ConcatDataset, RepeatDataset
from PIL import Image, UnidentifiedImageError

from imb_det.core import finding as finding_module
from imb_det.core import raise_findings
from imb_det.datasets import VOCDataset, annotated_images
from imb_det.datasets.image_check import inspect_images
from imb_det.statistics.image_header import displayed_size, ends_properly, parse_header
from tests.tiny_sets import write_image, write_voc

BOX = ("cat", (1, 1, 11, 11))
METAINFO = dict(classes=("cat",))


def check_images(datasets):
    """Return the number of files, or raise everything that is wrong with them."""
    number, findings = inspect_images(datasets)
    raise_findings(findings, f"{number} files")
    return number


def exif(orientation, padding=0):
    tags = Image.Exif()
    tags[0x010E] = "x" * padding  # description: stands before the orientation
    tags[0x0112] = orientation
    return tags


def encode(image_format, mode="RGB", size=(61, 37), **options):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(buffer, image_format, **options)
    return buffer.getvalue()


def voc(root, number=3, size=(40, 30), loader=None):
    arguments = write_voc(root, [[BOX]] * number, size)
    pipeline = [LoadImageFromFile(**loader)] if loader else []
    return VOCDataset(
        **arguments, metainfo=METAINFO, pipeline=pipeline, serialize_data=False
    )


ENCODED = {
    "jpeg": ("JPEG", {}),
    "progressive": ("JPEG", dict(progressive=True, quality=30)),
    "grey": ("JPEG", dict(mode="L")),
    "cmyk": ("JPEG", dict(mode="CMYK")),
    "optimised": ("JPEG", dict(optimize=True, subsampling=0)),
    "long exif": ("JPEG", dict(exif=exif(1, 9000))),
    "profile": ("JPEG", dict(icc_profile=b"p" * 150_000)),
    "comment": ("JPEG", dict(comment=b"\xff\xd8\xff\xc0" * 9)),
    "png": ("PNG", {}),
    "palette": ("PNG", dict(mode="P")),
    "alpha": ("PNG", dict(mode="RGBA")),
}


@pytest.mark.parametrize("name", ENCODED)
def test_headers_agree_with_pillow(name):
    image_format, options = ENCODED[name]
    content = encode(image_format, **options)
    header = parse_header(content)
    assert header[:3] == (61, 37, 1)
    assert header.format == image_format
    assert ends_properly(content[-64:], image_format)
    assert not ends_properly(content[:-1][-64:], image_format)
    assert parse_header(content[:10]) is None


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_displayed_size_is_what_mmcv_loads(tmp_path, image_format, orientation):
    content = encode(image_format, exif=exif(orientation, 100))
    path = tmp_path / "image"
    path.write_bytes(content)
    assert parse_header(content).orientation == orientation
    assert displayed_size(str(path)) == mmcv.imfrombytes(content).shape[1::-1]


def test_displayed_size_of_other_formats(tmp_path):
    path = tmp_path / "image.bmp"
    path.write_bytes(encode("BMP"))
    assert displayed_size(str(path)) == (61, 37)
    assert parse_header(path.read_bytes()) is None


def test_sound_sets_pass_and_count_each_file_once(tmp_path, bccd_root):
    first, second = voc(tmp_path / "1"), voc(tmp_path / "2", 2)
    both = ConcatDataset([first, second])
    assert check_images([both, RepeatDataset(first, 5)]) == 5
    bccd = [
        VOCDataset(
            data_root=str(bccd_root),
            ann_file=f"ImageSets/Main/{split}.txt",
            data_prefix=dict(sub_data_root=""),
            metainfo=dict(classes=("RBC", "WBC", "Platelets")),
        )
        for split in ("trainval", "test")
    ]
    assert check_images(bccd) == 364


def test_sound_files_are_not_decoded(tmp_path, monkeypatch):
    dataset = voc(tmp_path)
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("decoded"))
    assert check_images([dataset]) == 3


@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.95])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_truncated_files_are_named(tmp_path, image_format, kept):
    dataset = voc(tmp_path, size=(61, 37))
    content = encode(image_format)
    path = tmp_path / "JPEGImages" / "b.jpg"
    path.write_bytes(content)
    assert check_images([dataset]) == 3
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(
        ValueError, match=r"^3 files: 1 error\n[\s\S]*list\.txt"
    ) as error:
        check_images([dataset])
    assert f"{path}: " in str(error.value)
    assert "truncated or damaged: 1" in str(error.value) or kept < 0.5


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_data_after_the_image_is_decoded_and_accepted(tmp_path, image_format):
    dataset = voc(tmp_path, size=(61, 37))
    content = encode(image_format)
    path = tmp_path / "JPEGImages" / "b.jpg"
    path.write_bytes(content + b"appended by a camera")
    assert check_images([dataset]) == 3
    path.write_bytes(content[: len(content) // 2] + b"and more" * 20)
    with pytest.raises(ValueError, match="truncated or damaged: 1"):
        check_images([dataset])


@pytest.mark.parametrize("cut", [1, 4, 12, 20])
def test_files_that_only_pillow_reads_to_the_end_are_named(tmp_path, cut):
    dataset = voc(tmp_path, size=(80, 60))
    path = tmp_path / "JPEGImages" / "b.jpg"
    path.write_bytes(encode("PNG", size=(80, 60))[:-cut])
    Image.open(path).load()
    assert mmcv.imread(str(path)) is None
    with pytest.raises(
        ValueError, match=r"truncated or damaged: 1\s.*b\.jpg: mmcv cannot decode it"
    ):
        check_images([dataset])


def test_zeros_in_place_of_image_data_are_found(tmp_path):
    dataset = voc(tmp_path, size=(61, 37))
    # The end mark of a thumbnail, in front of the frame header, proves nothing.
    content = encode("JPEG", icc_profile=b"\xff\xd9" * 100)
    half = len(content) // 2
    path = tmp_path / "JPEGImages" / "b.jpg"
    path.write_bytes(content[:half] + bytes(len(content) - half))
    with pytest.raises(
        ValueError, match=r"truncated or damaged: 1\s.*b\.jpg: no end mark"
    ):
        check_images([dataset])


def test_other_formats_are_decoded(tmp_path):
    dataset = voc(tmp_path, size=(61, 37))
    path = tmp_path / "JPEGImages" / "c.jpg"
    for image_format in ("BMP", "WEBP", "TIFF"):
        content = encode(image_format)
        path.write_bytes(content)
        assert check_images([dataset]) == 3
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(ValueError, match=r"^3 files: 1 error"):
            check_images([dataset])


def test_formats_that_only_mmcv_knows(tmp_path, monkeypatch):
    dataset = voc(tmp_path, size=(61, 37))
    path = tmp_path / "JPEGImages" / "c.jpg"
    path.write_bytes(encode("BMP"))

    def unknown(*_):
        raise UnidentifiedImageError

    monkeypatch.setattr(Image, "open", unknown)
    assert check_images([dataset]) == 3
    path.write_bytes(encode("BMP", size=(60, 37)))
    with pytest.raises(ValueError, match="file 60 x 37, annotated 61 x 37"):
        check_images([dataset])


def test_missing_files(tmp_path):
    dataset = voc(tmp_path, 9)
    paths = [tmp_path / "JPEGImages" / f"{name}.jpg" for name in "bcdefgh"]
    for path in paths:
        path.unlink()
    with pytest.raises(ValueError, match="7 errors") as error:
        check_images([dataset])
    lines = str(error.value).splitlines()
    assert lines[0] == "9 files: 7 errors"
    assert lines[1] == ("  error image_missing: image files cannot be used, missing: 7")
    source = f"(annotated in {tmp_path / 'list.txt'})"
    assert lines[2:7] == [f"    {path}: no such file {source}" for path in paths[:5]]
    assert lines[7] == "    ... and 2 more"
    assert "`data_root`" in lines[8]
    paths[-1].write_bytes(b"this is text")
    with pytest.raises(ValueError, match=r" missing: 6[\s\S]* unreadable: 1"):
        check_images([dataset])


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "color_type", ["color", "unchanged", "color_ignore_orientation"]
)
@pytest.mark.parametrize("backend", ["cv2", "pillow"])
def test_sizes_are_those_that_mmcv_loads(tmp_path, image_format, color_type, backend):
    loader = dict(color_type=color_type, imdecode_backend=backend)
    path = tmp_path / "JPEGImages" / "a.jpg"
    for size in ((61, 37), (37, 61)):
        dataset = voc(tmp_path, 1, size, loader)
        for orientation in (1, 6):
            content = encode(image_format, exif=exif(orientation))
            path.write_bytes(content)
            loaded = mmcv.imfrombytes(content, flag=color_type, backend=backend)
            if loaded.shape[1::-1] == size:
                assert check_images([dataset]) == 1
                continue
            with pytest.raises(
                ValueError, match="other size than annotated: 1"
            ) as error:
                check_images([dataset])
            file, annotated = "{} x {}".format(*size[::-1]), "{} x {}".format(*size)
            assert f"{path}: file {file}, annotated {annotated}" in str(error.value)
            assert ("EXIF orientation 6" in str(error.value)) == (orientation == 6)


@pytest.mark.parametrize(
    ("size", "box", "message"),
    [
        ((200, 150), (1, 1, 11, 11), None),
        ((199, 150), (1, 1, 11, 11), None),  # a ratio off by 0.5 %
        ((196, 150), (1, 1, 11, 11), "annotated 400 x 300"),
        ((150, 200), (1, 1, 11, 11), "annotated 400 x 300"),
        ((200, 150), (1, 1, 201, 151), None),
        ((200, 150), (1, 1, 202, 11), "the boxes reach to 201 x 10"),
        ((200, 150), (1, 1, 11, 152), "the boxes reach to 10 x 151"),
        ((800, 600), (1, 1, 301, 11), None),
    ],
)
def test_another_size_is_fatal_where_the_boxes_cannot_fit(
    tmp_path, monkeypatch, size, box, message
):
    logged = []
    monkeypatch.setattr(
        finding_module,
        "print_log",
        lambda text, logger, level: logged.append((text, level)),
    )
    arguments = write_voc(tmp_path, [[("cat", box)]] * 7, (400, 300))
    for name in "abcdefg":
        write_image(tmp_path / "JPEGImages" / f"{name}.jpg", size)
    dataset = VOCDataset(**arguments, metainfo=METAINFO)
    if message is not None:
        with pytest.raises(ValueError, match="other size than annotated: 7") as error:
            check_images([dataset])
        assert message in str(error.value)
        assert logged == []
        return
    assert check_images([dataset]) == 7
    ((text, level),) = logged
    assert level == logging.WARNING
    lines = text.splitlines()
    assert lines[0] == "7 files: 7 warnings"
    assert "image files may not fit their boxes, of another size" in lines[1]
    found = "file {} x {}, annotated 400 x 300".format(*size)
    path, source = tmp_path / "JPEGImages" / "a.jpg", tmp_path / "list.txt"
    assert lines[2] == f"    {path}: {found} (annotated in {source})"
    assert lines[7] == "    ... and 2 more"


def test_images_that_are_not_local_are_skipped_with_one_line(tmp_path, monkeypatch):
    logged = []
    monkeypatch.setattr(
        annotated_images, "print_log", lambda message, logger: logged.append(message)
    )
    local = voc(tmp_path / "1")
    remote = voc(tmp_path / "2", loader=dict(backend_args=dict(backend="http")))
    (tmp_path / "2" / "JPEGImages" / "a.jpg").unlink()
    assert check_images([local, remote]) == 3
    (line,) = logged
    assert "not local files" in line
    assert str(tmp_path / "2" / "list.txt") in line


@pytest.mark.parametrize("folder", ["", "JPEGImages/"])
@pytest.mark.parametrize("backend", [None, dict(backend="local")])
def test_the_name_of_an_address_is_that_of_a_missing_file(tmp_path, folder, backend):
    """One of them does not keep the others from being checked."""
    dataset = voc(tmp_path, loader=dict(backend_args=backend))
    path = f"{tmp_path}/{folder}x://1.jpg" if folder else "x://1.jpg"
    dataset.data_list[0]["img_path"] = path
    (tmp_path / "JPEGImages" / "b.jpg").unlink()
    with pytest.raises(ValueError, match=r"^3 files: 2 errors") as error:
        check_images([dataset])
    assert "image_missing" in str(error.value)
    assert f"    {path}: no such file" in str(error.value)
    assert "b.jpg: no such file" in str(error.value)


def test_addresses_that_mmengine_reads_are_left_out(tmp_path, monkeypatch):
    logged = []
    monkeypatch.setattr(
        annotated_images, "print_log", lambda message, logger: logged.append(message)
    )
    dataset = voc(tmp_path)
    dataset.data_list[0]["img_path"] = "https://images.invalid/1.jpg"
    assert check_images([dataset]) == 2
    assert len(logged) == 1
    assert "1 images are not local files (https://images.invalid/1.jpg)" in logged[0]
    # An address to mmengine, though there is a file of this name.
    (tmp_path / "x:").mkdir()
    path = write_image(tmp_path / "x:" / "1.jpg")
    dataset.data_list[0]["img_path"] = f"{path.parent}//{path.name}"
    with pytest.raises(ValueError, match=r"image_backend.*out of reach: 1\s.*its name"):
        check_images([dataset])


def test_backends_that_cannot_be_had_are_named_once(tmp_path):
    dataset = voc(tmp_path, loader=dict(backend_args=dict(backend="remote")))
    with pytest.raises(ValueError, match=r"1 files: 1 error\s.*image_backend") as error:
        check_images([dataset])
    assert "backend_args={'backend': 'remote'} ('remote')" in str(error.value)
    assert "Correct `backend_args` of `LoadImageFromFile`" in str(error.value)


@pytest.mark.parametrize("name", ["../../x.jpg", "/{}/x.jpg", "JPEGImages/../c.jpg"])
def test_names_that_lead_out_of_the_folders_are_told(tmp_path, monkeypatch, name):
    logged = []
    monkeypatch.setattr(
        finding_module, "print_log", lambda text, logger, level: logged.append(text)
    )
    dataset = voc(tmp_path / "data" / "voc")
    path = os.path.join(dataset.data_root, name.format(tmp_path))
    write_image(path)
    dataset.data_list[1]["img_path"] = path
    assert check_images([dataset]) == 3
    if name.startswith("J"):
        assert logged == []
        return
    (text,) = logged
    assert text.startswith(
        "3 files: 1 warning\n  warning image_outside: image files lie"
    )
    assert f"    {path}: outside ['{tmp_path}/data/voc'] (annotated in " in text


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "socket"])
def test_only_regular_files_are_images(tmp_path, kind, monkeypatch):
    dataset = voc(tmp_path)
    path = tmp_path / "JPEGImages" / "b.jpg"
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            monkeypatch.chdir(path.parent)  # its path may have 108 letters at most
            server.bind(path.name)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(ValueError, match=r"unreadable: 1\s+.*b\.jpg: no regular file"):
        check_images([dataset])


def test_records_without_a_path_or_a_size(tmp_path):
    path = write_image(tmp_path / "a.png")

    class Plain:
        def __len__(self):
            return 2

        def get_data_info(self, index):
            return [dict(img_path=str(path)), dict(img_path=["r.tif", "g.tif"])][index]

    assert check_images([Plain()]) == 1
