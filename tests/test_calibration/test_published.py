"""The rows of the page are the committed figures."""

import json


def test_rows_are_the_figures(repo_root):
    folder = repo_root / "configs" / "calibration"
    figures = json.loads((folder / "boards_lt.json").read_text())
    text = (folder / "README.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    rows = {line.split(" | ")[0].strip("| "): line for line in lines}
    names = {
        "NorCal, gamma": "norcal",
        "logit adjustment, tau": "logit_adjustment",
    }
    found = 0
    for title, row in rows.items():
        words, _, value = title.rpartition(" ")
        if words not in names:
            continue
        (own,) = (
            of_figure
            for name, of_figure in figures["differences"].items()
            if name.split() == [names[words], f"{float(value)}"]
        )
        cells = [cell.strip(" *|") for cell in row.split(" | ")[1:]]
        keys = ("AP", "APr", "APc", "APf", "top1_r", "top1_c", "top1_f")
        for cell, key in zip(cells, keys, strict=True):
            change, (low, high) = own[key]["difference"], own[key]["interval"]
            assert cell == f"{change:+.3f} [{low:+.3f}, {high:+.3f}]"
        found += 1
    assert found == 6
