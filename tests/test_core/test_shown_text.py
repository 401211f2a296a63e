"""Names of all kinds, in tables, pictures, files and logs, on machines of all kinds."""

import ast
import csv
import io
import re
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from imb_det.analysis import plot_classes, plot_curves, plot_examples, plot_gradients
from imb_det.analysis.comparison_plot import plot_differences
from imb_det.analysis.comparison_results import RunComparison
from imb_det.analysis.examples import Example
from imb_det.analysis.run_log import RunLog
from imb_det.core.shown_text import accept_any_text, shown, write_text
from imb_det.evaluation.csv_tables import read_table, write_table
from imb_det.evaluation.functional import text_table
from imb_det.evaluation.functional.bootstrap import BootstrapResults
from imb_det.figure_style import label_of, save_figure
from imb_det.samplers.receipt import SamplingReceipt
from imb_det.samplers.receipt_plot import plot_receipt
from tests.tiny_sets import write_image

ROOT = Path(__file__).parents[2]
NAMES = {
    "dollar": "$",
    "dollars": "$$",
    "mathematics": "$x_{$",
    "a fraction": r"$\frac{$ and more",
    "escaped": r"\$x_{\$",
    "underscore": "_{x",
    "half of a character": "a\ud800",
    "a byte that is no UTF-8": "\udce9",
    "two lines": "a\nb\r\nc",
    "control characters": "\x00\x07\x1b[2Jx\x7f",
    "long": "x" * 100_000,
    "right to left": "\u202eabc\u05d0",
    "no glyph": "\u4e2d\u6587\U0001f600",
    "nothing": "",
    "blank": " \t",
    "percent": "%s #& ~^ {} <b>",
}
FORMULAS = ["=1+1", "+1", "-1", "@a", "\ta", "\ra", "\na", "'a", "''=1", "=", "'"]


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_are_shown_in_one_visible_line(name):
    for most in (8, 60):
        text = shown(name, most)
        assert 0 < len(text) <= max(most, 12)
        assert text.isprintable()
        assert text.strip()
        text.encode("utf-8")
    rows = [[name, 1.0], ["b", 0.5]]
    assert len(text_table(["class", "AP"], rows).splitlines()) == 3


def test_sound_names_stay_as_they_are():
    for name in ("traffic light", "\u00e9t\u00e9", "\u4e2d\u6587", "a" * 60, "=1", "'"):
        assert shown(name) == name
    assert label_of("a_b") == "a_b"
    assert shown("\ud800") == r"\ud800"


# ---------------------------------------------------------------------- pictures


def receipt_of(name):
    counts = np.array([5, 3])
    return SamplingReceipt(
        rule="rule",
        classes=(name, "b"),
        images_before=counts,
        images_after=counts * 1.0,
        instances_before=counts,
        instances_after=counts * 2.0,
        groups={"rare": np.array([0, 1])},
        length_before=8,
        length_after=8,
        most_shown=(name, 1.0),
        never_shown=0,
        never_alone=(name,),
        level=0.0,
        warnings=(),
    )


def draw_comparison(path, name):
    rng = np.random.default_rng(0)
    results = BootstrapResults(
        ("AP",), rng.random((2, 1)), rng.random((3, 2, 1)), (rng.random((1, 1)),) * 2
    )
    runs = {name: [path], "b" + name: [path]}
    comparison = RunComparison(runs, {}, results, 0.95)
    plot_differences(path, comparison.to_dict())


def draw_gradients(path, name):
    steps = np.array([1, 2]), np.array([1.0, 2.0])
    log = RunLog({f"{name}/grad_norm_fg": steps, "b/grad_norm_ratio": steps}, {})
    plot_gradients(path, {name: log, "b": log})


def draw_examples(path, name):
    image = path.with_name("image $x_{$ .jpg")
    write_image(image)
    boxes = np.array([[1.0, 1, 9, 9]])
    example = Example(
        image, boxes, np.array([0]), np.array([True]), boxes, np.array([0]),
        np.array([0.5]), np.array([True]),
    )  # fmt: skip
    plot_examples(path, [example], [name])


PICTURES = {
    "classes": lambda path, name: plot_classes(
        path, [name, "b"], np.array([5, 3]), np.array([0.5, 0.1]), {}
    ),
    "curves": lambda path, name: plot_curves(
        path, RunLog({f"{name} loss": (np.array([1, 2]), np.array([1.0, 2.0]))}, {})
    ),
    "receipt": lambda path, name: plot_receipt(path, receipt_of(name)),
    "comparison": draw_comparison,
    "gradients": draw_gradients,
    "examples": draw_examples,
}


