"""The page: complete, harmless, and drawn by a browser."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from imb_det.core.finding import Finding, Severity
from imb_det.doctor.diagnosis import Diagnosis
from imb_det.doctor.examination import diagnose
from imb_det.doctor.page import write_page
from tests.test_doctor.configs import write_config

pytestmark = pytest.mark.usefixtures("one_thread")

EVIL = "<script>alert('x')</script>"
BROWSER = next(filter(shutil.which, ("chromium", "chromium-browser")), None)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen, self.addresses = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href")]


def tags_of(text):
    parser = Tags()
    parser.feed(text)
    return parser


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    config = write_config(folder, {EVIL: 2, "wasp & co": 12, "fly": 120})
    diagnosis, context = diagnose(
        str(config), look_at_images=False, out=folder / "out", html=True
    )
    spot = f"{folder}/image.png {EVIL}"
    evidence = "bee (3, 3, 3, 3)"
    found = [
        Finding("no_area", Severity.ERROR, EVIL, spot, evidence, "Write `a < b`"),
        *(Finding("many", Severity.INFO, "many", f"place {n}") for n in range(60)),
    ]
    diagnosis = Diagnosis(
        f"{config}{EVIL}", found, diagnosis.prescription, diagnosis.patch
    )
    path = write_page(folder / "out" / "doctor.html", diagnosis, context)
    return path, path.read_text("utf-8")


def test_nothing_of_the_data_is_markup_and_nothing_is_fetched(page):
    _, text = page
    tags = tags_of(text)
    assert "script" not in tags.seen
    assert tags.addresses
    assert all(a.startswith("data:image/jpeg;base64,") for a in tags.addresses)
    assert "&lt;script&gt;" in text
    assert re.search(r"""default-src 'none'""", text)


def test_everything_is_told(page):
    _, text = page
    assert "1 error" in text
    assert "60 info" in text
    assert "place 49" in text
    assert "and 10 more" in text
    assert "Write `a &lt; b`" in text
    assert "RepeatFactorSampler" in text
    assert "wasp &amp; co" in text
    for title in ("Boxes of the classes", "Sizes", "come together", "Images of"):
        assert title in text


def test_a_page_without_a_config_tells_why(tmp_path):
    found = [Finding("config", Severity.ERROR, "the config cannot be read", "a.py")]
    path = write_page(tmp_path / "new" / "doctor.html", Diagnosis("a.py", found), None)
    assert "cannot be read" in path.read_text()


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_a_browser_draws_it(page, tmp_path):
    path, _ = page
    shot = tmp_path / "shot.png"
    subprocess.run(
        [
            *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu"),
            *("--hide-scrollbars", "--window-size=900,2600"),
            *(f"--user-data-dir={tmp_path}/profile", f"--screenshot={shot}"),
            path.as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    pixels = np.asarray(Image.open(shot).convert("RGB")).reshape(-1, 3)
    colours = {tuple(colour) for colour in np.unique(pixels, axis=0)}
    # The mark of an error, and bars of rare, common and frequent classes.
    for wanted in ("#b3262d", "#c44e52", "#dd8452", "#4c72b0"):
        assert tuple(bytes.fromhex(wanted[1:])) in colours, wanted
