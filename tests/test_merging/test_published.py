"""The rows of the page are the committed figures."""

import json

import pytest

KEYS = ("AP", "APr", "APc", "APf", "top1_r", "top1_f")


@pytest.mark.parametrize(
    ("file", "rows"),
    [
        (
            "boards_lt",
            {
                f"`{fuse}`": f"seeds_{fuse}"
                for fuse in ("logits", "probabilities", "boxes")
            },
        ),
        ("boards_lt_logit-adjustment", {"logit adjustment": "la_logits"}),
    ],
)
def test_rows_are_the_figures(repo_root, file, rows):
    folder = repo_root / "configs" / "merging"
    figures = json.loads((folder / f"{file}.json").read_text())["differences"]
    lines = (folder / "README.md").read_text().splitlines()
    for title, name in rows.items():
        (row,) = (
            line
            for line in lines
            if line.startswith(f"| {title} | ") and "[" in line and "](" not in line
        )
        cells = [cell.strip(" *|") for cell in row.split(" | ")[1:]]
        for cell, key in zip(cells, KEYS, strict=True):
            change, (low, high) = (
                figures[name][key]["difference"],
                figures[name][key]["interval"],
            )
            assert cell == f"{change:+.3f} [{low:+.3f}, {high:+.3f}]"