def test_every_name_can_be_drawn(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(
        "imb_det.figure_style.print_log", lambda text, **_: said.append(text)
    )
    figure = Figure()
    axes = figure.subplots()
    for row, name in enumerate(NAMES.values()):
        axes.text(0, row, label_of(name))
        axes.plot([0, 1], [row, row], label=label_of(name))
    handles, labels = axes.get_legend_handles_labels()
    assert labels == [label_of(name) for name in NAMES.values()]
    save_figure(figure, tmp_path / "p.png", handles)
    # One line in place of a warning for each letter.
    (line,) = said
    assert re.search(r"the font has no letters for \d+ of the characters", line)


@pytest.mark.parametrize("picture", PICTURES)
def test_every_picture_takes_any_name(tmp_path, monkeypatch, picture):
    monkeypatch.setattr("imb_det.figure_style._DPI", 30)
    path = tmp_path / "p.png"
    # Mathematics that is none, half of a character, no glyph, and a long line.
    PICTURES[picture](path, "_$x_{$\ud800\n\u4e2d" + "x" * 5000)
    height, width = matplotlib.image.imread(path).shape[:2]
    assert max(height, width) < 800


def test_a_receipt_tells_every_name():
    for name in NAMES.values():
        _, *lines = receipt_of(name).text().split("\n")
        assert len(lines) == 5
        assert all(line.isprintable() for line in lines)


# ------------------------------------------------------------------------- tables


def test_no_cell_is_a_formula_and_names_come_back(tmp_path):
    path = tmp_path / "t.csv"
    known = [n for n in NAMES.values() if "\ud800" not in n and "\udce9" not in n]
    names = [*FORMULAS, *known, 'a "b", c; d', "\u00e9t\u00e9"]
    write_table(path, [[name, -0.5, 3, None] for name in names])
    assert read_table(path) == [[name, "-0.5", "3", ""] for name in names]
    with path.open(newline="", encoding="utf-8") as file:
        for (cell, *_), name in zip(csv.reader(file), names, strict=True):
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
            assert cell.removeprefix("'") == name or cell == name
    write_table(path, [["a\ud800"]])
    assert read_table(path) == [[r"a\ud800"]]
    write_text(path, "\udce9 \u00e9t\u00e9")
    assert path.read_bytes() == b"\\udce9 \xc3\xa9t\xc3\xa9"


# ----------------------------------------------------------------------- encodings

TEXT_CALLS = {"open": 1, "read_text": 0, "write_text": 1}


def calls_without_encoding(source):
    """Lines that open or read text in the encoding that a machine happens to have."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        is_method = isinstance(node.func, ast.Attribute)
        name = node.func.attr if is_method else getattr(node.func, "id", "")
        if name not in TEXT_CALLS or ast.unparse(node.func) in (
            "Image.open",
            "os.open",
            "write_text",  # ours, of UTF-8
        ):
            continue
        words = {word.arg: word.value for word in node.keywords}
        modes = (
            [words["mode"]] if "mode" in words else node.args[int(not is_method) :][:1]
        )
        mode = ast.literal_eval(modes[0]) if name == "open" and modes else "r"
        if "encoding" not in words and "b" not in mode:
            yield f"line {node.lineno}: {ast.unparse(node)}"


def test_the_rule_on_encodings_can_fail():
    source = "open(p)\nPath(p).open('w')\np.read_text()\np.write_text('a', errors='x')"
    assert len(list(calls_without_encoding(source))) == 4
    sound = "open(p, 'rb')\np.open('wb')\np.open(mode='xb')\np.read_text(encoding='x')"
    assert not list(calls_without_encoding(sound))


@pytest.mark.parametrize("folder", ["imb_det", "tools"])
def test_every_text_file_has_an_explicit_encoding(folder):
    found = {
        f"{path}": calls
        for path in sorted((ROOT / folder).rglob("*.py"))
        if ".mim" not in path.parts
        and (calls := list(calls_without_encoding(path.read_text(encoding="utf-8"))))
    }
    assert not found


def test_output_takes_any_name(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    accept_any_text()
    print("\u00e9t\u00e9 \ud800", end="", flush=True)
    assert stream.buffer.getvalue() == rb"\xe9t\xe9 \ud800"
